"""``./praxis VERB STACK …``: every command of the operator, thin: it parses, dispatches and reports.

What does it is imported when it is asked for: the engine's and Docker's libraries take as long as most commands.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from infra.cli.arguments import As, AsJson, CredentialKind, KeyFile, OnBehalfOf, OnlyAs, StackName, Yes
from infra.cli.console import CommandError, Exit, emit_json, reported, say
from infra.cli.loading import load
from infra.cli.secret_verbs import secrets_app
from runtime.clients import Client, Form

app = typer.Typer(
    name="praxis",
    help="An auditable AI gateway, deployed as code.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
cache_app = typer.Typer(help="What builds leave on this machine's disk.", no_args_is_help=True)
audit_app = typer.Typer(help="Records of requests, and the signed chain that proves them.", no_args_is_help=True)
keys_app = typer.Typer(help="Virtual keys: which are good, and ending their use.", no_args_is_help=True)
enrolments_app = typer.Typer(help="Enrolments of clients: which are good, and ending their use.", no_args_is_help=True)
budget_app = typer.Typer(help="What subjects may spend, and more for a time.", no_args_is_help=True)
demo_app = typer.Typer(help="Demonstrations on the running stack.", no_args_is_help=True)
app.add_typer(demo_app, name="demo")
app.add_typer(budget_app, name="budget")
app.add_typer(keys_app, name="keys")
app.add_typer(enrolments_app, name="enrolments")
app.add_typer(secrets_app, name="secrets")
app.add_typer(cache_app, name="cache")
app.add_typer(audit_app, name="audit")


@app.command()
def up(stack: StackName, as_json: AsJson = False, yes: Yes = False) -> None:
    """Bring the stack up, or in line with its file; mends drift. Ends with a real request and its trail."""
    from infra.cli import lifecycle

    with reported():
        lifecycle.up(load(stack), as_json=as_json, yes=yes)


@app.command()
def preview(stack: StackName, as_json: AsJson = False) -> None:
    """Show what `up` would change. Touches nothing."""
    from infra.cli import lifecycle

    with reported():
        lifecycle.preview(load(stack), as_json=as_json)


@app.command()
def drift(
    stack: StackName,
    as_json: AsJson = False,
    as_sarif: Annotated[bool, typer.Option("--sarif", help="One SARIF 2.1.0 document on stdout.")] = False,
) -> None:
    """Look at what runs and name every field that is not as declared. Exit code 7 if any, 3 if it could not look."""
    from infra.cli import drift as drift_command

    with reported():
        drift_command.drift(load(stack), as_json=as_json, as_sarif=as_sarif)


@app.command()
def render(stack: StackName) -> None:
    """Print every service that the stack file declares, as JSON. Secrets stand as names; asks no machine."""
    from infra.cli import lifecycle

    with reported():
        emit_json(lifecycle.rendered(load(stack)))


@app.command()
def down(
    stack: StackName,
    yes: Yes = False,
    keep_data: Annotated[bool, typer.Option("--keep-data", help="Keep data volumes and secrets.")] = False,
) -> None:
    """Destroy the stack. Asks before it deletes data."""
    from infra.cli import lifecycle

    with reported():
        lifecycle.down(load(stack), yes=yes, keep_data=keep_data)


@app.command()
def status(stack: StackName, as_json: AsJson = False) -> None:
    """Endpoints, and each service's state, image and memory."""
    from infra.cli import look

    with reported():
        look.status(load(stack), as_json=as_json)


@app.command()
def doctor(stack: StackName = "laptop", as_json: AsJson = False) -> None:
    """Check this machine (engine, Docker, ports, memory, disk, clock, registries, names) and name each fix."""
    from infra.cli import look

    with reported():
        look.doctor(load(stack), as_json=as_json)


@app.command()
def env(stack: StackName) -> None:
    """Print shell commands for plain Pulumi: eval "$(./praxis env STACK)"."""
    from infra.cli import lifecycle

    with reported():
        for line in lifecycle.exports(load(stack)):
            sys.stdout.write(line + "\n")


@app.command()
def explain(stack: StackName, subject: As, on_behalf_of: OnBehalfOf = None, as_json: AsJson = False) -> None:
    """What SUBJECT may do, and the line of the stack file that each value comes from. Asks no machine."""
    from infra.cli import look

    with reported():
        look.explain(load(stack), subject, on_behalf_of, as_json=as_json)


@app.command()
def token(
    stack: StackName,
    subject: As,
    kind: Annotated[
        CredentialKind,
        typer.Option(help="access: minutes; virtual-key: days, for tools; password: for the browser, in a demo alone."),
    ] = CredentialKind.ACCESS,
    on_behalf_of: OnBehalfOf = None,
    key: KeyFile = None,
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Of a virtual key: the only model that it is for; may be given again."),
    ] = None,
    days: Annotated[
        int | None, typer.Option(min=1, max=365, help="Of a virtual key: how long it is good; 30 unless given.")
    ] = None,
) -> None:
    """Print a credential of SUBJECT: the last line of stdout."""
    from infra.cli import look
    from infra.cli.edge import KeyTerms

    with reported():
        terms = KeyTerms(models=tuple(model or ()), days=days)
        asked = look.Asked(subject=subject, on_behalf_of=on_behalf_of, kind=kind, key=key, terms=terms)
        credential = look.credential(load(stack), asked)
        lasts = f", good for {credential.expires_in_s} s" if credential.expires_in_s else ""
        acting = f", for {on_behalf_of}" if on_behalf_of else ""
        say(f"{kind} of {subject}{acting}{lasts}")
        if credential.demo:
            say("demo: it stands on a generated password; every record of it is marked so")
        sys.stdout.write(credential.token + "\n")


@app.command("enroll")
def enroll_client(
    stack: StackName,
    subject: As,
    client: Annotated[Client, typer.Option(help="Whose settings to print.")] = Client.CLAUDE_CODE,
    device: Annotated[str, typer.Option(metavar="LABEL", help="Where the client runs; for the list alone.")] = "",
    days: Annotated[int, typer.Option(min=1, max=365, help="How long it is good.")] = 30,
    form: Annotated[
        Form, typer.Option("--format", help="json: a settings file; the others: for device management.")
    ] = Form.JSON,
    as_json: AsJson = False,
) -> None:
    """Print settings for a client of SUBJECT's, with a base URL that says who asks. The URL is a credential."""
    from infra.cli import enroll

    with reported():
        if as_json and form is not Form.JSON:
            raise CommandError(f"--json and --format {form} exclude each other", code=Exit.USAGE)
        enroll.enroll(load(stack), subject, client, device, days, form)


@enrolments_app.command("list")
def enrolments_list(stack: StackName, subject: OnlyAs = None, as_json: AsJson = False) -> None:
    """The enrolments that are good now, each called by the beginning of its hash."""
    from infra.cli.held import ENROLMENTS

    with reported():
        ENROLMENTS.listing(load(stack), subject, as_json=as_json)


@enrolments_app.command("revoke")
def enrolments_revoke(
    stack: StackName,
    subject: As,
    enrolment: Annotated[
        str | None, typer.Option(metavar="ENROLMENT", help="One alone, as `enrolments list` calls it.")
    ] = None,
    yes: Yes = False,
) -> None:
    """End the use of SUBJECT's enrolments, at once. Asks first."""
    from infra.cli.held import ENROLMENTS

    with reported():
        ENROLMENTS.revoke(load(stack), subject, enrolment, yes=yes)


@keys_app.command("list")
def keys_list(stack: StackName, subject: OnlyAs = None, as_json: AsJson = False) -> None:
    """The virtual keys that are good now, each called by the beginning of its hash."""
    from infra.cli.held import KEYS

    with reported():
        KEYS.listing(load(stack), subject, as_json=as_json)


@keys_app.command("revoke")
def keys_revoke(
    stack: StackName,
    subject: As,
    key: Annotated[str | None, typer.Option(metavar="KEY", help="One key alone, as `keys list` calls it.")] = None,
    yes: Yes = False,
) -> None:
    """End the use of SUBJECT's virtual keys, at once. Asks first."""
    from infra.cli.held import KEYS

    with reported():
        KEYS.revoke(load(stack), subject, key, yes=yes)


@budget_app.command("show")
def budget_show(
    stack: StackName,
    subject: OnlyAs = None,
    as_json: AsJson = False,
) -> None:
    """What everybody may spend, has spent, has reserved for requests under way, and has left."""
    from infra.cli import budget

    with reported():
        budget.show(load(stack), subject, as_json=as_json)


@budget_app.command("raise")
def budget_raise(
    stack: StackName,
    subject: As,
    usd: Annotated[str, typer.Option(metavar="USD", help="How much more SUBJECT may spend.")],
    lasts: Annotated[str, typer.Option("--for", metavar="TIME", help="How long: 30m, 24h, 7d; at most 31d.")],
    why: Annotated[str, typer.Option(metavar="TEXT", help="The reason; it stands in the audit chain.")],
) -> None:
    """Let SUBJECT spend more for a time. What is to last belongs into the stack file."""
    from infra.cli import budget

    with reported():
        budget.raise_budget(load(stack), subject, usd, lasts, why)


@budget_app.command("reconcile")
def budget_reconcile(
    stack: StackName,
    day: Annotated[
        str | None, typer.Option(metavar="YYYY-MM-DD", help="Which day, in UTC; without it the last one that is over.")
    ] = None,
    subject: OnlyAs = None,
    as_json: AsJson = False,
) -> None:
    """Compare a day of the ledger with LiteLLM's spend and the traces. Exit code 7 if they disagree, 3 if one was not
    seen."""
    from infra.cli import reconcile as reconcile_command

    with reported():
        reconcile_command.reconcile(load(stack), day, subject, as_json=as_json)


@demo_app.command("exfiltrate")
def demo_exfiltrate(stack: StackName, as_json: AsJson = False) -> None:
    """Run a hostile program in LiteLLM's container and on this machine; say by name which secrets it could get."""
    from infra.cli import demo

    with reported():
        demo.exfiltrate(load(stack), as_json=as_json)


@audit_app.command("receipt")
def audit_receipt(stack: StackName, trace_id: Annotated[str, typer.Argument(metavar="TRACE_ID")]) -> None:
    """The record of one request with its signed events, as JSON; exit 1 when they do not prove it."""
    from infra.cli import audit

    with reported():
        audit.receipt(load(stack), trace_id)


@audit_app.command("verify")
def audit_verify(
    stack: StackName,
    as_json: AsJson = False,
    from_file: Annotated[
        Path | None, typer.Option("--from-file", metavar="FILE", help="An export, in place of the running stack.")
    ] = None,
) -> None:
    """Verify the whole audit chain, also against what this machine saw of it before."""
    from infra.cli import audit

    with reported():
        audit.verify(load(stack), from_file, as_json=as_json)


@audit_app.command("export")
def audit_export(stack: StackName) -> None:
    """Print the audit chain as JSON lines: `python -m runtime.chain FILE --key FILE` verifies them anywhere."""
    from infra.cli import audit

    with reported():
        audit.export(load(stack))


@audit_app.command("public-key")
def audit_public_key(stack: StackName) -> None:
    """Print the public key (PEM) that the audit chain is verified with."""
    with reported():
        sys.stdout.write(load(stack).store().get("chain-public-key"))


@audit_app.command("new-key")
def audit_new_key(stack: StackName) -> None:
    """Give the audit chain a new key, named in the chain by the old one; the custodian starts anew for it."""
    from infra.cli import audit

    with reported():
        audit.new_key(load(stack))


@audit_app.command("tail")
def audit_tail(
    stack: StackName,
    as_json: AsJson = False,
    number: Annotated[int, typer.Option("-n", min=1, max=1000, help="How many.")] = 20,
) -> None:
    """The newest records."""
    from infra.cli import audit

    with reported():
        audit.tail(load(stack), number, as_json=as_json)


@app.command()
def lock(
    upgrade: Annotated[
        bool, typer.Option("--upgrade", help="Ask for every image again, not only for new tags.")
    ] = False,
) -> None:
    """Pin the vendors' images by digest and Pulumi's programs by hash, for `supply: official`. Runs nothing of them."""
    from infra.cli import locking

    with reported():
        locking.lock(upgrade=upgrade)


@cache_app.command("show")
def cache_show(as_json: AsJson = False) -> None:
    """What is kept, and how large it is."""
    from infra.cli import look

    with reported():
        look.cache(as_json=as_json)


@cache_app.command("prune")
def cache_prune() -> None:
    """Delete what the current versions do not use."""
    from infra.cli import look

    with reported():
        look.prune()


def main() -> None:
    """Entry point of ``./praxis``."""
    try:
        app()
    except KeyboardInterrupt:
        say("interrupted; run the same command again to go on")
        raise SystemExit(130) from None
