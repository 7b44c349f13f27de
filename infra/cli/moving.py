"""``praxis secrets move``: the store goes to where the stack file says it is kept."""

from __future__ import annotations

from config.secrets import SecretsFile
from infra.cli.console import CommandError, Exit, say
from infra.cli.loading import Loaded
from infra.cli.secrets import stored
from infra.places import kept_at, place_of, where
from runtime.store import Store


def move(loaded: Loaded, *, from_copy: bool, replace: bool) -> None:
    """Copy the store from where it is kept to where the stack file declares it, and keep it there from now on.

    Args:
        loaded: the stack.
        from_copy: take the copy in the custody folder: where the store was kept is lost.
        replace: write over another document at the new place.

    Raises:
        CommandError: there is nothing to move, another document is in the way, or a place cannot be read or written.
    """
    declared = loaded.stack.secrets
    new = where(loaded.name, declared)
    with stored():
        kept = kept_at(loaded.name)
        if kept is None:
            fix = f"it is made there at its first use: ./praxis secrets list {loaded.name}"
            raise CommandError(f"stack '{loaded.name}' has no store yet to move to {new}", fix=fix, code=Exit.USAGE)
        if from_copy and isinstance(kept, SecretsFile):
            raise CommandError("--from-copy: the store is kept in the file, which is no copy", code=Exit.USAGE)
        if not from_copy and kept.identity() == declared.identity():
            say(f"the store is kept in {new} already")
            return
        place = None if from_copy else place_of(kept)
        Store(loaded.folder.custody, audited=True, place=place).move(place_of(declared), replace=replace)
    say(f"the store is kept in {new} from now on; what was written was read back")
    if isinstance(kept, SecretsFile):
        say("the file stays as a copy: the secrets agent reads it")
    elif kept.identity() != declared.identity():
        say(f"{where(loaded.name, kept)} is left as it was: delete it there when you do not need it any more")
