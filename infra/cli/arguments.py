"""Arguments and options that many commands have, each with one name, one help text and one meaning."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

StackName = Annotated[
    str, typer.Argument(metavar="STACK", envvar="PRAXIS_STACK", help="Name of a file in stacks/, without .yaml.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
SecretName = Annotated[str, typer.Argument(metavar="NAME", help="As in secret://NAME.")]
ValueFile = Annotated[
    Path | None, typer.Option("--file", metavar="FILE", help="Read the value from FILE; a value is never an argument.")
]
Expires = Annotated[
    str | None, typer.Option(metavar="WHEN", help="When the value stops being good: 90d, or a date (2030-01-31).")
]
KeyFile = Annotated[
    Path | None,
    typer.Option("--key", metavar="FILE", help="The private key (PEM) of an agent that signs in by one."),
]
OnlyAs = Annotated[str | None, typer.Option("--as", metavar="SUBJECT", help="One person or agent alone.")]
OnBehalfOf = Annotated[
    str | None, typer.Option("--on-behalf-of", metavar="PERSON", help="For whom the agent SUBJECT acts.")
]
As = Annotated[str, typer.Option("--as", metavar="SUBJECT", help="A person or an agent of the stack.")]


class CredentialKind(StrEnum):
    """What ``praxis token`` can print."""

    ACCESS = "access"
    VIRTUAL_KEY = "virtual-key"
    PASSWORD = "password"  # noqa: S105 - the name of a kind
