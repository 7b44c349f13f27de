"""The custodian's TLS towards the egress follows what is delivered: its own certificate, and whom it listens to."""

from __future__ import annotations

import ssl
from contextlib import suppress
from pathlib import Path

import pytest

from runtime.custodian.egress import Egress
from runtime.custodian.egress_api import server
from runtime.store import CaCert, EcKey, Recipe, ServerCert, Store
from tests.unit.runtime.custodian_world import PROVIDER_KEYS, UPSTREAMS, deliver

RECIPES: dict[str, Recipe] = {
    "ca-key": EcKey(),
    "ca-cert": CaCert("ca-key"),
    "custodian-tls-key": EcKey(),
    "custodian-tls-cert": ServerCert("custodian-tls-key", ca_key="ca-key", ca_cert="ca-cert", names=("custodian",)),
    "client-key": EcKey(),
    "client-cert": ServerCert("client-key", ca_key="ca-key", ca_cert="ca-cert", names=("egress",), client=True),
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "custody")
    made.ensure(RECIPES)
    return made


def client(store: Store, folder: Path) -> ssl.SSLContext:
    """The egress with the certificates that the store has now."""
    values = store.values()
    deliver(folder, **{name: values[name] for name in ("client-key", "client-cert")})
    context = ssl.create_default_context(cadata=values["ca-cert"])
    context.load_cert_chain(folder / "client-cert", folder / "client-key")
    return context


def shake_hands(serving: ssl.SSLContext, asking: ssl.SSLContext) -> int:
    """The serial number that the server showed. Raises ``ssl.SSLError`` when one does not take the other."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = serving.wrap_bio(up, down, server_side=True)
    theirs = asking.wrap_bio(down, up, server_hostname="custodian")
    for _ in range(5):
        for side in (theirs, ours):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
    with suppress(ssl.SSLWantReadError):
        theirs.read()
    shown = theirs.getpeercert() or {}
    return int(str(shown["serialNumber"]), 16)


def test_each_handshake_takes_what_is_delivered_then(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    deliver(folder, **store.values())
    serving = server(Egress(UPSTREAMS, PROVIDER_KEYS.get), folder).config.ssl
    assert serving is not None
    old = client(store, tmp_path)
    first = shake_hands(serving, old)
    assert shake_hands(serving, old) == first

    store.rotate("custodian-tls-key", RECIPES)
    deliver(folder, **{"custodian-tls-key": store.get("custodian-tls-key")})
    assert shake_hands(serving, old) == first, "half of a delivery"
    deliver(folder, **store.values())
    assert shake_hands(serving, old) != first

    store.rotate("ca-key", RECIPES)
    deliver(folder, **store.values())
    shake_hands(serving, client(store, tmp_path))
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    with pytest.raises(ssl.SSLError):
        shake_hands(serving, old)
