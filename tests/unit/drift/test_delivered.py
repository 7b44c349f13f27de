"""Delivered secrets judged without a container; and the program that digests them, run on a folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from components.spec import ServiceSpec
from infra.drift.compare import Veil
from infra.drift.delivered import PROGRAM, Judge, digest
from infra.drift.findings import Finding, Kind

KEY = b"k" * 32
SPEC = ServiceSpec(
    name="redis",
    image="redis",
    uid=1,
    memory_mib=1,
    networks=(),
    secrets={"users.acl": "user default on >${redis-password} ~*\n", "plain": "${other}"},
)
VALUES = {"redis-password": "a-long-password", "other": "x"}
CONTENT = {"users.acl": "user default on >a-long-password ~*\n", "plain": "x"}


def judged(live: dict[str, str], values: dict[str, str] = VALUES) -> list[Finding]:
    digests = {"redis": {name: digest(KEY, content) for name, content in live.items()}}
    return list(Judge("t", (SPEC,), {"redis": "urn"}, Veil(b"v"), values).judged(digests, KEY))


def test_as_the_store_has_it() -> None:
    assert judged(CONTENT) == []


def test_changed_missing_and_foreign_files_without_a_value() -> None:
    found = judged({"users.acl": "user default on nopass\n", "more": "y"})
    assert [(one.place, one.kind) for one in found] == [
        ("secrets/redis/more", Kind.FOREIGN),
        ("secrets/redis/plain", Kind.MISSING),
        ("secrets/redis/users.acl", Kind.CHANGED),
    ]
    assert "a-long-password" not in repr(found)
    assert "nopass" not in repr(found)


def test_what_has_expired_may_stay_as_it_was_delivered() -> None:
    assert judged({"users.acl": CONTENT["users.acl"], "plain": "old"}, {"redis-password": "a-long-password"}) == []


def test_the_program_digests_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    for name, content in {**CONTENT, ".ready": ""}.items():
        (tmp_path / "redis" / name).write_text(content)
    program = PROGRAM.replace('"/deliver"', repr(str(tmp_path)))
    said = subprocess.run([sys.executable, "-c", program, KEY.hex()], capture_output=True, text=True, check=True).stdout
    assert judged({}) != []
    assert list(Judge("t", (SPEC,), {"redis": "urn"}, Veil(b"v"), VALUES).judged(json.loads(said), KEY)) == []
