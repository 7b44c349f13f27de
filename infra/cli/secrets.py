"""``praxis secrets``: everything that is done with secrets by name. No command shows a value."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from infra.cli.console import CommandError, Exit, Steps, emit_json, of_the_store, say, table
from infra.cli.loading import Loaded
from infra.cli.values import assignments, duration, moment, normalised, text_of, value_of
from infra.custody import open_store, recipes, store_as_it_is
from infra.places import where
from runtime.store import (
    AUDIT_KEY,
    Metadata,
    Recipe,
    RefusedError,
    State,
    Store,
    StoreError,
    checked_name,
    parsed,
    utc_now,
    wrapped_by_kms,
    written,
)

UNTIL_DONE = datetime.timedelta(days=30)
"""How long a value that is needed to finish a rotation is kept, if nobody finishes it."""


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One row of ``secrets list``. ``used_by``: the services that are given it; times are ISO 8601."""

    name: str
    state: str
    version: int | None
    created: str | None
    expires: str | None
    revoked: str | None
    overlap_until: str | None
    last_used: str | None
    """When a value was last read by an operator's command, or first given to services in this version."""
    used_by: tuple[str, ...]
    made_by: str


@contextmanager
def stored() -> Iterator[None]:
    """Turn what the store refuses into one message: exit 2 if it makes no sense, 3 if the store is away, else 1."""
    try:
        yield
    except StoreError as error:
        raise of_the_store(error) from None


def put(loaded: Loaded, name: str, file: Path | None, expires: str | None) -> None:
    """Store a value under ``name``.

    Raises:
        CommandError: nothing was given, the name is not usable, or Praxis makes this secret itself.
    """
    if name in recipes(loaded.stack):
        fix = f"for a new value: ./praxis secrets rotate {loaded.name} {name}"
        raise CommandError(f"'{name}' is made by Praxis itself", fix=fix, code=Exit.USAGE)
    with stored():
        end = moment(expires, "--expires", utc_now())
        store = open_store(loaded.name, loaded.stack)
        store.set(checked_name(name), value_of(name, file), expires=end)
    say(f"{name} is set; ./praxis up {loaded.name} delivers it")


def listing(loaded: Loaded, *, as_json: bool) -> None:
    """Every secret that is stored or that the stack file refers to, with what is known of it."""
    rows = listed(loaded)
    say(f"the store is kept in {where(loaded.name, loaded.stack.secrets)}")
    if as_json:
        emit_json([asdict(row) for row in rows])
        return
    now = utc_now()
    table(
        f"Secrets of {loaded.name}",
        ["name", "state", "used by", "version", "age", "last use", "expires"],
        [
            [
                row.name,
                f"{row.state}, the one before until {row.overlap_until}" if row.overlap_until else row.state,
                ", ".join(row.used_by) or "-",
                str(row.version or "-"),
                _ago(row.created, now),
                _ago(row.last_used, now),
                row.expires or "-",
            ]
            for row in rows
        ],
    )


def listed(loaded: Loaded) -> list[Listed]:
    """The rows of :func:`listing`, sorted by name."""
    from components.blueprint import blueprint

    with stored():
        store = open_store(loaded.name, loaded.stack)
        known = store.metadata()
    readers, own, uses = blueprint(loaded.stack, loaded.name).readers(), recipes(loaded.stack), _uses(store)
    return [
        _row(name, known.get(name), uses.get(name), readers.get(name, ()), "praxis" if name in own else "operator")
        for name in sorted({*known, *loaded.stack.secret_names()})
    ]


def _uses(store: Store) -> dict[str, str]:
    """Name -> when it was last used, as far as the record can be read."""
    try:
        return {line["name"]: line["time"] for line in store.records() if line["action"] in ("read", "deliver")}
    except StoreError as error:
        say(f"last use is not known: {error}")
        return {}


def _row(name: str, known: Metadata | None, used: str | None, used_by: tuple[str, ...], made_by: str) -> Listed:
    return Listed(
        name=name,
        state=known.state if known else "missing",
        version=known.version if known else None,
        created=written(known.created) if known else None,
        expires=written(known.expires) or None if known else None,
        revoked=written(known.revoked) or None if known else None,
        overlap_until=written(known.overlap_until) or None if known else None,
        last_used=used,
        used_by=used_by,
        made_by=made_by,
    )


def _ago(moment_: str | None, now: datetime.datetime) -> str:
    if moment_ is None:
        return "-"
    seconds = int((now - datetime.datetime.fromisoformat(moment_)).total_seconds())
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{max(seconds, 0)} s"


def rotate(loaded: Loaded, name: str, file: Path | None, overlap: str | None, expires: str | None) -> None:
    """Give ``name`` a new value (made by its recipe, or taken in if somebody else issues it), and bring it into use.

    A rotation that was begun and not finished is finished, with the value that it began with.

    Raises:
        CommandError: it cannot be rotated (the message says why), the store cannot be written, or a step failed.
    """
    from infra.cli.containers import running
    from infra.cli.rotating import Rotation, finish
    from infra.rotation import after_rotation

    own = recipes(loaded.stack)
    table_ = after_rotation(loaded.stack, loaded.name, own)
    if name in table_ and table_[name].refused:
        raise CommandError(f"'{name}' cannot be rotated: {table_[name].refused}", code=Exit.USAGE)
    span, steps = duration(overlap, "--overlap"), Steps()
    with stored():
        end = moment(expires, "--expires", utc_now())
        store = open_store(loaded.name, loaded.stack)
        if name in own:
            if file is not None or end is not None or span is not None:
                message = f"'{name}' is made by Praxis itself: no --file, no --expires and no --overlap"
                raise CommandError(message, code=Exit.USAGE)
            changed = _made_anew(store, name, own)
        else:
            changed = _taken_anew(loaded, store, name, value_of(name, file), end, span)
        rows = {each: table_[each] for each in changed if each in table_}
        for each, row in rows.items():
            services = f" ({', '.join(row.services)})" if row.services else ""
            steps(f"{each} has a new value; what must follow: {', '.join(row.steps) or 'nothing'}{services}")
        if span is not None:
            say(f"the value before it stays good until {written(utc_now() + span)}")
        if not running(loaded.name, "secrets"):
            say(f"stack '{loaded.name}' does not run, so nothing follows yet; when it does, run the same command again")
            return
        finish(Rotation(loaded, store, rows, steps))
    steps(f"{name} is rotated")


def _made_anew(store: Store, name: str, own: Mapping[str, Recipe]) -> tuple[str, ...]:
    """The names with new values: of this rotation, or of the one before it that is not finished."""
    from infra.rotation import PREVIOUS_NEEDED, family

    if name != AUDIT_KEY and store.unfinished(name):
        say(f"the rotation of {name} that was begun before is not finished: it is finished now, with that same value")
        return family(name, own)
    return store.rotate(name, own, overlap=UNTIL_DONE if name in PREVIOUS_NEEDED else None)


def _taken_anew(
    loaded: Loaded,
    store: Store,
    name: str,
    value: str,
    end: datetime.datetime | None,
    span: datetime.timedelta | None,
) -> tuple[str, ...]:
    known = store.metadata().get(name)
    if known is None:
        raise RefusedError(f"secret '{name}' is not set; ./praxis secrets set {loaded.name} {name}")
    if known.state is State.SET and store.get(name) == value and store.unfinished(name):
        say(f"{name} has this value already: its rotation is finished now")
    else:
        store.replace(name, value, expires=end, overlap=span)
    return (name,)


def revoke(loaded: Loaded, name: str, *, yes: bool) -> None:
    """End the use of ``name`` and forget its value.

    Raises:
        CommandError: there is no such secret, Praxis makes it itself, or the answer was no.
    """
    if name in recipes(loaded.stack):
        fix = f"make its value worthless instead: ./praxis secrets rotate {loaded.name} {name}"
        raise CommandError(f"'{name}' is made by Praxis itself, and services stand on it", fix=fix, code=Exit.USAGE)
    row = next((row for row in listed(loaded) if row.name == name), None)
    if row is not None and row.state != State.REVOKED and not yes:
        users = f" It is given to: {', '.join(row.used_by)}." if row.used_by else ""
        if not typer.confirm(f"Revoke '{name}' and forget its value?{users}", default=False, err=True):
            raise CommandError("nothing was revoked")
    with stored():
        open_store(loaded.name, loaded.stack).revoke(name)
    say(f"{name} is revoked; revoke it where it was issued too")
    if row is not None and row.used_by:
        say("services that were given it have it still: set a new value, or take it out of the stack file and run up")


def take_in(loaded: Loaded, file: Path, *, as_json: bool) -> None:
    """Store the values of a file that the stack file refers to, and say which were taken and which not.

    Raises:
        CommandError: the file cannot be read, or nothing in it is of use.
    """
    wanted, own = loaded.stack.secret_names(), recipes(loaded.stack)
    values, rows = {}, []
    for variable, value in assignments(text_of(file), file).items():
        name = normalised(variable)
        if name in own:
            rows.append([variable, name, "not taken: Praxis makes it itself"])
        elif name not in wanted:
            rows.append([variable, name, f"not taken: stacks/{loaded.name}.yaml does not refer to secret://{name}"])
        elif name in values:
            rows.append([variable, name, "not taken: the file has it twice"])
        elif not value:
            rows.append([variable, name, "not taken: it is empty"])
        else:
            values[name] = value
            rows.append([variable, name, ""])
    with stored():
        changed = open_store(loaded.name, loaded.stack).set_all(values) if values else ()
    rows = [[variable, name, how or _taken(name, changed)] for variable, name, how in rows]
    if as_json:
        emit_json([dict(zip(("variable", "name", "result"), row, strict=True)) for row in rows])
    else:
        table(f"Import into {loaded.name}", ["in the file", "secret", "result"], rows)
    if not values:
        raise CommandError(f"nothing in {file} was taken", fix=f"it refers to: {', '.join(wanted) or 'no secret'}")
    if str(file) != "-":
        say(f"{file} still holds the values in the clear: delete it")


def _taken(name: str, changed: tuple[str, ...]) -> str:
    return "taken" if name in changed else "unchanged: it has this value already"


def audit(loaded: Loaded, number: int, *, as_json: bool) -> None:
    """The newest operations on secrets, after the whole record was verified.

    Raises:
        CommandError: a line was changed, added or taken out, or the record cannot be read.
    """
    with stored():
        store = Store(loaded.folder.custody)
        problems = store.record_problems()
        lines = store.records() if (loaded.folder.custody / "audit.jsonl").exists() else []
    if as_json:
        emit_json({"intact": not problems, "problems": problems, "lines": lines[-number:]})
    else:
        columns = ["seq", "time", "who", "action", "name", "version"]
        table(
            f"What was done with secrets of {loaded.name}",
            columns,
            [[str(line.get(column, "")) for column in columns] for line in lines[-number:]],
        )
    if problems:
        raise CommandError("the record of secrets is not as it was written:\n  " + "\n  ".join(problems))
    say(f"{len(lines)} lines, all as they were written")


def recipients(
    loaded: Loaded, add: str | None, add_kms: str | None, remove: str | None, label: str, *, reset: bool
) -> None:
    """Change who can open the store besides the host; the store is encrypted again at once.

    Raises:
        CommandError: more than one change is asked for, or it makes no sense.
    """
    if sum((add is not None, add_kms is not None, remove is not None, reset)) > 1:
        raise CommandError("one of --add, --add-kms, --remove and --reset at a time", code=Exit.USAGE)
    with stored():
        store = (store_as_it_is if reset else open_store)(loaded.name, loaded.stack)
        if reset:
            store.reset_recipients()
        elif add is not None:
            store.add_recipient(parsed(f"{add} # {label}" if label else add))
        elif add_kms is not None:
            store.add_recipient(wrapped_by_kms(add_kms, label))
        elif remove is not None:
            store.remove_recipient(remove)
            say("copies of the store made before can still be opened with it: rotate what they hold")


def show_recipients(loaded: Loaded, *, as_json: bool) -> None:
    """Who can open the store besides the host."""
    with stored():
        found = open_store(loaded.name, loaded.stack).recipients()
    if as_json:
        emit_json([{"recipient": one.public, "label": one.label, "kms_key": one.kms_key or None} for one in found])
        return
    rows = [["the host", f"{loaded.folder.custody}/host.key", "-"]]
    rows += [[one.label or "-", one.public, one.kms_key or "-"] for one in found]
    table(f"Who can open the store of {loaded.name}", ["who", "key", "wrapped by AWS KMS"], rows)


def recover(loaded: Loaded, identity: Path | None, *, kms: bool) -> None:
    """Open the store with an operator's identity (or by AWS KMS) and give it a new host key.

    Raises:
        CommandError: neither or both are given, or it does not open the store.
    """
    if (identity is None) is not kms:
        raise CommandError("either --identity FILE or --kms", code=Exit.USAGE)
    with stored():
        store = store_as_it_is(loaded.name, loaded.stack)
        if identity is None:
            store.recover_by_kms()
        else:
            store.recover(text_of(identity))
    say(f"the store of {loaded.name} has a new host key; ./praxis up {loaded.name} goes on with it")
