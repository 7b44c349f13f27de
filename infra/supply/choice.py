"""What ``auto`` in a stack file means on this machine: decided once for a stack, said once, and then kept.

Kept, because another supply means other images over the same data: whoever wants it says so in the stack file.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

from config.stack import Stack
from infra.paths import stack_folder
from infra.supply.process import SupplyError
from infra.supply.progress import Say
from infra.supply.python import IMAGE_ARCHITECTURE


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was decided for a stack, and why."""

    supply: Literal["registries", "official"]
    why: str


def settled(name: str, stack: Stack) -> Stack:
    """The stack with what was decided for it in place of ``auto``; undecided it stays ``auto``. Asks no machine."""
    known = _known(name)
    return stack if known is None or stack.supply != "auto" else stack.model_copy(update={"supply": known.supply})


def decided(name: str, stack: Stack, say: Say) -> Stack:
    """The stack with everything decided; what had to be decided is said and kept."""
    if stack.supply == "auto" and _known(name) is None:
        against = against_official()
        choice = Choice(
            supply="registries" if against else "official",
            why=against or "the container registry is reached, and every part is locked",
        )
        say(f"supply: {choice.supply} ({choice.why})")
        file = stack_folder(name).choices
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.write_text(json.dumps(asdict(choice), indent=1) + "\n", encoding="utf-8")
    return settled(name, stack)


def against_official() -> str:
    """Why this machine cannot have its parts by ``supply: official``; empty if it can."""
    # Here, because the program, which only reads what was decided, does without Docker's client.
    import docker
    from docker.errors import DockerException

    from infra.supply import pins
    from infra.supply.programs import this_platform
    from infra.supply.registry import container_registry_reached

    try:
        pins.complete()
        this_platform()
        runs = str(docker.from_env().version()["Arch"])
    except SupplyError as error:
        return f"{error}; {error.fix}".removeprefix("supply: ")
    except (DockerException, OSError) as error:
        return f"the Docker daemon does not answer: {error}"
    if runs != IMAGE_ARCHITECTURE:
        return f"images are for {IMAGE_ARCHITECTURE}, and the Docker daemon runs {runs}"
    return "" if container_registry_reached() else "the container registry is not reached"


def _known(name: str) -> Choice | None:
    file = stack_folder(name).choices
    return Choice(**json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else None
