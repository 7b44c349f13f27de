"""The engine's state elsewhere than in a folder: real PostgreSQL, and S3 as moto plays it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from infra.supply.engine import build_engine, pulumi_environment
from tests.postgres import NoServerError, server

PROGRAM = """
import pulumi
pulumi.export("word", pulumi.Output.secret("canary-of-state"))
"""
BUCKET = "praxis-states"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(key, "played")
    for key in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(key, raising=False)
    playing = ThreadedMotoServer(port=0, verbose=False)
    playing.start()
    _, port = playing.get_host_and_port()
    endpoint = f"http://127.0.0.1:{port}"
    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket=BUCKET)
    yield f"s3://{BUCKET}?region=us-east-1&endpoint=127.0.0.1:{port}&disable_https=true&use_path_style=true"
    playing.stop()


@pytest.fixture
def postgres() -> Iterator[str]:
    try:
        with server(durable=False) as folder:
            yield f"postgres://custodian@/postgres?host={folder}&sslmode=disable"
    except NoServerError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("kind", ["s3", "postgres"])
def test_up_preview_and_destroy(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend: str = request.getfixturevalue(kind)
    build_engine()
    monkeypatch.setenv("PRAXIS_HOME", str(tmp_path / "home"))
    (tmp_path / "infra").mkdir()
    (tmp_path / "Pulumi.yaml").write_text("name: praxis\nruntime: python\nmain: infra/\n")
    (tmp_path / "infra/__main__.py").write_text(PROGRAM)
    environment = {**os.environ, **pulumi_environment("one", backend)}

    def pulumi(*words: str) -> str:
        command = ["pulumi", *words, "--non-interactive", "--color=never"]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    pulumi("stack", "init", "one")
    pulumi("up", "--yes", "-s", "one")
    exported = pulumi("stack", "export", "-s", "one")
    assert "canary-of-state" not in exported
    assert [one["type"] for one in json.loads(exported)["deployment"]["resources"]] == ["pulumi:pulumi:Stack"]
    pulumi("preview", "--expect-no-changes", "-s", "one")
    pulumi("destroy", "--yes", "-s", "one")
    pulumi("stack", "rm", "--yes", "one")
    assert not (tmp_path / "home" / "state" / ".pulumi").exists(), "nothing of it is on this machine"
