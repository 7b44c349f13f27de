"""The ladder: from pure tests to the running stack, in one run that ends with what was not run, and why.

With two workers (``make test``) one begins with the tests that change a running stack, which wait more than they work,
and the other with everything else; the folders that come last are whoever's is done first.

A test that cannot run here says so with ``@pytest.mark.not_run("needs a real EKS")``; where no Docker daemon answers,
the upper rungs say so by themselves. Nothing is skipped in silence: every skip is in the closing list.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler.loadscope import LoadScopeScheduling

from infra.supply.host import docker_error
from tests import daemon

TESTS = Path(__file__).parent
RUNGS = ("unit", "contract", "golden", "engine", "live", "bench")
"""Folders of tests, from the bottom up."""
settings.register_profile("praxis", deadline=None)  # how long an example takes is the machine's to say, not the code's
settings.load_profile("praxis")
NEED_DOCKER = frozenset({"engine", "live", "bench"})
LONGEST = TESTS / "live/changing"
TO_SHARE = frozenset(TESTS / "engine" / name for name in ("plugins", "plugins/keycloak", "observability", ""))
"""Folders for whichever worker is done first: none of their tests is about images that come or go."""


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", "not_run(reason): cannot run on this kind of machine; listed with its reason")
    config.addinivalue_line("markers", "ends_docker: ends this machine's Docker daemon, and runs while nobody needs it")


def rung(item: pytest.Item) -> str:
    """The folder under tests/ that an item is in."""
    return item.path.relative_to(TESTS).parts[0]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order the items by rung, and mark those that cannot run here."""
    for item in items:
        if rung(item) not in RUNGS:
            raise pytest.UsageError(f"{item.nodeid}: not on a rung of the ladder ({', '.join(RUNGS)})")
    items.sort(key=lambda item: RUNGS.index(rung(item)))
    if hasattr(config, "workerinput"):  # one of several workers
        items.sort(key=_turn)
    without_docker = docker_error() if any(rung(item) in NEED_DOCKER for item in items) else ""
    for item in items:
        for marker in item.iter_markers("not_run"):
            item.add_marker(pytest.mark.skip(reason=marker.args[0]))
        if without_docker and rung(item) in NEED_DOCKER:
            item.add_marker(pytest.mark.skip(reason=f"no Docker daemon: {without_docker}"))


def _turn(item: pytest.Item) -> tuple[int, bool]:
    """When an item's turn comes: the longest piece of work first, what can be shared out last.

    Of the longest, what needs everybody away is first: the other worker is at its unit tests, few of which need Docker.
    """
    folder = item.path.parent
    return 0 if folder == LONGEST else 2 if folder in TO_SHARE else 1, item.get_closest_marker("ends_docker") is None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Nobody ends the Docker daemon while a test of another worker needs it (the engine's rung keeps it throughout)."""
    # One that is skipped needs nobody away: it would wait for the other worker's whole rung.
    skipped = any(marker.args[0] for marker in item.iter_markers("skipif"))
    if rung(item) != "live" or skipped:
        return (yield)
    with daemon.held(alone=item.get_closest_marker("ends_docker") is not None):
        return (yield)


class AFolderEach(LoadScopeScheduling):  # type: ignore[misc]  # published without types
    """The tests of a folder are one worker's, in their order: they share what is started for them."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.partition("::")[0].rpartition("/")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> AFolderEach:
    """How the tests are given to the workers, where there are several."""
    return AFolderEach(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what each worker did, for how long; then what was not run, and why."""
    _tell_work(terminalreporter)
    reasons: dict[str, list[str]] = defaultdict(list)
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[reason.removeprefix("Skipped: ")].append(report.nodeid)
    terminalreporter.section("not run here, and why")
    if not reasons:
        terminalreporter.write_line("nothing: every collected test was run")
    for reason, nodes in sorted(reasons.items()):
        terminalreporter.write_line(f"{reason} ({len(nodes)})")
        for node in nodes:
            terminalreporter.write_line(f"    {node}")


def _tell_work(reporter: pytest.TerminalReporter) -> None:
    """Minutes by worker and folder: how evenly the work is shared, and where it is."""
    minutes: dict[tuple[str, str], float] = defaultdict(float)
    for report in (one for reports in reporter.stats.values() for one in reports if isinstance(one, pytest.TestReport)):
        node = getattr(report, "node", None)
        if node is not None:
            folder = report.nodeid.partition("::")[0].rpartition("/")[0]
            minutes[node.gateway.id, folder] += report.duration / 60
    if minutes:
        reporter.section("minutes by worker and folder")
    for worker, folder in sorted(minutes):
        reporter.write_line(f"{worker} {minutes[worker, folder]:6.1f} {folder}")
