"""What ``auto`` in a stack file means on this machine: decided once for a stack, said once, and then kept.

Kept, because another supply means other images over the same data, and another trace store begins empty: whoever wants
either says so in the stack file.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

from config import Problem, SettingsError, Stack
from infra.paths import STACKS, stack_folder
from infra.supply.process import SupplyError
from infra.supply.progress import Say
from infra.supply.python import IMAGE_ARCHITECTURE

LANGFUSE_BYTES = 12 * 10**9
"""Memory of the daemon's machine that the full profile needs: its limits add up to less than 10 GiB."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was decided for a stack."""

    supply: Literal["registries", "official"]
    store: Literal["mlflow", "langfuse"]


def settled(name: str, stack: Stack) -> Stack:
    """The stack with what was decided for it in place of ``auto``; undecided it stays ``auto``. Asks no machine."""
    known = _known(name)
    return stack if known is None else _with(stack, known)


def decided(name: str, stack: Stack, say: Say) -> Stack:
    """The stack with everything decided; what had to be decided is said and kept.

    Raises:
        SettingsError: the trace store that the file asks for cannot run here.
    """
    stack = settled(name, stack)
    asked = stack.observability.store
    if stack.supply != "auto" and asked == "mlflow":
        return stack
    supply, why = _supply(stack)
    against = "" if asked == "mlflow" else _against_langfuse(stack, supply)
    if asked == "langfuse" and against:
        reason = against if stack.supply != "auto" else f"{against} ({why})"
        message = f"langfuse cannot run here: {reason}; set store: mlflow"
        raise SettingsError([Problem(file=STACKS / f"{name}.yaml", key="observability.store", message=message)])
    if stack.supply == "auto":
        say(f"supply: {supply} ({why})")
    if asked == "auto":
        say(f"observability.store: {'mlflow' if against else 'langfuse'} ({against or 'there is room for it'})")
    if "auto" not in (stack.supply, asked):
        return stack
    choice = Choice(supply=supply, store="mlflow" if against or asked == "mlflow" else "langfuse")
    file = stack_folder(name).choices
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file.write_text(json.dumps(asdict(choice), indent=1) + "\n", encoding="utf-8")
    return _with(stack, choice)


def _supply(stack: Stack) -> tuple[Literal["registries", "official"], str]:
    if stack.supply != "auto":
        return stack.supply, "as declared"
    against = against_official()
    if against:
        return "registries", against
    return "official", "the container registry is reached, and every part is locked"


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


def _against_langfuse(stack: Stack, supply: str) -> str:
    """Why Langfuse cannot be the trace store; empty if it can."""
    import docker
    from docker.errors import DockerException

    from config.stack import LANGFUSE_HTTP_PORT

    if supply != "official":
        return f"langfuse needs supply: official, and this is {supply}"
    if stack.edge.http_port != LANGFUSE_HTTP_PORT:
        return f"langfuse needs edge.http_port: {LANGFUSE_HTTP_PORT}"
    try:
        memory = int(docker.from_env().info()["MemTotal"])
    except (DockerException, OSError) as error:
        return f"the Docker daemon does not answer: {error}"
    if memory < LANGFUSE_BYTES:
        return f"langfuse needs {LANGFUSE_BYTES / 1e9:.0f} GB of memory, and there are {memory / 1e9:.1f}"
    return ""


def _with(stack: Stack, choice: Choice) -> Stack:
    supply = choice.supply if stack.supply == "auto" else stack.supply
    seen = stack.observability
    store = choice.store if seen.store == "auto" else seen.store
    observability = seen.model_copy(update={"store": store})
    return stack.model_copy(update={"supply": supply, "observability": observability})


def _known(name: str) -> Choice | None:
    file = stack_folder(name).choices
    return Choice(**json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else None
