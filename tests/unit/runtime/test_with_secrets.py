"""What a service does before it starts: waits, reads, closes its memory."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from runtime.with_secrets import Delivered, read_secret, wait_for_secrets
from tests.unit.runtime.custodian_world import deliver

REPOSITORY = Path(__file__).parents[3]


def test_waits_until_the_delivery_is_whole(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("x")
    timer = threading.Timer(0.5, (tmp_path / ".ready").touch)
    timer.start()
    begin = time.monotonic()
    wait_for_secrets(tmp_path, timeout_s=10)
    assert time.monotonic() - begin >= 0.4


def test_gives_up_with_one_line(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="is the secrets agent running"):
        wait_for_secrets(tmp_path, timeout_s=0.1)


def test_reads_what_was_delivered_byte_by_byte(tmp_path: Path) -> None:
    (tmp_path / "pem").write_text("-----BEGIN-----\nabc\n")
    assert read_secret("pem", tmp_path) == "-----BEGIN-----\nabc\n"


def test_a_missing_secret_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="secret 'password' cannot be read: No such file"):
        read_secret("password", tmp_path)


class TestDelivered:
    def test_a_new_value_counts_at_once_and_the_old_one_for_a_while(self, tmp_path: Path) -> None:
        now = time.time()
        deliver(tmp_path, key="one")
        secret = Delivered("key", tmp_path, clock=lambda: now)
        assert secret.accepted() == ("one",)
        deliver(tmp_path, key="two")
        assert secret.value == "two"
        assert secret.accepted() == ("two", "one")
        assert secret.matches("one")
        assert not secret.matches("three")
        now += 121
        assert secret.accepted() == ("two",)
        assert secret.accepted(600) == ("two", "one")
        assert not secret.matches("one")

    def test_the_while_begins_with_the_delivery_not_with_the_next_look(self, tmp_path: Path) -> None:
        deliver(tmp_path, key="one")
        secret = Delivered("key", tmp_path)
        deliver(tmp_path, key="two")
        os.utime(tmp_path / "key", (time.time() - 300,) * 2)
        assert secret.accepted() == ("two",)

    def test_delivered_again_with_the_same_value_is_no_change(self, tmp_path: Path) -> None:
        deliver(tmp_path, key="one")
        secret = Delivered("key", tmp_path)
        deliver(tmp_path, key="one")
        assert secret.accepted() == ("one",)

    def test_while_the_agent_starts_anew_the_last_value_counts(self, tmp_path: Path) -> None:
        deliver(tmp_path, key="one")
        secret = Delivered("key", tmp_path)
        (tmp_path / "key").unlink()
        assert secret.value == "one"
        deliver(tmp_path, key="two")
        assert secret.value == "two"

    def test_two_changes_leave_both_old_values(self, tmp_path: Path) -> None:
        deliver(tmp_path, key="one")
        secret = Delivered("key", tmp_path)
        for value in ("two", "three"):
            deliver(tmp_path, key=value)
            assert secret.value == value
        assert secret.accepted() == ("three", "two", "one")

    def test_it_does_not_show_itself_and_must_be_there(self, tmp_path: Path) -> None:
        deliver(tmp_path, key="canary")
        assert "canary" not in repr(Delivered("key", tmp_path))
        with pytest.raises(SystemExit, match="secret 'other' cannot be read"):
            Delivered("other", tmp_path)


def test_others_of_the_same_user_cannot_look_into_the_process() -> None:
    """Asked of the kernel (PR_GET_DUMPABLE): not dumpable means that environment, memory and ptrace are root's."""
    code = (
        "import ctypes, resource; from runtime.with_secrets import undumpable\n"
        "look = lambda: (ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE)[1] == 0)\n"
        "before = look(); undumpable(); print(before[0], *look())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "0", "True"]


def test_only_the_standard_library() -> None:
    code = "import runtime.with_secrets, sys; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    foreign = set(done.stdout.split()) - set(sys.stdlib_module_names) - {"runtime", "__main__"}
    assert foreign == set()
