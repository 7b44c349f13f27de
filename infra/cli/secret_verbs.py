"""``./praxis secrets VERB STACK …``: thin, as :mod:`infra.cli.main`; doing it is :mod:`infra.cli.secrets`'s."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infra.cli.arguments import AsJson, Expires, SecretName, StackName, ValueFile, Yes
from infra.cli.console import reported
from infra.cli.loading import load

secrets_app = typer.Typer(
    help="Secrets by name: they are set, rotated and revoked here, and never shown.", no_args_is_help=True
)


@secrets_app.command("set")
def secrets_set(stack: StackName, name: SecretName, file: ValueFile = None, expires: Expires = None) -> None:
    """Store the value read from stdin (or from a file, or asked for, unseen) under NAME."""
    from infra.cli import secrets as secret_commands

    with reported():
        secret_commands.put(load(stack), name, file, expires)


@secrets_app.command("list")
def secrets_list(stack: StackName, as_json: AsJson = False) -> None:
    """Names, who is given them, age, last use, expiry and state. Never a value."""
    from infra.cli import secrets as secret_commands

    with reported():
        secret_commands.listing(load(stack), as_json=as_json)


@secrets_app.command("rotate")
def secrets_rotate(
    stack: StackName,
    name: SecretName,
    file: ValueFile = None,
    overlap: Annotated[
        str | None, typer.Option(metavar="TIME", help="How long the value before it stays good: 30m, 1h, 7d.")
    ] = None,
    expires: Expires = None,
) -> None:
    """Give NAME a new value: made anew if Praxis makes it, else read as by `set`; and bring it into use everywhere."""
    from infra.cli import secrets as secret_commands

    with reported():
        secret_commands.rotate(load(stack), name, file, overlap, expires)


@secrets_app.command("revoke")
def secrets_revoke(stack: StackName, name: SecretName, yes: Yes = False) -> None:
    """End the use of NAME and forget its value. Asks first."""
    from infra.cli import secrets as secret_commands

    with reported():
        secret_commands.revoke(load(stack), name, yes=yes)


@secrets_app.command("import")
def secrets_import(
    stack: StackName,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="NAME=value lines, or a JSON object; - is stdin.")],
    as_json: AsJson = False,
) -> None:
    """Store the values of a file that the stack file refers to (ANTHROPIC_API_KEY is anthropic-api-key)."""
    from infra.cli import secrets as secret_commands

    with reported():
        secret_commands.take_in(load(stack), file, as_json=as_json)


@secrets_app.command("audit")
def secrets_audit(
    stack: StackName,
    as_json: AsJson = False,
    number: Annotated[int, typer.Option("-n", min=1, help="How many lines to show; all are verified.")] = 50,
) -> None:
    """What was done with secrets, by whom and when. Exit code 1 if a line was changed or is missing."""
    from infra.cli import secrets as secret_commands

    with reported():
        secret_commands.audit(load(stack), number, as_json=as_json)


@secrets_app.command("recipients")
def secrets_recipients(
    stack: StackName,
    add: Annotated[str | None, typer.Option(metavar="KEY", help="Let this age public key open the store.")] = None,
    add_kms: Annotated[
        str | None, typer.Option(metavar="KEY_ID", help="Let this key of AWS KMS open it (needs boto3).")
    ] = None,
    remove: Annotated[str | None, typer.Option(metavar="KEY", help="Encrypt no longer to this public key.")] = None,
    label: Annotated[str, typer.Option(metavar="TEXT", help="Whose key it is, with --add and --add-kms.")] = "",
    reset: Annotated[bool, typer.Option("--reset", help="Write recipients.txt again as the store knows it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show or change who can open the store besides this host."""
    from infra.cli import secrets as secret_commands

    with reported():
        loaded = load(stack)
        secret_commands.recipients(loaded, add, add_kms, remove, label, reset=reset)
        secret_commands.show_recipients(loaded, as_json=as_json)


@secrets_app.command("move")
def secrets_move(
    stack: StackName,
    from_copy: Annotated[
        bool, typer.Option("--from-copy", help="Take this machine's copy: where the store was kept is lost.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Write over another document at the new place.")] = False,
) -> None:
    """Copy the store to where the stack file declares it (`secrets.store`), read it back, and keep it there."""
    from infra.cli import moving

    with reported():
        moving.move(load(stack), from_copy=from_copy, replace=replace)


@secrets_app.command("recover")
def secrets_recover(
    stack: StackName,
    identity: Annotated[Path | None, typer.Option(metavar="FILE", help="An operator's age identity.")] = None,
    kms: Annotated[bool, typer.Option("--kms", help="By the key of AWS KMS that is a recipient.")] = False,
) -> None:
    """Give the store a new host key when the old one is lost."""
    from infra.cli import secrets as secret_commands

    with reported():
        secret_commands.recover(load(stack), identity, kms=kms)
