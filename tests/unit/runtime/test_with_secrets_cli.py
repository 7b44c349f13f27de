"""with-secrets as a program, run as one: hands over, runs, redacts, and is otherwise not there."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
CANARY = "value-canary-0123456789"
OTHER = "other-canary-9876543210\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "secrets"
    made.mkdir()
    (made / "api-key").write_text(CANARY)
    (made / "other").write_text(OTHER)
    (made / ".ready").touch()
    return made


def line(folder: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "runtime.with_secrets", "--folder", str(folder), *options]


def run(
    folder: Path, *options: str, env: dict[str, str] | None = None, typed: str | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        line(folder, *options),
        env=env,
        input=typed,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


both = pytest.mark.parametrize("how", [(), ("--redact",)], ids=["exec", "redact"])


class TestHandingOver:
    @both
    def test_a_path(self, folder: Path, how: tuple[str, ...]) -> None:
        script = f'test "$KEY" = {folder}/api-key && test "$(cat $KEY)" = {CANARY}'
        assert run(folder, *how, "--file", "KEY=api-key", "--", "sh", "-c", script).returncode == 0

    @both
    def test_the_environment(self, folder: Path, how: tuple[str, ...]) -> None:
        script = f'test "$KEY" = {CANARY} && test "$OTHER" = "{OTHER}" && test "$KEPT" = kept'
        options = (*how, "--env", "KEY=api-key", "--env", "OTHER=other")
        done = run(folder, *options, "--", "bash", "-c", script, env={**os.environ, "KEPT": "kept"})
        assert done.returncode == 0, done.stderr

    @both
    def test_a_descriptor_that_nobody_can_change(self, folder: Path, how: tuple[str, ...]) -> None:
        program = (
            "import os; path = os.environ['KEY']\n"
            f"assert path.startswith('/proc/self/fd/') and open(path).read() == open(path).read() == {CANARY!r}\n"
            "number = int(path.rpartition('/')[2])\n"
            "for change, *how in (os.write, number, b'x'), (os.truncate, path, 0), (os.truncate, path, 99):\n"
            "    try: change(*how)\n"
            "    except PermissionError: continue\n"
            "    raise SystemExit('it was changed')"
        )
        done = run(folder, *how, "--fd", "KEY=api-key", "--", sys.executable, "-c", program)
        assert done.returncode == 0, done.stderr

    @both
    def test_nothing_that_was_not_asked_for(self, folder: Path, how: tuple[str, ...]) -> None:
        done = run(folder, *how, "--file", "KEY=api-key", "--", "sh", "-c", "env; ls /proc/self/fd | wc -l")
        assert "canary" not in done.stdout
        assert int(done.stdout.splitlines()[-1]) == 4  # the three, and the folder that ls reads

    @both
    def test_no_core_file(self, folder: Path, how: tuple[str, ...]) -> None:
        done = run(folder, *how, "--", "sh", "-c", "ulimit -Sc; ulimit -Hc")
        assert done.stdout.split() == ["0", "0"]

    @pytest.mark.parametrize("kind", ["env", "file", "fd"])
    def test_a_missing_one_is_named_and_nothing_runs(self, folder: Path, kind: str, tmp_path: Path) -> None:
        done = run(folder, f"--{kind}", "KEY=gone", "--", "touch", str(tmp_path / "ran"))
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == "with-secrets: secret 'gone' cannot be read: No such file or directory\n"
        assert not (tmp_path / "ran").exists()

    def test_without_a_delivery_nothing_runs(self, folder: Path, tmp_path: Path) -> None:
        (folder / ".ready").unlink()
        done = run(folder, "--wait", "0.1", "--", "touch", str(tmp_path / "ran"))
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert "is the secrets agent running?" in done.stderr
        assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "no command"),
        (("--",), "no command"),
        (("true",), "unrecognized arguments"),
        (("--env", "KEY", "--", "true"), "--env: expected VAR=SECRET"),
        (("--env", "1KEY=api-key", "--", "true"), "--env: expected VAR=SECRET"),
        (("--file", "KEY=../api-key", "--", "true"), "--file: expected VAR=SECRET"),
        (("--fd", "KEY=.ready", "--", "true"), "--fd: expected VAR=SECRET"),
        (("--env", "KEY=api-key", "--fd", "KEY=other", "--", "true"), "--fd: KEY is given twice"),
        (("--wait", "-1", "--", "true"), "--wait: a number of seconds"),
        (("--wait", "nan", "--", "true"), "--wait: a number of seconds"),
        (("--wait", "soon", "--", "true"), "--wait: invalid float value"),
        (("--redac", "--", "true"), "unrecognized arguments"),
    ],
)
def test_bad_usage_is_one_message(folder: Path, options: tuple[str, ...], said: str) -> None:
    done = run(folder, *options)
    assert done.returncode == 2
    assert done.stderr.startswith("with-secrets: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_value_typed_in_place_of_a_name_is_not_said_again(folder: Path) -> None:
    assert CANARY not in run(folder, "--env", f"KEY={CANARY}+/", "--", "true").stderr


def test_help_says_what_environment_means(folder: Path) -> None:
    done = run(folder, "--help")
    assert done.returncode == 0
    assert "/proc/PID/environ" in done.stdout
    assert "docker inspect" in done.stdout


@both
class TestAsIfItWereNotThere:
    @pytest.mark.parametrize("status", [0, 1, 77, 255])
    def test_the_exit_status(self, folder: Path, how: tuple[str, ...], status: int) -> None:
        assert run(folder, *how, "--", "sh", "-c", f"exit {status}").returncode == status

    def test_input_output_and_arguments(self, folder: Path, how: tuple[str, ...]) -> None:
        done = run(folder, *how, "--", "sh", "-c", 'cat; echo "$1" >&2', "sh", "a -- b", typed="typed")
        assert (done.stdout, done.stderr) == ("typed", "a -- b\n")

    def test_what_cannot_be_run(self, folder: Path, how: tuple[str, ...], tmp_path: Path) -> None:
        done = run(folder, *how, "--", "no-such-program")
        assert (done.returncode, done.stderr) == (
            127,
            "with-secrets: cannot run no-such-program: No such file or directory\n",
        )
        (tmp_path / "plain").write_text("")
        done = run(folder, *how, "--", str(tmp_path / "plain"))
        assert (done.returncode, done.stderr.count("\n")) == (126, 1)

    def test_a_reader_that_goes_away_ends_it(self, folder: Path, how: tuple[str, ...]) -> None:
        """As `yes | head -1` does: the signal reaches the program."""
        with subprocess.Popen(line(folder, *how, "--", "yes"), stdout=subprocess.PIPE, cwd=REPOSITORY) as process:
            assert process.stdout
            assert process.stdout.read(2) == b"y\n"
            process.stdout.close()
            assert process.wait(20) in (-signal.SIGPIPE, 128 + signal.SIGPIPE)

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGQUIT])
    def test_signals(self, folder: Path, how: tuple[str, ...], number: signal.Signals) -> None:
        name = number.name.removeprefix("SIG")
        script = f"trap 'echo got; exit 9' {name}; echo up; while :; do sleep 0.05; done"
        with started(folder, *how, "--", "bash", "-c", script) as process:
            process.send_signal(number)
            assert process.communicate(timeout=20)[0] == b"got\n"
            assert process.returncode == 9

    def test_signals_that_end_it(self, folder: Path, how: tuple[str, ...]) -> None:
        with started(folder, *how, "--", "bash", "-c", "echo up; exec sleep 60") as process:
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == (128 + signal.SIGTERM if how else -signal.SIGTERM)


def started(folder: Path, *options: str) -> subprocess.Popen[bytes]:
    # What runs in the background of a shell ignores SIGINT, and so would all that it starts.
    command = ["env", "--default-signal", *line(folder, *options)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY)
    assert process.stdout
    assert process.stdout.readline() == b"up\n"
    return process


class TestRedacting:
    def test_both_streams(self, folder: Path) -> None:
        script = 'echo "key=$KEY!"; echo "$OTHER" | base64 >&2; printf %s "$KEY"'
        done = run(folder, "--redact", "--env", "KEY=api-key", "--env", "OTHER=other", "--", "bash", "-c", script)
        assert done.stdout == "key=[api-key]!\n[api-key]"
        assert "[other]" in done.stderr
        assert "b3RoZXItY2FuYXJ5" not in done.stderr

    def test_a_line_is_passed_on_while_the_program_runs(self, folder: Path) -> None:
        with started(folder, "--redact", "--", "bash", "-c", "echo up; read; echo more; read") as process:
            process.kill()
        process = subprocess.Popen(
            line(folder, "--redact", "--", "cat"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            cwd=REPOSITORY,
        )
        assert process.stdin
        assert process.stdout
        took = []
        for number in range(50):
            begin = time.monotonic()
            process.stdin.write(f"line {number} {CANARY}\n".encode())
            assert select.select([process.stdout], [], [], 10)[0]
            assert process.stdout.read(4096) == f"line {number} [api-key]\n".encode()
            took.append(time.monotonic() - begin)
        process.stdin.close()
        assert process.wait(20) == 0
        assert sorted(took)[25] < 0.05

    def test_a_secret_delivered_later_is_redacted(self, folder: Path) -> None:
        process = subprocess.Popen(
            line(folder, "--redact", "--", "cat"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            cwd=REPOSITORY,
        )
        assert process.stdin
        assert process.stdout
        process.stdin.write(f"{CANARY}\n".encode())
        assert process.stdout.read(4096) == b"[api-key]\n"
        (folder / ".api-key.partial").write_text("rotated-canary-42")
        (folder / ".api-key.partial").rename(folder / "api-key")
        process.stdin.write(f"{CANARY} rotated-canary-42\n".encode())
        assert process.stdout.read(4096) == b"[api-key] [api-key]\n"
        process.stdin.close()
        assert process.wait(20) == 0

    def test_a_short_secret_is_said(self, folder: Path) -> None:
        (folder / "pin").write_text("1234")
        done = run(folder, "--redact", "--", "echo", "1234")
        assert done.stdout == "1234\n"
        assert done.stderr == "with-secrets: 'pin' is too short to be told from other text: it is not redacted\n"

    def test_it_ends_with_the_command_though_a_child_of_that_stays(self, folder: Path) -> None:
        begin = time.monotonic()
        done = run(folder, "--redact", "--", "sh", "-c", "sleep 30 & echo ready")
        assert done.stdout == "ready\n"
        assert time.monotonic() - begin < 15

    def test_orphans_are_reaped(self, folder: Path) -> None:
        """As the first process of a container it would be given them; here a subreaper stands for that."""
        program = (
            "import ctypes; ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER\n"
            "from runtime.with_secrets_cli import main; main()"
        )
        script = "(sleep 0.1 &) ; sleep 1; ps -o stat= --ppid $PPID"
        command = [sys.executable, "-c", program, "--folder", str(folder), "--redact", "--", "bash", "-c", script]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert not [state for state in done.stdout.split() if state.startswith("Z")]

    def test_the_parent_is_closed_to_others_and_small_beside_50_megabytes(self, folder: Path) -> None:
        text, rows = f"{CANARY} and what is no secret " * 40 + "\n", 38_000
        script = f"import sys\nfor _ in range({rows}): sys.stdout.write({text!r})"
        row = text.replace(CANARY, "[api-key]").encode()
        with subprocess.Popen(
            line(folder, "--redact", "--", sys.executable, "-c", script), stdout=subprocess.PIPE, cwd=REPOSITORY
        ) as process:
            assert process.stdout
            assert process.stdout.read(len(row)) == row
            assert Path(f"/proc/{process.pid}/environ").stat().st_uid == 0
            for _ in range(rows - 301):
                assert process.stdout.read(len(row)) == row
            status = Path(f"/proc/{process.pid}/status").read_text()  # more is left than all pipes hold: it runs
            assert process.stdout.read() == row * 300
        assert process.returncode == 0
        assert len(text) * rows > 50 * 2**20
        most_kib = int(next(each for each in status.splitlines() if each.startswith("VmHWM")).split()[1])
        assert most_kib < 24 * 1024


def test_it_needs_four_modules_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    """Copied out of the package, and without any installed one."""
    alone = tmp_path / "alone" / "runtime"
    alone.mkdir(parents=True)
    for name in ("with_secrets", "with_secrets_cli", "redacted_child", "redaction"):
        shutil.copy(REPOSITORY / "runtime" / f"{name}.py", alone)
    command = [sys.executable, "-S", "-m", "runtime.with_secrets", "--folder", str(folder), "--redact"]
    done = subprocess.run(
        [*command, "--env", "KEY=api-key", "--", "sh", "-c", 'echo "$KEY"'],
        cwd=alone.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[api-key]\n", "")
