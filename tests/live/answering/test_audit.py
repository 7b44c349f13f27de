"""The audit chain of a running stack: verified from outside, exported, and proven again without the stack."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from infra.paths import REPOSITORY
from tests.proof import NAME, Proof


def test_the_chain_is_in_order_and_grows(proof: Proof) -> None:
    first = json.loads(proof.praxis("audit", "verify", NAME, "--json").stdout)
    assert (first["in_order"], first["findings"]) == (True, [])
    trace = proof.ask(proof.token("alice"), "Hello").headers["x-praxis-trace-id"]
    assert proof.receipt(trace)["proof"] == {"in_order": True, "findings": []}
    second = json.loads(proof.praxis("audit", "verify", NAME, "--json").stdout)
    assert second["in_order"]
    assert second["head"]["seq"] >= first["head"]["seq"] + 2


def test_an_export_is_verified_with_the_public_key_alone(proof: Proof, tmp_path: Path) -> None:
    file, key = tmp_path / "chain.jsonl", tmp_path / "chain.pem"
    file.write_text(proof.praxis("audit", "export", NAME).stdout, encoding="utf-8")
    key.write_text(proof.praxis("audit", "public-key", NAME).stdout, encoding="ascii")
    command = [sys.executable, "-m", "runtime.chain", str(file), "--key", str(key)]
    assert subprocess.run(command, cwd=REPOSITORY, check=False).returncode == 0
    file.write_text(file.read_text(encoding="utf-8").replace("admitted", "refused", 1), encoding="utf-8")
    assert subprocess.run(command, cwd=REPOSITORY, check=False).returncode == 1


def test_a_new_key(proof: Proof) -> None:
    proof.praxis("audit", "new-key", NAME)
    assert json.loads(proof.praxis("audit", "verify", NAME, "--json").stdout)["in_order"]
