"""The doctor's checks: true of the machine, never raising, each fault with its fix."""

from __future__ import annotations

import socket
import time
from email.utils import formatdate

import httpx
import pytest

from infra.supply import checks
from infra.supply.checks import Check, run_checks
from infra.supply.process import SupplyError
from infra.supply.supplies import Supply, supply_for


def _by_name(found: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in found}


def test_a_taken_port_is_found_and_a_free_one_is_not() -> None:
    with socket.socket() as taken, socket.socket() as free:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        free.bind(("127.0.0.1", 0))
        used, open_port = taken.getsockname()[1], free.getsockname()[1]
        free.close()
        found = _by_name(run_checks(lambda: supply_for("registries"), ["redis"], ports=[used, open_port]))
    assert not found[f"port {used}"].ok
    assert str(used) in found[f"port {used}"].fix
    assert found[f"port {open_port}"].ok


def test_every_fault_has_a_fix_and_names_are_unique() -> None:
    found = run_checks(lambda: supply_for("registries"), ["redis"], ports=[1])
    assert len(_by_name(found)) == len(found) == 12
    assert all(check.fix for check in found if not check.ok)


def test_a_supply_that_is_not_to_be_had_is_one_fault_among_the_checks() -> None:
    def official() -> Supply:
        raise SupplyError("nothing is locked", fix="./praxis lock")

    found = _by_name(run_checks(official, ["redis"]))
    assert len(found) == 11
    assert (found["engine"].found, found["engine"].fix) == ("nothing is locked", "./praxis lock")
    assert not found["images"].ok


@pytest.mark.parametrize(("reached", "needed", "ok"), [(True, True, True), (False, False, True), (False, True, False)])
def test_a_container_registry_matters_to_the_official_supply(
    monkeypatch: pytest.MonkeyPatch, reached: bool, needed: bool, ok: bool
) -> None:
    monkeypatch.setattr(checks, "container_registry_reached", lambda: reached)
    assert checks._container_registry(needed=needed).ok is ok


@pytest.mark.parametrize(("off_s", "ok"), [(0, True), (20, True), (300, False), (-300, False)])
def test_the_clock_is_held_against_a_registrys(off_s: float, ok: bool) -> None:
    answer = httpx.Response(200, headers={"Date": formatdate(time.time() + off_s, usegmt=True)})
    check = checks._clock(answer)
    assert check.ok is ok
    assert ok or "timedatectl" in check.fix


def test_a_registry_matters_only_while_something_is_left_to_build() -> None:
    assert checks._reached("x", False, True, "fix").ok
    assert not checks._reached("x", False, False, "fix").ok
    assert not checks._reached("x", False, None, "fix").ok


def test_what_cannot_be_looked_at_is_not_in_order() -> None:
    def fails() -> Check:
        raise OSError("no")

    assert checks._guarded("x", fails) == Check(
        name="x", ok=False, found="could not look: no", fix="mend what it says, then look again"
    )


def test_too_little_memory_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "MEMORY_MIB", 10**9)
    assert not checks._memory().ok
