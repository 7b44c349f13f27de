"""What was found out is known for a while, and of so many things."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runtime.custodian.remembering import Lately


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_known_until_its_time_is_over() -> None:
    clock = Clock()
    known: Lately[str, int] = Lately(2.0, 10, clock)
    known.put("a", 1)
    clock.now += 1.9
    assert known.get("a") == 1
    clock.now += 0.1
    assert known.get("a") is None
    assert len(known) == 0


def test_forgotten_before_its_time() -> None:
    known: Lately[str, int] = Lately(2.0, 10)
    known.put("a", 1)
    known.forget("a")
    known.forget("never known")
    assert known.get("a") is None


@given(st.lists(st.integers(0, 30)), st.integers(1, 10))
def test_never_more_than_so_many_and_the_latest_is_among_them(keys: list[int], most: int) -> None:
    known: Lately[int, int] = Lately(2.0, most, Clock())
    for key in keys:
        known.put(key, -key)
        assert known.get(key) == -key
    assert len(known) <= most
