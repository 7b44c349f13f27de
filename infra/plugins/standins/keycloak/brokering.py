"""Identity providers, and the mappers that make roles and groups of what they say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from infra.plugins.standins.keycloak.extras import WithExtras
from infra.plugins.standins.keycloak.table import Field, flag, pick, plainly, put, segment
from infra.plugins.standins.kinds import Call
from infra.plugins.standins.values import Plain, known

SYNC_MODES = ("IMPORT", "FORCE", "LEGACY")
NAME_ID_FORMATS: Mapping[str, str] = {
    "Email": "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress",
    "Kerberos": "urn:oasis:names:tc:SAML:2.0:nameid-format:kerberos",
    "Persistent": "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",
    "Transient": "urn:oasis:names:tc:SAML:2.0:nameid-format:transient",
    "Unspecified": "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified",
    "Windows Domain Qualified Name": "urn:oasis:names:tc:SAML:1.1:nameid-format:WindowsDomainQualifiedName",
    "X.509 Subject Name": "urn:oasis:names:tc:SAML:1.1:nameid-format:X509SubjectName",
}
"""As the official plugin calls them."""
_NAMES_OF_FORMATS = {urn: name for name, urn in NAME_ID_FORMATS.items()}


class Configured(WithExtras):
    """What is the realm's and has an ``extraConfig``."""

    place: ClassVar[tuple[str, ...]] = ("realm",)


class ProviderType(Configured):
    """What identity providers of all protocols have in common; the id of one is its alias."""

    import_form = "REALM/ALIAS"
    common: ClassVar[Mapping[str, Field]] = {
        "alias": plainly("alias"),
        "providerId": plainly("providerId"),
        "internalId": plainly("internalId"),
        "displayName": plainly("displayName"),
        "firstBrokerLoginFlowAlias": plainly("firstBrokerLoginFlowAlias"),
        "postBrokerLoginFlowAlias": plainly("postBrokerLoginFlowAlias"),
        "hideOnLoginPage": plainly("hideOnLogin", absent=False),
        **{
            name: plainly(name, absent=False)
            for name in (
                "addReadTokenRoleOnCreate", "authenticateByDefault", "enabled", "linkOnly", "storeToken", "trustEmail"
            )
        },
        "guiOrder": plainly("config.guiOrder"),
        "syncMode": plainly("config.syncMode"),
        "backchannelSupported": flag("config.backchannelSupported"),
        "loginHint": plainly("config.loginHint"),
        "validateSignature": flag("config.validateSignature"),
    }  # fmt: skip
    common_defaults: ClassVar[Mapping[str, Any]] = {
        "addReadTokenRoleOnCreate": False,
        "authenticateByDefault": False,
        "enabled": True,
        "firstBrokerLoginFlowAlias": "first broker login",
        "linkOnly": False,
        "orgRedirectModeEmailMatches": False,
        "storeToken": True,
        "syncMode": "LEGACY",
        "trustEmail": False,
    }

    def problems(self, inputs: Plain) -> Iterator[tuple[str, str]]:
        if known(inputs.get("syncMode"), "FORCE") not in SYNC_MODES:
            yield "syncMode", f"must be one of {', '.join(SYNC_MODES)}"

    def collection(self, values: Plain) -> str:
        return f"/{values['realm']}/identity-provider/instances"

    def item(self, resource_id: str, values: Plain) -> str:
        return f"{self.collection(values)}/{segment(resource_id)}"

    def find(self, inputs: Plain, call: Call) -> str | None:
        return str(inputs["alias"])

    def identify(self, answer: str, inputs: Plain, call: Call) -> str:
        return str(inputs["alias"])

    def body(self, inputs: Plain) -> dict[str, Any]:
        return super().body({key: value for key, value in inputs.items() if key != "internalId"})


class OidcProviderType(ProviderType):
    """``keycloak:oidc/identityProvider:IdentityProvider``."""

    token = "keycloak:oidc/identityProvider:IdentityProvider"  # noqa: S105 - a type token
    fields: ClassVar[Mapping[str, Field]] = {
        **ProviderType.common,
        "acceptsPromptNoneForwardFromClient": flag("config.acceptsPromptNoneForwardFromClient"),
        "authorizationUrl": plainly("config.authorizationUrl"),
        "clientId": plainly("config.clientId"),
        "clientSecret": plainly("config.clientSecret"),
        "defaultScopes": plainly("config.defaultScope"),
        "disableTypeClaimCheck": flag("config.disableTypeClaimCheck"),
        "disableUserInfo": flag("config.disableUserInfo"),
        "issuer": plainly("config.issuer"),
        "jwksUrl": plainly("config.jwksUrl"),
        "logoutUrl": plainly("config.logoutUrl"),
        "tokenUrl": plainly("config.tokenUrl"),
        "uiLocales": flag("config.uiLocales"),
        "userInfoUrl": plainly("config.userInfoUrl"),
    }
    supported = frozenset({*fields, "extraConfig", "realm"} - {"internalId"})
    defaults: ClassVar[Mapping[str, Any]] = {
        **ProviderType.common_defaults,
        "acceptsPromptNoneForwardFromClient": False,
        "backchannelSupported": True,
        "defaultScopes": "openid",
        "disableTypeClaimCheck": False,
        "disableUserInfo": False,
        "hideOnLoginPage": False,
        "providerId": "oidc",
        "uiLocales": False,
        "validateSignature": False,
    }
    computed = frozenset({"displayName", "internalId"})

    def problems(self, inputs: Plain) -> Iterator[tuple[str, str]]:
        yield from super().problems(inputs)
        if "clientSecret" not in inputs:
            yield "clientSecret", "is required"

    def body(self, inputs: Plain) -> dict[str, Any]:
        body = super().body(inputs)
        put(body, "config.useJwksUrl", str(bool(inputs.get("jwksUrl"))).lower())
        return body

    def state(self, body: Mapping[str, Any], known: Plain) -> Plain:
        # Of the secret Keycloak tells only that there is one.
        return {key: value for key, value in super().state(body, known).items() if key != "clientSecret"}


class SamlProviderType(ProviderType):
    """``keycloak:saml/identityProvider:IdentityProvider``; ``entityId`` is the realm's own, as upstream has it."""

    token = "keycloak:saml/identityProvider:IdentityProvider"  # noqa: S105 - a type token
    fields: ClassVar[Mapping[str, Field]] = {
        **ProviderType.common,
        "entityId": plainly("config.entityId"),
        "nameIdPolicyFormat": Field(
            "config.nameIDPolicyFormat",
            lambda name: NAME_ID_FORMATS.get(name, ""),
            lambda urn: _NAMES_OF_FORMATS.get(urn, ""),
        ),
        "principalAttribute": plainly("config.principalAttribute"),
        "principalType": plainly("config.principalType"),
        "signingCertificate": plainly("config.signingCertificate"),
        "singleLogoutServiceUrl": plainly("config.singleLogoutServiceUrl"),
        "singleSignOnServiceUrl": plainly("config.singleSignOnServiceUrl"),
        **{
            name: flag(f"config.{name}")
            for name in (
                "forceAuthn", "postBindingAuthnRequest", "postBindingLogout", "postBindingResponse",
                "wantAssertionsEncrypted", "wantAssertionsSigned", "wantAuthnRequestsSigned",
            )
        },
    }  # fmt: skip
    supported = frozenset({*fields, "extraConfig", "realm"} - {"internalId"})
    defaults: ClassVar[Mapping[str, Any]] = {**ProviderType.common_defaults, "providerId": "saml"}
    computed = frozenset({"internalId", "wantAuthnRequestsSigned"})

    def problems(self, inputs: Plain) -> Iterator[tuple[str, str]]:
        yield from super().problems(inputs)
        if known(inputs.get("nameIdPolicyFormat"), "") not in ("", *NAME_ID_FORMATS):
            yield "nameIdPolicyFormat", f"must be one of {', '.join(NAME_ID_FORMATS)}"


class ProviderMapperType(Configured):
    """``keycloak:index/customIdentityProviderMapping:CustomIdentityProviderMapping``, of an identity provider."""

    token = "keycloak:index/customIdentityProviderMapping:CustomIdentityProviderMapping"  # noqa: S105 - a type token
    fields: ClassVar[Mapping[str, Field]] = {
        "name": plainly("name"),
        "identityProviderAlias": plainly("identityProviderAlias"),
        "identityProviderMapper": plainly("identityProviderMapper"),
    }
    supported = frozenset({*fields, "extraConfig", "realm"})
    autonamed = True
    place: ClassVar[tuple[str, ...]] = ("realm", "identityProviderAlias")
    import_form = "REALM/IDENTITY_PROVIDER_ALIAS/ID"

    def collection(self, values: Plain) -> str:
        return f"/{values['realm']}/identity-provider/instances/{segment(values['identityProviderAlias'])}/mappers"

    def find(self, inputs: Plain, call: Call) -> str | None:
        found = self.admin.get(self.collection(inputs), call)
        return next((str(one["id"]) for one in found if pick(one, "name") == inputs["name"]), None)
