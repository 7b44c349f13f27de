"""Identity providers and their mappers by the stand-in for pulumi-keycloak, against a real server."""

from __future__ import annotations

import json

import pulumi
import pulumi_keycloak as keycloak
import pytest

from tests.engine.plugins.conftest import Deployer
from tests.engine.plugins.keycloak_server import Server, signed_in

pytestmark = pytest.mark.timeout(600)  # seconds, on a machine that does other things as well
MAPPER = "oidc-advanced-role-idp-mapper"


class Directories:
    """A realm with a directory of each protocol; its settings can be changed between runs."""

    def __init__(self, server: Server, realm: str) -> None:
        self.server = server
        self.realm = realm
        self.secret = f"canary-secret-{realm}"
        self.title: str | None = "Acme"
        self.scopes = "openid email"
        self.extra = {"clientAuthMethod": "client_secret_post", "pkceEnabled": "true", "pkceMethod": "S256"}
        self.claim = {"claims": json.dumps([{"key": "groups", "value": "a"}]), "role": "engineer"}
        self.name_id = "Persistent"

    def __call__(self) -> None:
        opts = signed_in(self.server)
        realm = keycloak.Realm("realm", realm=self.realm, opts=opts)
        acme = keycloak.oidc.IdentityProvider(
            "acme",
            realm=realm.id,
            alias="acme",
            display_name=self.title,
            client_id="praxis",
            client_secret=pulumi.Output.secret(self.secret),
            issuer="https://acme.example.com",
            authorization_url="https://acme.example.com/authorize",
            token_url="http://localhost:8200/acme/token",
            jwks_url="http://localhost:8200/acme/keys",
            validate_signature=True,
            disable_user_info=True,
            store_token=False,
            sync_mode="FORCE",
            gui_order="0",
            default_scopes=self.scopes,
            extra_config=self.extra,
            opts=opts,
        )
        keycloak.CustomIdentityProviderMapping(
            "mapper",
            realm=realm.id,
            identity_provider_alias=acme.alias,
            name="role-engineer",
            identity_provider_mapper=MAPPER,
            extra_config={"syncMode": "FORCE", "are.claim.values.regex": "false", **self.claim},
            opts=opts,
        )
        keycloak.saml.IdentityProvider(
            "old",
            realm=realm.id,
            alias="old",
            entity_id="urn:praxis",
            single_sign_on_service_url="https://old.example.com/saml",
            signing_certificate="MIIBAAAA",
            name_id_policy_format=self.name_id,
            post_binding_response=True,
            validate_signature=True,
            want_assertions_signed=True,
            sync_mode="FORCE",
            extra_config={"idpEntityId": "urn:old:idp"},
            opts=opts,
        )

    def live(self, alias: str) -> dict[str, object]:
        found: dict[str, object] = self.server.ask("GET", f"/{self.realm}/identity-provider/instances/{alias}")
        return found


RESOURCES = 4 + 2
"""Of the program above, with its provider and the stack itself."""


def test_a_whole_life(deploy: Deployer, server: Server, unique: str) -> None:
    program = Directories(server, unique)
    stack = deploy(program)
    assert stack.preview() == {"create": RESOURCES}
    assert stack.up() == {"create": RESOURCES}
    acme, old = program.live("acme"), program.live("old")
    assert (acme["providerId"], acme["displayName"], acme["trustEmail"]) == ("oidc", "Acme", False)
    assert isinstance(acme["config"], dict)
    assert acme["config"]["useJwksUrl"] == "true"
    assert acme["config"]["pkceMethod"] == "S256"
    assert isinstance(old["config"], dict)
    assert old["config"]["nameIDPolicyFormat"].endswith(":persistent")
    assert old["config"]["idpEntityId"] == "urn:old:idp"

    assert stack.preview() == {}
    assert stack.preview(refresh=True) == {}, stack.changed
    stack.stack.refresh(show_secrets=False)
    assert stack.preview(refresh=True) == {}, stack.changed
    assert program.secret not in stack.plain_state() + stack.said

    program.title, program.scopes, program.name_id = "Acme 2", "openid", "Email"
    program.extra = {"clientAuthMethod": "client_secret_basic"}
    program.claim = {"claims": json.dumps([{"key": "groups", "value": "b"}]), "role": "analyst"}
    assert stack.up() == {"update": 3}
    config = program.live("acme")["config"]
    assert isinstance(config, dict)
    assert (config["defaultScope"], config["clientAuthMethod"]) == ("openid", "client_secret_basic")
    assert not config.get("pkceMethod")
    (mapper,) = server.ask("GET", f"/{unique}/identity-provider/instances/acme/mappers")
    assert (mapper["config"]["role"], mapper["identityProviderMapper"]) == ("analyst", MAPPER)
    assert stack.preview(refresh=True) == {}, stack.changed

    program.secret = f"another-canary-{unique}"
    assert stack.up() == {"update": 1}
    assert stack.preview(refresh=True) == {}
    assert stack.destroy() == {"delete": RESOURCES}


def test_what_was_changed_by_hand_is_found_and_put_right(deploy: Deployer, server: Server, unique: str) -> None:
    program = Directories(server, unique)
    stack = deploy(program)
    stack.up()
    at = f"/{unique}/identity-provider/instances"
    server.ask("PUT", f"{at}/acme", {**program.live("acme"), "trustEmail": True})
    old = program.live("old")
    assert isinstance(old["config"], dict)
    server.ask("PUT", f"{at}/old", {**old, "config": {**old["config"], "idpEntityId": "urn:evil"}})
    (mapper,) = server.ask("GET", f"{at}/acme/mappers")
    server.ask("PUT", f"{at}/acme/mappers/{mapper['id']}", {**mapper, "config": {**mapper["config"], "role": "x"}})

    assert stack.preview(refresh=True) == {"update": 3}, stack.changed
    stack.up(refresh=True)
    assert program.live("acme")["trustEmail"] is False
    assert stack.preview(refresh=True) == {}

    server.ask("DELETE", f"{at}/acme")  # its mappers with it
    assert stack.preview(refresh=True) == {"create": 2}, stack.changed
    stack.up(refresh=True)
    assert stack.preview(refresh=True) == {}


def test_what_exists_is_named_with_the_way_to_import_it(deploy: Deployer, server: Server, unique: str) -> None:
    server.ask("POST", "", {"realm": unique, "enabled": True})
    taken = {"alias": "acme", "providerId": "oidc", "config": {"authorizationUrl": "https://a.example.com/",
             "tokenUrl": "https://a.example.com/", "clientId": "c", "clientSecret": "s"}}  # fmt: skip
    server.ask("POST", f"/{unique}/identity-provider/instances", taken)

    def program() -> None:
        keycloak.oidc.IdentityProvider(
            "acme",
            realm=unique,
            alias="acme",
            client_id="c",
            client_secret="s",
            authorization_url="https://a.example.com/",
            token_url="https://a.example.com/",
            opts=signed_in(server),
        )

    stack = deploy(program)
    with pytest.raises(pulumi.automation.CommandError):
        stack.up()
    assert f"pulumi import keycloak:oidc/identityProvider:IdentityProvider acme {unique}/acme" in stack.said
