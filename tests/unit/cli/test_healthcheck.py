"""A container's own health check, as it is run on demand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from docker.errors import APIError
from docker.models.containers import Container

from infra.healthcheck import command, passes


class Api:
    """As much of Docker's API as a check needs: ``code`` is what the program in the container exits with, after it has
    been asked about ``looks`` times."""

    def __init__(self, code: int | None, looks: int = 0) -> None:
        self.code, self.looks, self.ran = code, looks, list[list[str]]()

    def exec_create(self, container: str, cmd: list[str]) -> dict[str, str]:
        if self.code is None:
            raise APIError("is not running")
        self.ran.append(cmd)
        return {"Id": "check"}

    def exec_start(self, check: str, *, detach: bool) -> None:
        assert detach, "nobody waits for what it says"

    def exec_inspect(self, check: str) -> dict[str, Any]:
        self.looks -= 1
        return {"Running": self.looks >= 0, "ExitCode": None if self.looks >= 0 else self.code}


def container(api: Api, check: dict[str, Any] | None) -> Container:
    config = {} if check is None else {"Healthcheck": check}
    made = SimpleNamespace(id="one", attrs={"Config": config}, client=SimpleNamespace(api=api))
    return cast("Container", made)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"Healthcheck": {"Test": ["CMD", "probe", "80"]}}, ["probe", "80"]),
        ({"Healthcheck": {"Test": ["CMD-SHELL", "exit 0"]}}, ["/bin/sh", "-c", "exit 0"]),
        ({"Healthcheck": {"Test": ["CMD-SHELL", "exit 0"]}, "Shell": ["/bin/ash", "-c"]}, ["/bin/ash", "-c", "exit 0"]),
        ({"Healthcheck": {"Test": ["NONE"]}}, []),
        ({"Healthcheck": {}}, []),
        ({"Healthcheck": None}, []),
        ({}, []),
    ],
)
def test_what_is_run(config: dict[str, Any], expected: list[str]) -> None:
    assert command(config) == expected


@pytest.mark.parametrize(("code", "expected"), [(0, True), (1, False), (None, False)])
def test_it_passes_by_its_exit_code(code: int | None, expected: bool) -> None:
    api = Api(code)
    assert passes(container(api, {"Test": ["CMD", "probe"]})) is expected
    assert api.ran == ([] if code is None else [["probe"]])


def test_it_is_waited_for_as_long_as_it_may_take() -> None:
    test = {"Test": ["CMD", "probe"], "Timeout": 200_000_000}
    assert passes(container(Api(0, looks=2), test))
    assert not passes(container(Api(0, looks=1000), test))


def test_where_there_is_no_check_it_passes() -> None:
    assert passes(container(Api(None), None))
