"""How the stand-in for pulumi-keycloak reaches its server, or says that it does not."""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_keycloak as keycloak
import pytest
from pulumi import automation

from tests.engine.plugins.conftest import Deployer
from tests.engine.plugins.keycloak_server import Server, late_door, signed_in

pytestmark = pytest.mark.timeout(600)  # seconds, on a machine that does other things as well
PROTOCOL_PORT = 9
"""The "discard" port: nothing listens there."""


def test_a_changed_address_of_the_server_replaces_nothing(deploy: Deployer, server: Server, unique: str) -> None:
    url = server.url

    def program() -> None:
        keycloak.Realm("realm", realm=unique, opts=signed_in(server, url=url))

    stack = deploy(program)
    stack.up()
    url = f"{server.url}/"
    assert stack.up() == {"update": 1}
    assert stack.preview() == {}


def test_an_address_that_is_not_known_yet_needs_no_server_in_a_preview(
    deploy: Deployer, server: Server, unique: str
) -> None:
    def program() -> None:
        first = keycloak.Realm("first", realm=f"{unique}-1", opts=signed_in(server))
        later = keycloak.Provider(
            "later",
            url=first.internal_id.apply(lambda _: server.url),
            username=server.user,
            password=server.password,
            client_id="admin-cli",
        )
        keycloak.Realm("second", realm=unique, opts=pulumi.ResourceOptions(provider=later))

    stack = deploy(program)
    assert stack.preview() == {"create": 5}
    assert stack.up() == {"create": 5}
    assert stack.preview(refresh=True) == {}
    stack.destroy()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"password": "wrong"}, "refuses the sign-in of 'admin' to realm 'master': Invalid user credentials"),
        ({"url": f"http://127.0.0.1:{PROTOCOL_PORT}"}, f"Keycloak does not answer at http://127.0.0.1:{PROTOCOL_PORT}"),
        ({"red_hat_sso": True}, "redHatSso"),
    ],
    ids=["wrong password", "no server", "a setting that is not supported"],
)
def test_a_server_that_cannot_be_used_is_said_so(
    arguments: dict[str, Any], words: str, deploy: Deployer, server: Server, unique: str
) -> None:
    def program() -> None:
        keycloak.Realm("realm", realm=unique, opts=signed_in(server, **arguments, initial_login=True))

    stack = deploy(program)
    with pytest.raises(automation.CommandError):
        stack.up()
    assert words in stack.said
    assert "Traceback" not in stack.said


def test_a_server_that_is_starting_is_waited_for(deploy: Deployer, server: Server, unique: str) -> None:
    with late_door(server, after_s=4) as url:
        stack = deploy(lambda: keycloak.Realm("realm", realm=unique, opts=signed_in(server, url=url)))
        assert stack.up() == {"create": 3}
        stack.destroy()
