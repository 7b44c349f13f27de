"""What a broken-off build leaves is known as ours, and goes; nobody else's does."""

from __future__ import annotations

import io
import tarfile

import docker
import pytest

from infra.supply.building import drop_inner_stages
from infra.supply.host import connect
from infra.supply.images import ImageBuilder, untagged


def _break_off(client: docker.DockerClient, base: str) -> None:
    """Build one layer on ``base``, then fail."""
    text = f"FROM {base}\nRUN touch /left-behind\nRUN false\n".encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))
    buffer.seek(0)
    said = client.api.build(
        fileobj=buffer, custom_context=True, rm=True, forcerm=True, nocache=True, decode=True, network_mode="none"
    )
    assert "error" in list(said)[-1]


def test_leftovers_of_ours_go_and_others_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRAXIS_KEEP_BUILD_CACHES", raising=False)
    client = connect()
    base = ImageBuilder(client, "source").base()
    somebodys = client.api.import_image_from_data(_empty_root())
    stranger = str(somebodys).split('"')[3]
    before = set(untagged(client))
    _break_off(client, base.id)
    left = set(untagged(client)) - before
    assert len(left) == 1
    assert stranger not in before | left
    drop_inner_stages(client)
    assert not left & set(untagged(client))
    assert client.images.get(base.id).tags
    client.images.remove(stranger)


def _empty_root() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("somebodys"))
    return buffer.getvalue()
