"""Installing Debian packages on the host, as root or by sudo. Standard library only: the bootstrap uses it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

from infra.paths import cache
from infra.supply.process import SupplyError, run

ADMIN_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where daemons live; not on everybody's PATH."""


def ensure_programs(packages: Mapping[str, str], say: Callable[[str], None]) -> None:
    """``packages``: program -> Debian packages (separated by spaces) that bring it. Installs what is missing.

    Raises :class:`SupplyError` that says what to install by hand where this host does not let us.
    """
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *ADMIN_FOLDERS))
    missing = [packages[program] for program in packages if shutil.which(program, path=path) is None]
    if missing:
        install_packages(" ".join(missing).split(), say)


def install_packages(names: Sequence[str], say: Callable[[str], None]) -> None:
    """Install Debian packages. Raises :class:`SupplyError` that says what to install by hand."""
    listed = " ".join(names)
    if shutil.which("apt-get") is None:
        raise SupplyError(f"missing on this host: {listed}", fix="install it with this system's own package tool")
    root = as_root(f"sudo apt-get install {listed}")
    say(f"missing on this host: {listed}; installing (apt-get)")
    apt = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]
    log = cache() / "logs/apt.log"
    run([*apt, "update"], what="updating the package lists", log=log)
    run([*apt, "install", "-y", "--no-install-recommends", *names], what=f"installing {listed}", log=log)


def as_root(by_hand: str) -> Sequence[str]:
    """The words that make a command run as root. Raises :class:`SupplyError` (its fix is ``by_hand``) if none do."""
    if os.geteuid() == 0:
        return ()
    sudo = shutil.which("sudo")
    if sudo is None:
        raise SupplyError("this needs root, and there is no sudo", fix=by_hand)
    if subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0:
        return (sudo, "-n")
    if not sys.stdin.isatty():
        raise SupplyError("this needs root, and sudo wants a password", fix=by_hand)
    return (sudo,)
