"""Durations as Go writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.plugins.standins.durations import nanoseconds, written


@pytest.mark.parametrize(
    ("value_ns", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_500, "1.5µs"),
        (250_000_000, "250ms"),
        (1_000_000_000, "1s"),
        (1_500_000_000, "1.5s"),
        (60_000_000_000, "1m0s"),
        (90_000_000_000, "1m30s"),
        (100_000_000_000, "1m40s"),
        (3_600_000_000_000, "1h0m0s"),
        (36_000_000_000_000, "10h0m0s"),
    ],
)
def test_as_go_prints_them(value_ns: int, text: str) -> None:
    assert written(value_ns) == text
    assert nanoseconds(text) == value_ns


@given(st.integers(0, 10**16))
def test_there_and_back(value_ns: int) -> None:
    assert nanoseconds(written(value_ns)) == value_ns


@pytest.mark.parametrize("text", ["", "5", "1d", "s", "1m30", "-1s", "1 s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration such as 1m30s"):
        nanoseconds(text)
