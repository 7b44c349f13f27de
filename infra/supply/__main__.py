"""``python -m infra.supply``: build what the tests and the laptop's stack need, from package registries."""

from __future__ import annotations

import sys

from infra.supply.process import SupplyError
from infra.supply.supplies import supply_for


def say(line: str) -> None:
    """One line of talk."""
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Exit code 1 if something could not be had."""
    try:
        supply_for("registries", environment="demo").ready(say)
    except SupplyError as error:
        say(f"error: {error}")
        say(f"  fix: {error.fix}" if error.fix else "")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
