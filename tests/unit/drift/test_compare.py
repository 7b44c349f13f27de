"""Facts against facts, looks merged, ignored paths, and secrets that stay hidden."""

from __future__ import annotations

from config.stack import IgnoredDrift
from infra.drift.compare import Veil, differences, flat, report
from infra.drift.findings import Finding, Kind, Seen, Unseen

VEIL = Veil(b"key", ["a-long-secret"])


def finding(resource: str, path: str, kind: Kind = Kind.CHANGED, live: str = "b") -> Finding:
    return Finding(resource=resource, path=path, kind=kind, declared="a", live=live, repair="./praxis up t")


def test_differences_name_what_is_changed_added_and_gone() -> None:
    found = list(differences({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 5, "d": 4}))
    assert found == [("b", 2, 5), ("c", 3, None), ("d", None, 4)]


def test_nested_objects_become_paths_and_lists_stay_whole() -> None:
    assert flat({"x": {"y": 1, "z": [2, 3], "__defaults": []}}, "top") == {"top.x.y": 1, "top.x.z": [2, 3]}


def test_what_two_looks_find_counts_once_and_the_first_stands() -> None:
    first, second = finding("realm/praxis", "x", live="first"), finding("realm/praxis", "x", live="second")
    merged = report("t", [Seen(findings=(first,)), Seen(findings=(second,))], [], VEIL)
    assert merged.findings == (first,)


def test_parts_of_what_is_missing_are_not_counted() -> None:
    gone, part = finding("user/bob", "state", Kind.MISSING), finding("user/bob", "roles", Kind.MISSING)
    assert report("t", [Seen(findings=(part, gone))], [], VEIL).findings == (gone,)


def test_the_order_is_stable() -> None:
    one, two = finding("b/b", "x"), finding("a/a", "x")
    assert report("t", [Seen(findings=(one, two))], [], VEIL) == report("t", [Seen(findings=(two, one))], [], VEIL)


def test_an_ignored_path_is_listed_with_its_reason_and_is_no_finding() -> None:
    rule = IgnoredDrift(path="container/*/env.TZ", reason="set by the host's agent")
    looks = [Seen(findings=(finding("container/edge", "env.TZ"), finding("container/edge", "env.OTHER")))]
    merged = report("t", looks, [rule], VEIL)
    assert [one.path for one in merged.findings] == ["env.OTHER"]
    assert [(one.finding.path, one.reason) for one in merged.ignored] == [("env.TZ", "set by the host's agent")]


def test_a_secret_is_never_shown() -> None:
    looks = [Seen(findings=(finding("container/edge", "env.A", live="prefix a-long-secret"),))]
    (found,) = report("t", looks, [], VEIL).findings
    assert found.live is not None
    assert found.live.startswith("hmac-sha256:")
    assert found.live == VEIL.digest("prefix a-long-secret")
    assert found.live != Veil(b"other").digest("prefix a-long-secret")


def test_what_was_not_seen_is_kept() -> None:
    unseen = Unseen(what="realm", why="Keycloak does not answer")
    assert report("t", [Seen(unseen=(unseen,)), Seen(unseen=(unseen,))], [], VEIL).unseen == (unseen,)
