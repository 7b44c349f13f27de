"""Providers, as the operator's side declares them: whose key goes with a request, and where tokens are counted.

``components`` writes these models as JSON; the custodian and the hooks read them. Nothing here does I/O.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from runtime.contract import Model, Slug

CredentialHeader = Literal["authorization", "x-api-key", "api-key", "x-goog-api-key"]
"""The headers in which providers take a key."""


class Upstream(Model):
    """A provider as the custodian sees it: which credential goes with a request to it, for which models."""

    secret: str | None
    """Name of the company's key; ``None`` when only users' own tokens are taken."""
    header: CredentialHeader
    prefix: str = ""
    """What stands before the key in its header (``Bearer`` and a space)."""
    models: tuple[str, ...]
    """The gateway's own names of the models that this provider serves."""
    user_tokens: bool = False
    """Whether a caller's own token is taken in place of the company's key."""


class CountingRoute(Model):
    """Where tokens of requests to one model are counted: ``url`` at the egress, ``model`` as the provider calls it."""

    url: str
    model: str


class CountingRoutes(Model):
    """By the gateway's own names of the models; for all others there is an estimate."""

    routes: dict[str, CountingRoute] = Field(default_factory=dict)


class Upstreams(Model):
    """Every provider, by the first part of its path at the egress."""

    upstreams: dict[Slug, Upstream] = Field(default_factory=dict)

    def of(self, model: str) -> tuple[str, Upstream] | None:
        """The provider that serves ``model``; ``None`` for a local one."""
        return next(((name, each) for name, each in self.upstreams.items() if model in each.models), None)
