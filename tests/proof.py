"""A stack of the tests' own, beside whatever else runs here: the laptop stack on other ports, with six more people.

``carol`` has a budget for less than one answer, ``dave`` one for about ten. ``eve`` is a demo user of a role that may
use no model at all. ``frank`` leaves the company, again and again. ``ivan`` and ``judy`` ask for nothing but what the
books are compared about. With an authority given, models of a provider are declared too, which the tests themselves
play.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import yaml
from joserfc.jwk import ECKey

from config import load_stack
from config.stack import Stack
from infra.paths import REPOSITORY, stack_folder
from runtime.store import Store

SECOND = os.environ.get("PYTEST_XDIST_WORKER", "gw0") != "gw0"
"""Whether these are the tests of a second worker: it has a stack of its own beside the first one's."""
NAME = os.environ.get("PRAXIS_PROOF_NAME", "proof") + ("-b" if SECOND else "")
"""With another name, and other ports, a second run goes on beside one on the same machine."""
FIRST_PORT = int(os.environ.get("PRAXIS_PROOF_PORT", "18080")) + (1000 if SECOND else 0)
PORTS = {"http_port": FIRST_PORT, "https_port": FIRST_PORT + 363, "admin_port": FIRST_PORT + 10}


def _canary(begin: str, letter: str) -> str:
    """Another in every run: a constant would stand in this module's bytecode, which everybody on the machine may read,
    the hostile program of ``demo exfiltrate`` too."""
    return f"{begin}proofcanary{letter}{secrets.token_hex(18)}"


ANTHROPIC_KEY = _canary("sk-ant-api03-", "A")
OPENAI_KEY = _canary("sk-proj-", "O")
GEMINI_KEY = _canary("AIzaSy", "G")
USER_TOKEN = _canary("sk-ant-oat01-", "U")
OTHER_USER_TOKEN = _canary("sk-ant-oat01-", "V")
"""Of an account with another e-mail address than anybody's here."""
CAREFUL = {"models": ["smollm2"], "mfa": True, "budget": {"usd": 5, "period": "month"}}
"""A role that asks for a second factor, as a stack file declares it."""
ROBOT = ECKey.generate_key("P-256")
"""The key by which the agent of this name signs in."""
PRICE = {"input": 3, "output": 15}
PROVIDER_MODELS: dict[str, dict[str, Any]] = {
    "claude": {"provider": "anthropic", "api_key": "secret://anthropic-api-key"},
    "claude-own": {"provider": "anthropic", "user_tokens": True},
    "gpt": {"provider": "openai", "api_key": "secret://openai-api-key"},
    "gemini": {"provider": "gemini", "model": "gemini-2.5-flash", "api_key": "secret://gemini-api-key"},
}


def declare(folder: Path, authority: str = "") -> None:
    """Write the proof stack's file into ``folder``; ``authority`` (PEM) vouches for the tests' own provider."""
    raw: dict[str, Any] = yaml.safe_load((REPOSITORY / "stacks/laptop.yaml").read_text())
    raw["edge"] |= PORTS
    raw["roles"]["guest"] = {"models": [], "budget": {"usd": 1, "period": "month"}}
    person = {"department": "research", "given_name": "Test", "family_name": "Person"}
    raw["people"]["carol"] = {
        **person,
        "role": "engineer",
        "email": "carol@example.com",
        "budget": {"usd": 0.000001, "period": "month"},
    }
    raw["people"]["dave"] = {
        **person,
        "role": "engineer",
        "email": "dave@example.com",
        "budget": {"usd": 0.0002, "period": "month"},
    }
    raw["people"]["frank"] = {**person, "role": "engineer", "email": "frank@example.com"}
    for name in ("ivan", "judy"):
        raw["people"][name] = {**person, "role": "engineer", "email": f"{name}@example.com"}
    raw["agents"]["robot"] = {
        "role": "analyst",
        "department": "finance",
        "on_behalf_of": ["research"],
        "public_keys": [ROBOT.as_pem(private=False).decode()],
    }
    raw["people"]["eve"] = {**person, "role": "guest", "email": "eve@example.com"}
    if authority:
        raw["egress"] = {"authorities": authority}
        for name, model in PROVIDER_MODELS.items():
            raw["models"][name] = {**model, "price_usd_per_million_tokens": PRICE}
            raw["roles"]["engineer"]["models"].append(name)
    (folder / f"{NAME}.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))


@dataclass(frozen=True)
class Proof:
    """The running proof stack. ``said`` is everything that the command line has printed so far."""

    stacks: Path
    said: list[str]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "PRAXIS_STACKS": str(self.stacks)}

    def praxis(
        self, *arguments: str, check: bool = True, timeout_s: float = 900, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run ``./praxis`` as a user would; what it prints is kept for the canary test."""
        done = subprocess.run(
            [str(REPOSITORY / "praxis"), *arguments],
            env=self.environment,
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            input=stdin,
            timeout=timeout_s,
            check=False,
        )
        if arguments[0] not in ("token", "enroll", "env"):
            self.said.extend([done.stdout, done.stderr])
        assert not check or done.returncode == 0, f"praxis {arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def wait_until_ready(self, timeout_s: float) -> None:
        """Until ``praxis status`` finds every service ready."""
        until = time.monotonic() + timeout_s
        while True:
            done = self.praxis("status", NAME, "--json", check=False)
            if done.returncode == 0:
                return
            assert time.monotonic() < until, done.stderr
            time.sleep(2)

    @cached_property
    def stack(self) -> Stack:
        return load_stack(NAME, self.stacks)

    @property
    def store(self) -> Store:
        return Store(stack_folder(NAME).custody)

    @property
    def url(self) -> str:
        return f"http://localhost:{PORTS['http_port']}"

    def token(self, subject: str, *options: str) -> str:
        """A credential of ``subject``, as ``praxis token`` prints it."""
        return self.praxis("token", NAME, "--as", subject, *options).stdout.splitlines()[-1]

    def ask(self, credential: str | None, text: str, **overrides: Any) -> httpx.Response:
        """One chat completion in OpenAI's dialect."""
        body = {"model": "smollm2", "max_tokens": 8, "messages": [{"role": "user", "content": text}], **overrides}
        headers = {"Authorization": f"Bearer {credential}"} if credential else {}
        return httpx.post(f"{self.url}/v1/chat/completions", json=body, headers=headers, timeout=120, trust_env=False)

    def respond(self, credential: str | None, text: str, max_tokens: int = 8, **overrides: Any) -> httpx.Response:
        """One response, as OpenAI's Responses API calls it."""
        body = {"model": "smollm2", "max_output_tokens": max_tokens, "input": text, **overrides}
        headers = {"Authorization": f"Bearer {credential}"} if credential else {}
        return httpx.post(f"{self.url}/v1/responses", json=body, headers=headers, timeout=120, trust_env=False)

    def message(
        self, credential: str | None, text: str, extra: Mapping[str, str] | None = None, **overrides: Any
    ) -> httpx.Response:
        """One message in Anthropic's dialect; ``extra`` are headers."""
        body = {"model": "smollm2", "max_tokens": 8, "messages": [{"role": "user", "content": text}], **overrides}
        headers = {"x-api-key": credential} if credential else {}
        headers |= {"anthropic-version": "2023-06-01", **(extra or {})}
        return httpx.post(f"{self.url}/v1/messages", json=body, headers=headers, timeout=120, trust_env=False)

    def generate(
        self, credential: str | None, text: str, model: str = "smollm2", max_tokens: int = 8, **overrides: Any
    ) -> httpx.Response:
        """One answer in Gemini's dialect."""
        body = {
            "contents": [{"role": "user", "parts": [{"text": text}]}],
            "generationConfig": {"maxOutputTokens": max_tokens},
            **overrides,
        }
        headers = {"x-goog-api-key": credential} if credential else {}
        url = f"{self.url}/v1beta/models/{model}:generateContent"
        return httpx.post(url, json=body, headers=headers, timeout=120, trust_env=False)

    def models(self, credential: str) -> httpx.Response:
        """The list of models: the shortest question that is asked with a credential."""
        headers = {"Authorization": f"Bearer {credential}"}
        return httpx.get(f"{self.url}/v1/models", headers=headers, timeout=30, trust_env=False)

    def receipt(self, trace: str) -> dict[str, Any]:
        """The record of one request."""
        record: dict[str, Any] = json.loads(self.praxis("audit", "receipt", NAME, trace).stdout)
        return record
