"""What teams, budgets and models have in common: a row by an id of the program's choice, adopted if it is there."""

from __future__ import annotations

import math
import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from infra.plugins.litellm.client import Admin, RefusedError
from infra.plugins.standins.compare import same
from infra.plugins.standins.kinds import Call, GoneError, PluginError, ResourceType
from infra.plugins.standins.values import Plain, is_unknown

DURATION = re.compile(r"0*[1-9]\d*(s|m|h|d|w|mo)")
DURATION_FORM = "is no duration: a whole number above 0 and one of s, m, h, d, w, mo, such as '30d'"
EXISTS = "already exists"
"""In LiteLLM's refusal to make a row with an id that is taken."""


class Row(ResourceType):
    """One row of LiteLLM's. Properties have LiteLLM's own names, so there is no table between the two."""

    key: ClassVar[str]
    """The property that is the row's id."""
    amounts: ClassVar[frozenset[str]] = frozenset()
    """Numbers that must not be negative; 0 is not the same as none."""
    unread: ClassVar[frozenset[str]] = frozenset()
    """Inputs that LiteLLM never tells."""

    def __init__(self, admin: Admin) -> None:
        self.admin = admin

    @abstractmethod
    def find(self, row_id: str, call: Call) -> Mapping[str, Any]:
        """The row as LiteLLM has it.

        Raises:
            GoneError: there is none.
        """

    @abstractmethod
    def state(self, row: Mapping[str, Any], known: Plain) -> Plain:
        """Every property that LiteLLM tells; ``None`` where it has nothing. ``known``: the last known state."""

    @abstractmethod
    def make(self, inputs: Plain, call: Call) -> None:
        """Make the row."""

    @abstractmethod
    def change(self, row_id: str, row: Mapping[str, Any], changed: Plain, call: Call) -> None:
        """Set the properties in ``changed``; ``None`` takes one away. ``row`` is what is there."""

    def problems(self, inputs: Plain) -> Iterator[tuple[str, str]]:
        if not is_unknown(inputs[self.key]) and not str(inputs[self.key]).strip():
            yield self.key, "must not be empty"
        for name in sorted(self.amounts & inputs.keys()):
            value = inputs[name]
            if not is_unknown(value) and (value < 0 or not math.isfinite(value)):
                yield name, f"must be 0 or more, not {value}; leave it out for no limit"
        duration = inputs.get("budget_duration")
        if duration is not None and not is_unknown(duration) and not DURATION.fullmatch(str(duration)):
            yield "budget_duration", f"'{duration}' {DURATION_FORM}"

    def create(self, inputs: Plain, call: Call) -> tuple[str, Plain]:
        row_id = str(inputs[self.key])
        # Also what was just made is looked at: LiteLLM has defaults of its own for what was not given.
        return row_id, self.update(row_id, inputs if self._made(row_id, inputs, call) else {}, inputs, call)

    def _made(self, row_id: str, inputs: Plain, call: Call) -> bool:
        """Whether it was not there before, and is now."""
        try:
            self.find(row_id, call)
        except GoneError:
            try:
                self.make(inputs, call)
            except RefusedError as error:
                if EXISTS not in error.reason:
                    raise
            else:
                return True
        return False

    def read(self, resource_id: str, state: Plain, call: Call) -> tuple[str, Plain]:
        return resource_id, {self.key: resource_id, **self.state(self.find(resource_id, call), state)}

    def update(self, resource_id: str, old: Plain, new: Plain, call: Call) -> Plain:
        try:
            row = self.find(resource_id, call)
            live = self.state(row, {**old, **new})
            wanted = {name: new.get(name) for name in live}
            # Only what is not as wanted: a duration that is sent again would begin a new period.
            changed = {name: value for name, value in wanted.items() if not same(self, name, value, live[name])}
            changed |= {name: new[name] for name in self.unread & new.keys() if new[name] != old.get(name)}
            if changed:
                self.change(resource_id, row, changed, call)
                live = self.state(self.find(resource_id, call), new)
        except GoneError as error:
            raise PluginError(f"{error}; run 'pulumi refresh', then it is made again") from None
        left = {
            name: live[name] for name in changed if name in live and not same(self, name, new.get(name), live[name])
        }
        if left:
            said = ", ".join(f"{name} is {value!r}" for name, value in sorted(left.items()))
            raise PluginError(f"LiteLLM took the change of '{resource_id}' and did not do it: {said}")
        return {name: value for name, value in live.items() if name in new}


def absent(value: Any) -> Any:
    """``None`` for what LiteLLM has in place of nothing: an empty list, an empty text, ``False``."""
    return None if value is False or value in ("", []) else value
