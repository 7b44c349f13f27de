"""What one resource type of a stand-in says of itself: a table of facts, and four operations."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from infra.plugins.standins.values import Plain


class PluginError(Exception):
    """An operation failed; the message says what failed and what to do."""


class ConflictError(PluginError):
    """Something of that name is there already."""


class GoneError(Exception):
    """The resource is not there (any more)."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One operation's limits, and the resource's ``name`` in the program (for messages).

    ``deadline`` is on the monotonic clock; ``cancelled`` is set by the engine; ``patience_s``: how long a server that
    does not answer (yet) is waited for.
    """

    name: str
    deadline: float
    patience_s: float
    cancelled: threading.Event

    @property
    def expired(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self.deadline

    def sooner(self, seconds: float) -> Call:
        """The same call, but with at most so many seconds from now."""
        return replace(self, deadline=min(self.deadline, time.monotonic() + seconds))

    def pause(self, seconds: float, waiting_for: str) -> None:
        """Sleep, unless cancelled.

        Raises:
            PluginError: the engine cancelled; the message names ``waiting_for``.
        """
        if self.cancelled.wait(seconds):
            raise PluginError(f"cancelled while waiting for {waiting_for}")


@dataclass(frozen=True, kw_only=True)
class Function:
    """A function of a plugin: it looks something up. ``ask`` gives its result; ``supported`` are the inputs that it
    acts on, ``secret`` the outputs that are secret where the schema forgets to say so."""

    ask: Callable[[Plain, Call], Plain]
    supported: frozenset[str]
    secret: frozenset[str] = frozenset()


class ResourceType(ABC):
    """One resource type of one provider.

    Facts name properties by dotted path (``ports.external``); list items have the path of their list. What a type
    does not list in ``supported`` is refused when it is given: nothing is silently ignored.
    """

    token: ClassVar[str]
    supported: ClassVar[frozenset[str]]
    """Inputs that this plugin acts on."""
    unsupported: ClassVar[frozenset[str]] = frozenset()
    """Properties inside supported ones that it does not act on (dotted paths)."""
    autonamed: ClassVar[bool] = False
    """Whether ``name`` is made up when it is not given."""
    defaults: ClassVar[Mapping[str, Any]] = {}
    """Inputs that the official plugin stores when they are not given."""
    nested_defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """The same for objects inside: dotted path of the object, or of the list of objects -> its defaults."""
    sets: ClassVar[frozenset[str]] = frozenset()
    """Lists whose order means nothing (dotted paths)."""
    computed: ClassVar[frozenset[str]] = frozenset()
    """Outputs, and inputs that the provider fills in when they are not given (dotted paths)."""
    durations: ClassVar[frozenset[str]] = frozenset()
    """Texts that are the same when they are as long (dotted paths)."""
    create_only: ClassVar[frozenset[str]] = frozenset()
    """Inputs that are used once, when the resource is made, and never compared after that."""
    exact: ClassVar[frozenset[str]] = frozenset()
    """Inputs of which 0 is not the same as none: a budget of nothing is no missing budget (dotted paths)."""
    none_if_absent: ClassVar[frozenset[str]] = frozenset()
    """Inputs that are held to be none when they are not given: whatever the server has there is a change."""
    recomputed: ClassVar[Mapping[str, frozenset[str]]] = {}
    """Input -> outputs that its change makes unknown until it is done."""

    def problems(self, inputs: Plain) -> Iterator[tuple[str, str]]:
        """Rules beyond the schema that ``inputs`` break, as (property, reason); unknowns may be inside."""
        return iter(())

    @abstractmethod
    def create(self, inputs: Plain, call: Call) -> tuple[str, Plain]:
        """Make it; returns id and outputs. ``inputs`` are checked and complete."""

    @abstractmethod
    def read(self, resource_id: str, state: Plain, call: Call) -> tuple[str, Plain]:
        """The id as it is kept, and the live state. ``state`` is the last known one, empty at an import.

        Raises:
            GoneError: it is not there.
        """

    @abstractmethod
    def update(self, resource_id: str, old: Plain, new: Plain, call: Call) -> Plain:
        """Change it in place; returns outputs."""

    @abstractmethod
    def delete(self, resource_id: str, state: Plain, call: Call) -> None:
        """Delete it. Not being there is fine."""
