"""Making what is missing or stale, each after what it is made from."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field

from runtime.recipes import Recipe
from runtime.store.document import Entry, State, StoreError, checked_name, checked_value


@dataclass
class Making:
    """One run over ``recipes``, which changes ``secrets`` in place and notes in ``made`` what it has made."""

    recipes: Mapping[str, Recipe]
    secrets: dict[str, Entry]
    now: datetime.datetime
    made: set[str] = field(default_factory=set)
    _done: set[str] = field(default_factory=set)

    def all(self) -> None:
        """Make every secret that is missing, stale, expired or revoked.

        Raises:
            StoreError: a recipe needs a secret that is neither stored nor has a recipe, or needs itself.
        """
        for name in self.recipes:
            self._make(checked_name(name), ())

    def anew(self, name: str, overlap: datetime.timedelta | None) -> None:
        """Make ``name`` whether or not it is good, and then whatever is stale by that.

        Raises:
            StoreError: as in :meth:`all`.
        """
        recipe = self.recipes[name]
        for need in recipe.needs:
            self._make(need, (name,))
        self._put(name, recipe.make(self._values(recipe)), overlap)
        self._done.add(name)
        self.all()

    def _make(self, name: str, path: tuple[str, ...]) -> None:
        if name in self._done:
            return
        if name in path:
            raise StoreError(f"secret '{name}' needs itself: {' -> '.join((*path, name))}")
        recipe = self.recipes.get(name)
        if recipe is None:
            if not self._good(name):
                raise StoreError(f"secret '{path[-1]}' is made from '{name}', which is not set and has no recipe")
            return
        for need in recipe.needs:
            self._make(need, (*path, name))
        values = self._values(recipe)
        if not self._good(name) or _stale(name, recipe, self.secrets[name].value, values):
            self._put(name, recipe.make(values), None)
        self._done.add(name)

    def _good(self, name: str) -> bool:
        return name in self.secrets and self.secrets[name].state(self.now) is State.SET

    def _values(self, recipe: Recipe) -> dict[str, str]:
        return {need: self.secrets[need].value for need in recipe.needs}

    def _put(self, name: str, value: str, overlap: datetime.timedelta | None) -> None:
        checked_value(name, value)
        old = self.secrets.get(name)
        self.secrets[name] = old.followed_by(value, self.now, overlap=overlap) if old else Entry(value, self.now)
        self.made.add(name)


def _stale(name: str, recipe: Recipe, value: str, values: Mapping[str, str]) -> bool:
    try:
        return recipe.stale(value, values)
    except ValueError:
        raise StoreError(f"secret '{name}' or one it is made from does not hold what its recipe makes") from None
