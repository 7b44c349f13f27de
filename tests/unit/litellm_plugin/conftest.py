"""A played LiteLLM, and the plugin driven against it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import respx

from tests.played_litellm import PlayedLiteLLM
from tests.unit.litellm_plugin.driver import URL, Driver


@pytest.fixture
def litellm() -> Iterator[PlayedLiteLLM]:
    played = PlayedLiteLLM()
    with respx.mock(base_url=URL, assert_all_called=False) as router:
        router.route().mock(side_effect=played)
        yield played


@pytest.fixture
def driver() -> Driver:
    return Driver()
