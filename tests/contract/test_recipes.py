"""Both ways to make an image end in the same thing for who runs it: entry point, user, places, environment, ports."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

import pytest

from infra.supply.recipe import DOCKERFILE, IMAGES, OFFICIAL

PAIRS = sorted(file.parent.name for file in IMAGES.glob(f"*/{OFFICIAL}") if (file.parent / DOCKERFILE).is_file())
OWN_ROOT = frozenset({"postgres", "redis"})
"""Images that are all of a vendor's file system; nothing of ours is under them that would set these."""
MORE = {"redis": {"install -d -o 61016 -g 61016 -m 0700 /var/lib/queue"}}
"""Folders of services that the official supply alone can have."""
OF_THE_BASE = frozenset({"PATH", "LANG"})


@dataclass
class Result:
    """What a Dockerfile's last stage says about how its image runs."""

    parent: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)
    """Folders that it makes, with owner and mode."""
    context: set[str] = field(default_factory=set)
    """What it copies out of the image's own folder."""


def result(name: str, file: str) -> Result:
    text = (IMAGES / name / file).read_text()
    text = re.sub(r"\\\n\s*", " ", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE))
    found = Result()
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            found = Result(parent=rest)
        elif word in ("ENTRYPOINT", "CMD", "USER", "STOPSIGNAL", "WORKDIR", "EXPOSE", "VOLUME", "HEALTHCHECK"):
            found.settings[word] = rest
        elif word == "ENV":
            found.env |= dict(re.findall(r'(\w+)=("[^"]*"|\S+)', rest))
        elif word == "RUN":
            found.made |= set(re.findall(r"install -d [^&]+", rest.strip() + " "))
        elif word == "COPY" and not rest.startswith("--from"):
            found.context |= {source for source in rest.split()[:-1] if (IMAGES / name / source).exists()}
    found.made = {each.strip() for each in found.made}
    return found


def test_every_vendor_that_publishes_a_program_of_ours_has_a_pair() -> None:
    assert PAIRS == ["collector", "keycloak", "postgres", "redis", "sso", "traefik"]


@pytest.mark.parametrize("name", PAIRS)
class TestPair:
    def test_runs_alike(self, name: str) -> None:
        ours, official = result(name, DOCKERFILE), result(name, OFFICIAL)
        assert official.settings == ours.settings
        assert json.loads(official.settings["ENTRYPOINT"])[0] == "await-secrets"
        assert "VOLUME" not in official.settings

    def test_has_the_same_environment(self, name: str) -> None:
        ours, official = result(name, DOCKERFILE).env, result(name, OFFICIAL).env
        base = OF_THE_BASE if name in OWN_ROOT else frozenset()
        assert {key: value for key, value in official.items() if key not in base} == {
            key: value for key, value in ours.items() if key not in base
        }
        assert OF_THE_BASE & official.keys() == base

    def test_has_the_same_folders_with_the_same_owners(self, name: str) -> None:
        assert result(name, OFFICIAL).made == result(name, DOCKERFILE).made | MORE.get(name, set())

    def test_holds_the_same_files_of_ours(self, name: str) -> None:
        assert result(name, OFFICIAL).context == result(name, DOCKERFILE).context - {"keycloak"}

    def test_takes_nothing_over_from_the_vendors_settings(self, name: str) -> None:
        """Its user, volumes and entry point are the vendor's idea of running it: the last stage stands on none."""
        assert result(name, OFFICIAL).parent == ("scratch" if name in OWN_ROOT else "${BASE}")

    def test_a_program_that_nobody_may_read_is_so_either_way(self, name: str) -> None:
        toml = (IMAGES / name / "image.toml").read_text()
        assert ('mode = "0111"' in toml) is ("chmod 0111" in (IMAGES / name / OFFICIAL).read_text())
