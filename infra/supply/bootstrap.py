"""From a bare Python to the command line: standard library only, until the locked packages are there.

``bootstrap.py VERB …`` runs ``praxis VERB …``, with the packages of all extras (cloud SDKs) if ``PRAXIS_EXTRAS`` is 1;
``bootstrap.py --dev PROGRAM …`` runs a program with the packages for development beside it. Environments are kept in
the cache by the content of their lock, so a second start only execs.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from infra.paths import cache  # noqa: E402 - standard library only, like all that is imported here
from infra.supply.process import SupplyError, run  # noqa: E402
from infra.supply.python import LOCKS, UV_LOCK, environment_folder, uv_folder  # noqa: E402
from infra.supply.registries import uv_environment  # noqa: E402
from infra.supply.root import install_packages  # noqa: E402

START = "import sys; sys.argv[0] = 'praxis'; from infra.cli.main import main; main()"


def say(line: str) -> None:
    """One line of talk."""
    print(line, file=sys.stderr, flush=True)


def environment(lock: Path) -> Path:
    """The folder of the virtual environment that holds exactly what ``lock`` pins; made if it is not there.

    An interrupted run leaves nothing that looks finished.
    Raises :class:`SupplyError`.
    """
    folder = environment_folder(lock)
    # A virtual environment knows its own path, so it is made in place and marked when it is complete.
    done = folder / ".complete"
    if done.exists() and (folder / "bin/python").exists():
        return folder
    begin = time.monotonic()
    say(f"Python packages of {lock.relative_to(ROOT)}: installing")
    shutil.rmtree(folder, ignore_errors=True)
    uv = _uv()
    log = cache() / "logs" / f"python-{lock.stem}.log"
    variables = uv_environment()
    run(
        [uv, "venv", "--quiet", "--python", sys.executable, folder],
        what="making the environment",
        log=log,
        env=variables,
    )
    run(
        [
            uv,
            "pip",
            "sync",
            "--quiet",
            "--require-hashes",
            "--compile-bytecode",
            "--python",
            folder / "bin/python",
            lock,
        ],
        what="installing Python packages",
        log=log,
        env=variables,
    )
    shutil.copy2(uv, folder / "bin/uv")
    done.touch()
    say(f"Python packages of {lock.relative_to(ROOT)}: done in {time.monotonic() - begin:.0f} s")
    return folder


def _uv() -> Path:
    """uv, pinned by hash, out of a throw-away environment of pip's."""
    folder = uv_folder()
    program = folder / "bin/uv"
    if program.exists():
        return program
    say("uv: installing")
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    log = cache() / "logs/uv.log"
    _ensure_venv_module()
    run([sys.executable, "-m", "venv", partial], what="making an environment for uv", log=log)
    run(
        [
            *(partial / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", UV_LOCK),
        ],
        what="getting uv",
        log=log,
    )
    partial.rename(folder)
    return program


def _ensure_venv_module() -> None:
    """Debian splits ``ensurepip`` off Python: get it where we may."""
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        install_packages(["python3-venv"], say)


def main(arguments: list[str]) -> None:
    """Replace this process by what was asked for."""
    dev = arguments[:1] == ["--dev"]
    packages = "extras.txt" if os.environ.get("PRAXIS_EXTRAS") == "1" else "operate.txt"
    try:
        folder = environment(LOCKS / ("dev.txt" if dev else packages))
    except SupplyError as error:
        say(f"error: {error}")
        if error.fix:
            say(f"  fix: {error.fix}")
        sys.exit(1)
    python = str(folder / "bin/python")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    if dev:
        os.environ["PATH"] = f"{folder / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        os.execvp(arguments[1], arguments[1:])  # noqa: S606 - no shell is the point
    os.execv(python, [python, "-P", "-c", START, *arguments])  # noqa: S606 - as above


if __name__ == "__main__":
    main(sys.argv[1:])
