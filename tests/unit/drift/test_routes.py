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
    told = [
        {
            **facts,
            "name": f"{name}@file",
            "provider": "file",
            "middlewares": [f"{one}@file" for one in facts["middlewares"]],
            "using": facts["entryPoints"],
        }
        for name, facts in declared.items()
    ]
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
        (lambda one: one["middlewares"].remove("authenticate@file"), "route/api/middlewares"),
        (lambda one: one.update(entryPoints=["http"]), "route/api/entryPoints"),
        (lambda one: one.update(service="custodian"), "route/api/service"),
    ],
)
def test_a_route_that_is_another(
    stack: Stack, answer: Answer, change: Callable[[dict[str, Any]], None], place: str
) -> None:
    change(next(one for one in answer if one["name"] == "api@file"))
    assert looked(stack, answer) == [place]


def test_one_that_is_missing_and_one_too_many(stack: Stack, answer: Answer) -> None:
    (refuse,) = (one for one in answer if one["name"] == "refuse@file")
    refuse["name"] = "back-door@file"
    assert looked(stack, answer) == ["route/back-door/state", "route/refuse/state"]


@pytest.mark.parametrize(("told", "status"), [([], 503), ({"no": "list"}, 200), ([{"provider": "file"}], 200)])
def test_what_cannot_be_looked_at_is_said(stack: Stack, told: Any, status: int) -> None:
    assert looked(stack, told, status) == [routes.WHAT]


def test_when_nobody_answers(stack: Stack) -> None:
    with respx.mock as outside:
        outside.get(f"http://127.0.0.1:8090{ROUTES_PATH}").mock(side_effect=httpx.ConnectError("down"))
        assert [one.what for one in routes.look(stack, "laptop", blueprint(stack, "laptop")["edge"]).unseen]
