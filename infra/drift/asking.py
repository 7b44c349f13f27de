"""Asking a program in a container."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from docker.models.containers import Container

TIMES = 3


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How a program ended, and what it wrote to stdout and to stderr."""

    code: int
    said: bytes
    complaint: bytes


def ask(container: Container, command: list[str]) -> Answer:
    """Run ``command``, which looks, changes nothing, and always says something when it ends well.

    Now and then Docker's daemon loses what a program has said (moby#27289): then it is asked again.

    Raises:
        DockerException: the container does not run.
    """
    answer = Answer(code=0, said=b"", complaint=b"")
    for _ in range(TIMES):
        ended: Any = container.exec_run(command, demux=True)  # the published type does not know of demux
        code, (said, complaint) = ended
        answer = Answer(code=code, said=said or b"", complaint=complaint or b"")
        if answer.code != 0 or answer.said:
            break
    return answer
