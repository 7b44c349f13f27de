"""``python3 -m runtime.with_secrets [OPTIONS] -- COMMAND ARGUMENT…``: run a program once its secrets are there.

A product of its own: it needs the standard library and the modules ``with_secrets``, ``with_secrets_cli``,
``redacted_child`` and ``redaction`` of this package, nothing else. Secrets are files in one folder, which holds
``.ready`` once all of them are there. Exit status: that of COMMAND; 128 + n when signal n ended it; 126 or 127 when it
cannot be run; 1 when a secret is not there; 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import re
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from runtime.with_secrets import FOLDER, undumpable, wait_for_secrets

SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")

DESCRIPTION = """\
Wait until the secrets of this service are delivered, then run COMMAND with what it needs of them.
It writes no core file, nor does COMMAND. No value is ever an argument, nor in what `docker inspect` shows."""
EPILOG = """\
Which of the three to take:
  --file   the path of the delivered file. For programs that read a file; a rotated secret is there to be read again.
  --fd     the path of an inherited descriptor: sealed memory that nobody can change and that has no name. For
           programs that read a path once, also when they give up their rights before they read it.
  --env    the value itself. Only for programs that take nothing else: whoever is root or has the same uid can read
           it in /proc/PID/environ as long as the program runs, and its own children inherit it. It is never in
           `docker inspect`, for it is set after the container was made.

With --redact this process stays as the parent: it forwards signals, passes the exit status on, and puts [NAME] in
place of every secret in the folder, also in base64, URL-quoted and escaped for JSON. Values of fewer than 8 bytes are
not looked for. What could be the beginning of a secret is held back until more is written or COMMAND ends.

A program is closed to others of its uid only if it says so itself (prctl PR_SET_DUMPABLE): exec takes that back."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What was asked for. ``env``, ``file``, ``fd``: variable -> name of the secret."""

    folder: Path
    wait_s: float
    env: Mapping[str, str]
    file: Mapping[str, str]
    fd: Mapping[str, str]
    redact: bool
    command: Sequence[str]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


def parsed(arguments: Sequence[str]) -> Plan:
    """The plan that the command line asks for; exits with 2 and one line when it makes no sense."""
    parser = _Parser(
        prog="with-secrets",
        usage="%(prog)s [OPTIONS] -- COMMAND [ARGUMENT…]",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, metavar="DIR", help="where secrets are (%(default)s)")
    parser.add_argument("--wait", type=float, default=60, metavar="SECONDS", help="at most so long (%(default)s)")
    for kind, what in (("file", "its path"), ("fd", "the path of a descriptor"), ("env", "its value: see below")):
        parser.add_argument(f"--{kind}", action="append", default=[], metavar="VAR=SECRET", help=f"in VAR {what}")
    parser.add_argument("--redact", action="store_true", help="take secrets out of what COMMAND prints")
    own, command = list(arguments), []
    if "--" in own:
        cut = own.index("--")
        own, command = own[:cut], own[cut + 1 :]
    options = parser.parse_args(own)
    if not command:
        parser.error("no command: it stands after '--'")
    if not options.wait >= 0:
        parser.error("--wait: a number of seconds, 0 or more")
    taken: set[str] = set()
    given = {kind: _pairs(parser, kind, getattr(options, kind), taken) for kind in ("env", "file", "fd")}
    return Plan(folder=options.folder, wait_s=options.wait, redact=options.redact, command=command, **given)


def _pairs(parser: _Parser, kind: str, given: Iterable[str], taken: set[str]) -> dict[str, str]:
    pairs = {}
    for each in given:
        variable, _, secret = each.partition("=")
        if not _VARIABLE.fullmatch(variable) or not _SECRET.fullmatch(secret):
            # Not quoted: who mistakes the option for one that takes a value has typed a secret here.
            parser.error(f"--{kind}: expected VAR=SECRET, a variable and the name of a secret, not its value")
        if variable in taken:
            parser.error(f"--{kind}: {variable} is given twice")
        taken.add(variable)
        pairs[variable] = secret
    return pairs


def handed_over(plan: Plan) -> tuple[dict[str, str], list[int]]:
    """The variables to set, and the descriptors that the program is to inherit.

    Exits with 1 and one line when a secret is not there; never with its value.
    """
    variables, descriptors = {}, []
    for variable, secret in plan.env.items():
        value = _value(plan.folder, secret)
        if b"\0" in value:
            sys.exit(f"with-secrets: secret '{secret}' holds a NUL, which no variable can: use --file or --fd")
        variables[variable] = os.fsdecode(value)
    for variable, secret in plan.file.items():
        _value(plan.folder, secret)
        variables[variable] = str(plan.folder / secret)
    for variable, secret in plan.fd.items():
        descriptors.append(_sealed(secret, _value(plan.folder, secret)))
        variables[variable] = f"/proc/self/fd/{descriptors[-1]}"
    return variables, descriptors


def _value(folder: Path, secret: str) -> bytes:
    try:
        return (folder / secret).read_bytes()
    except OSError as error:
        sys.exit(f"with-secrets: secret '{secret}' cannot be read: {error.strerror}")


def _sealed(name: str, value: bytes) -> int:
    """A descriptor that is inherited over exec, on memory that holds ``value`` for ever."""
    with open(os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), "wb") as memory:
        memory.write(value)
        memory.flush()
        memory.seek(0)
        fcntl.fcntl(memory, fcntl.F_ADD_SEALS, SEALS)
        return fcntl.fcntl(memory, fcntl.F_DUPFD, 3)


def run(plan: Plan) -> int:
    """Wait, hand over, run. Returns only with ``redact``, or when the command cannot be run."""
    undumpable()
    wait_for_secrets(plan.folder, plan.wait_s)
    variables, descriptors = handed_over(plan)
    environment = {**os.environ, **variables}
    try:
        if plan.redact:
            return _redacted(plan, environment, descriptors)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores, and exec would hand on
            signal.signal(number, signal.SIG_DFL)
        os.execvpe(plan.command[0], list(plan.command), environment)  # noqa: S606 - to run it is what it is for
    except OSError as error:
        sys.stderr.write(f"with-secrets: cannot run {plan.command[0]}: {error.strerror}\n")
        return 127 if isinstance(error, FileNotFoundError) else 126


def _redacted(plan: Plan, environment: Mapping[str, str], descriptors: Sequence[int]) -> int:
    from runtime import redacted_child

    watched = redacted_child.Watched(plan.folder)
    for name in watched.patterns().too_short:
        sys.stderr.write(f"with-secrets: '{name}' is too short to be told from other text: it is not redacted\n")
    sys.stderr.flush()
    return redacted_child.run(plan.command, environment, watched, descriptors)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    sys.exit(run(parsed(sys.argv[1:] if arguments is None else arguments)))
