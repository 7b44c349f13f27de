"""The edge's live routes judged by what Traefik's API answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
import respx

from components.blueprint import blueprint
from components.edge import ROUTES_PATH
from config import load_stack
from config.stack import Stack
from infra.drift import routes
from infra.paths import STACKS

Answer = list[dict[str, Any]]


@pytest.fixture
def stack() -> Stack:
    return load_stack("laptop", STACKS)


@pytest.fixture
def answer(stack: Stack) -> Answer:
    """What a Traefik with the declared routes says: in its own order, with names of the provider, and its own route."""
    declared = routes.declared_in(blueprint(stack, "laptop")["edge"])
    told = []
    for name, facts in declared.items():
        one = {**facts, "provider": "file", "middlewares": [f"{each}@file" for each in facts["middlewares"]]}
        if "https" not in facts["entryPoints"]:
            told.append({**one, "name": f"{name}@file"})
            continue
        # As Traefik 3 splits what is served with TLS and without.
        told.append({**one, "name": f"{name}@file", "entryPoints": ["http"]})
        told.append({**one, "name": f"https-{name}@file", "entryPoints": ["https"], "tls": {"options": "default"}})
    return [*told[::-1], {"name": "ping@internal", "provider": "internal", "rule": "x", "status": "enabled"}]


def looked(stack: Stack, told: Any, status: int = 200) -> list[str]:
    with respx.mock as outside:
        outside.get(f"http://127.0.0.1:8090{ROUTES_PATH}").respond(status, json=told)
        seen = routes.look(stack, "laptop", blueprint(stack, "laptop")["edge"])
    assert not (seen.findings and seen.unseen)
    return [one.what for one in seen.unseen] or [one.place for one in seen.findings]


def test_as_declared(stack: Stack, answer: Answer) -> None:
    assert looked(stack, answer) == []


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda one: one.update(rule="PathPrefix(`/`)"), "route/api/rule"),
        (lambda one: one.update(status="disabled"), "route/api/status"),
        (lambda one: one.update(middlewares=["rate@file"]), "route/api/middlewares"),
        (lambda one: one.update(service="custodian"), "route/api/service"),
    ],
)
def test_a_route_that_is_another(
    stack: Stack, answer: Answer, change: Callable[[dict[str, Any]], None], place: str
) -> None:
    for one in answer:
        if one["name"] in ("api@file", "https-api@file"):
            change(one)
    assert looked(stack, answer) == [place]


def test_one_that_is_another_with_tls_alone(stack: Stack, answer: Answer) -> None:
    (one,) = (one for one in answer if one["name"] == "https-api@file")
    one["rule"] = "PathPrefix(`/`)"
    assert looked(stack, answer) == ["route/api/entryPoints", "route/https-api/state"]


def test_one_that_is_missing_and_one_too_many(stack: Stack, answer: Answer) -> None:
    for one in answer:
        one["name"] = one["name"].replace("refuse@file", "back-door@file")
    assert "route/back-door/state" in looked(stack, answer)
    assert "route/refuse/state" in looked(stack, answer)


@pytest.mark.parametrize(("told", "status"), [([], 503), ({"no": "list"}, 200), ([{"provider": "file"}], 200)])
def test_what_cannot_be_looked_at_is_said(stack: Stack, told: Any, status: int) -> None:
    assert looked(stack, told, status) == [routes.WHAT]


def test_when_nobody_answers(stack: Stack) -> None:
    with respx.mock as outside:
        outside.get(f"http://127.0.0.1:8090{ROUTES_PATH}").mock(side_effect=httpx.ConnectError("down"))
        assert [one.what for one in routes.look(stack, "laptop", blueprint(stack, "laptop")["edge"]).unseen]
