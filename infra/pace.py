"""Where Pulumi's Python SDK holds up a program of hundreds of resources, and what is done about it.

With 100 agents (470 resources) it took 10 s to preview that nothing changes, 5 s of them in what is put right here.
``PRAXIS_SDK_AS_IS=1`` leaves the SDK alone: then ``pulumi --debug`` shows its own words too.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

from pulumi import log
from pulumi.runtime import stack

AS_IS = "PRAXIS_SDK_AS_IS"


def keep_up() -> None:
    """Let the program, which is about to declare its resources, be no slower than the engine.

    - At its end the SDK waits for all outputs, and whenever one is ready it begins anew with all others: the square of
      their number (pulumi/pulumi#22411). To wait until all are ready, or one has failed, comes to the same.
    - It tells the engine of each step at debug level, and waits for an answer, whether anybody listens or not.
    - What the program makes lives as long as the program: to look for garbage finds none.
    """
    if os.environ.get(AS_IS):
        return
    vars(stack)["asyncio"] = SimpleNamespace(**{**vars(asyncio), "wait": _all_or_first_failure})
    log.debug = _unheard
    gc.disable()


async def _all_or_first_failure(
    tasks: Collection[asyncio.Task[Any]], **_: Any
) -> tuple[set[asyncio.Task[Any]], set[asyncio.Task[Any]]]:
    return await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)


def _unheard(*_: Any, **__: Any) -> None:
    pass
