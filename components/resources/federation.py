"""The company's directories, made as identity providers of the realm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_keycloak as keycloak

from components.directories import inside
from components.federation import FORCE, NAME_IDS, Mapper, mappers
from components.resources.realm import Secret
from config.identity import OpenIdDirectory, SamlDirectory
from config.stack import Stack


@dataclass(frozen=True, kw_only=True)
class FederationArgs:
    """``realm``: its name; ``issuer``: the realm's address, its name as a SAML client; ``secret`` gives client secrets;
    ``ready``: what must be there before a directory is declared; ``after_sign_in``: the flow that follows on it."""

    stack: Stack
    realm: pulumi.Output[str]
    issuer: str
    secret: Secret
    provider: keycloak.Provider
    ready: Sequence[pulumi.Resource]
    after_sign_in: str | None = None


class Federation(pulumi.ComponentResource):
    """The directories. Makes for each an ``oidc.IdentityProvider`` or a ``saml.IdentityProvider``, and a
    ``CustomIdentityProviderMapping`` for each role and department of the stack and for auditors; for SAML three more,
    for mail address and names.
    """

    def __init__(self, name: str, args: FederationArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("praxis:identity:Federation", name, None, opts)
        self._name = name
        self._args = args
        for order, (alias, directory) in enumerate(args.stack.identity.directories.items()):
            made = (
                self._saml(alias, directory, order)
                if isinstance(directory, SamlDirectory)
                else self._oidc(alias, directory, order)
            )
            for mapper, settings in mappers(directory, args.stack).items():
                self._mapper(alias, mapper, settings, made.alias)
        self.register_outputs({})

    def _common(self, alias: str, title: str, order: int) -> dict[str, Any]:
        return {
            "realm": self._args.realm,
            "alias": alias,
            "display_name": title or alias,
            "enabled": True,
            "gui_order": str(order),
            "sync_mode": FORCE,
            "store_token": False,
            # A mail address that is taken already is not believed: its owner signs in once to link the two.
            "trust_email": False,
            "validate_signature": True,
            "post_broker_login_flow_alias": self._args.after_sign_in,
            "opts": pulumi.ResourceOptions(
                parent=self, provider=self._args.provider, depends_on=[*self._args.ready], delete_before_replace=True
            ),
        }

    def _oidc(self, alias: str, directory: OpenIdDirectory, order: int) -> keycloak.oidc.IdentityProvider:
        at = directory.endpoints()
        return keycloak.oidc.IdentityProvider(
            f"{self._name}-directory-{alias}",
            **self._common(alias, directory.title, order),
            client_id=directory.client_id,
            client_secret=self._args.secret(directory.client_secret.removeprefix("secret://")),
            issuer=at.issuer,
            authorization_url=at.authorization,
            token_url=inside(alias, at.token),
            jwks_url=inside(alias, at.keys),
            user_info_url=inside(alias, at.user_info) if at.user_info else None,
            disable_user_info=at.user_info is None,
            default_scopes=" ".join(directory.scopes()),
            extra_config={"clientAuthMethod": "client_secret_post", "pkceEnabled": "true", "pkceMethod": "S256"},
        )

    def _saml(self, alias: str, directory: SamlDirectory, order: int) -> keycloak.saml.IdentityProvider:
        return keycloak.saml.IdentityProvider(
            f"{self._name}-directory-{alias}",
            **self._common(alias, directory.title, order),
            entity_id=self._args.issuer,
            single_sign_on_service_url=directory.sign_in_url,
            signing_certificate=directory.signing_certificate,
            name_id_policy_format=NAME_IDS[directory.name_id],
            post_binding_response=True,
            want_assertions_signed=True,
            extra_config={"idpEntityId": directory.entity_id},
        )

    def _mapper(self, alias: str, name: str, mapper: Mapper, of: pulumi.Output[str]) -> None:
        """``of``: the directory's alias, known when it is there."""
        keycloak.CustomIdentityProviderMapping(
            f"{self._name}-directory-{alias}-{name}",
            realm=self._args.realm,
            identity_provider_alias=of,
            name=name,
            identity_provider_mapper=mapper.kind,
            extra_config=dict(mapper.config),
            opts=pulumi.ResourceOptions(parent=self, provider=self._args.provider, delete_before_replace=True),
        )
