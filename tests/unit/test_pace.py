"""The SDK is what the program's pace was set for, and waits for the same as before."""

from __future__ import annotations

import ast
import asyncio
import gc
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest
from pulumi import log
from pulumi.runtime import stack

from infra.pace import AS_IS, keep_up


def of_sdk() -> Any:
    """What the SDK takes for ``asyncio``."""
    return vars(stack)["asyncio"]


@pytest.fixture
def _put_back() -> Iterator[None]:
    before, debug = of_sdk(), log.debug
    yield
    vars(stack)["asyncio"], log.debug = before, debug
    gc.enable()


def test_the_sdk_waits_as_it_did_when_this_was_written() -> None:
    """A new SDK may have mended it, or use its ``asyncio`` for something else: then look at ``infra.pace`` again."""
    waits = ast.parse(textwrap.dedent(inspect.getsource(stack.wait_for_rpcs)))
    used = [ast.unparse(one) for one in ast.walk(waits) if isinstance(one, ast.Call)]
    assert [one for one in used if one.startswith("asyncio.wait(")] == [
        "asyncio.wait(pending_outputs, return_when=asyncio.FIRST_COMPLETED)"
    ]
    elsewhere = inspect.getsource(stack).replace(inspect.getsource(stack.wait_for_rpcs), "")
    assert "asyncio.wait(" not in elsewhere


@pytest.mark.usefixtures("_put_back")
async def test_all_are_waited_for() -> None:
    keep_up()
    done, left = await of_sdk().wait(
        [asyncio.ensure_future(asyncio.sleep(0.001 * n, n)) for n in range(5)],
        return_when=asyncio.FIRST_COMPLETED,
    )
    assert ({one.result() for one in done}, left) == ({0, 1, 2, 3, 4}, set())


@pytest.mark.usefixtures("_put_back")
async def test_the_first_that_fails_ends_the_waiting() -> None:
    async def fails() -> None:
        raise ValueError("canary")

    keep_up()
    slow = asyncio.ensure_future(asyncio.sleep(60))
    done, left = await of_sdk().wait([slow, asyncio.ensure_future(fails())])
    assert left == {slow}
    with pytest.raises(ValueError, match="canary"):
        await done.pop()
    slow.cancel()


@pytest.mark.usefixtures("_put_back")
def test_the_sdk_can_be_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    before, debug = of_sdk(), log.debug
    monkeypatch.setenv(AS_IS, "1")
    keep_up()
    assert (of_sdk(), log.debug) == (before, debug)
    assert gc.isenabled()
