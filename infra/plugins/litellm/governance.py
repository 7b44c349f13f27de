"""Teams and budgets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from infra.plugins.litellm.client import RefusedError
from infra.plugins.litellm.rows import Row, absent
from infra.plugins.standins.kinds import Call, GoneError, PluginError
from infra.plugins.standins.values import Plain

RESERVED_TEAM = "litellm-dashboard"
"""LiteLLM's own, for the sessions of its user interface."""


class TeamType(Row):
    """``litellm:index:Team``; its id is its ``team_id``."""

    token = "litellm:index:Team"  # noqa: S105 - a type token
    key = "team_id"
    amounts = frozenset({"max_budget", "rpm_limit", "tpm_limit"})
    told = frozenset({"team_alias", "models", "blocked", "max_budget", "budget_duration", "rpm_limit", "tpm_limit"})
    supported = frozenset({"team_id", "metadata", *told})
    exact = amounts
    none_if_absent = told
    sets = frozenset({"models"})

    def problems(self, inputs: Plain) -> Iterator[tuple[str, str]]:
        yield from super().problems(inputs)
        if inputs["team_id"] == RESERVED_TEAM:
            yield "team_id", f"'{RESERVED_TEAM}' is LiteLLM's own"

    def find(self, row_id: str, call: Call) -> Mapping[str, Any]:
        try:
            found: Mapping[str, Any] = self.admin.get("/team/info", call, team_id=row_id, key_limit=1)["team_info"]
        except RefusedError as error:
            if "Team not found" not in error.reason:
                raise
        else:
            return found
        # LiteLLM says so as well when its database fails; its list of teams does not.
        if self.admin.get("/v2/team/list", call, team_id=row_id)["teams"]:
            raise PluginError(f"LiteLLM lists the team '{row_id}' and cannot read it; is its database well?")
        raise GoneError(f"LiteLLM has no team '{row_id}'")

    def state(self, row: Mapping[str, Any], known: Plain) -> Plain:
        live = {name: absent(row.get(name)) for name in self.told}
        metadata = row.get("metadata") or {}
        if "team_id" in known:  # only what is declared: LiteLLM and others keep theirs there, too
            metadata = {name: metadata.get(name) for name in known.get("metadata") or {}}
        else:
            metadata = {name: value for name, value in metadata.items() if isinstance(value, str)}
        return {**live, "metadata": metadata or None}

    def make(self, inputs: Plain, call: Call) -> None:
        self.admin.post("/team/new", inputs, call)

    def change(self, row_id: str, row: Mapping[str, Any], changed: Plain, call: Call) -> None:
        body = {"team_id": row_id, **changed}
        if "models" in body:
            body["models"] = body["models"] or []
        if "blocked" in body:
            body["blocked"] = bool(body["blocked"])
        if "metadata" in body:
            both = {**(row.get("metadata") or {}), **(body["metadata"] or {})}
            body["metadata"] = {name: value for name, value in both.items() if value is not None}
        self.admin.post("/team/update", body, call)

    def update(self, resource_id: str, old: Plain, new: Plain, call: Call) -> Plain:
        undeclared = old.get("metadata", {}).keys() - new.get("metadata", {}).keys()
        if undeclared:
            new = {**new, "metadata": {**new.get("metadata", {}), **dict.fromkeys(undeclared)}}
        return super().update(resource_id, old, new, call)

    def delete(self, resource_id: str, state: Plain, call: Call) -> None:
        self.find(resource_id, call)
        self.admin.post("/team/delete", {"team_ids": [resource_id]}, call)


class BudgetType(Row):
    """``litellm:index:Budget``; its id is its ``budget_id``."""

    token = "litellm:index:Budget"  # noqa: S105 - a type token
    key = "budget_id"
    amounts = frozenset({"max_budget", "rpm_limit", "tpm_limit", "max_parallel_requests"})
    told = frozenset({*amounts, "budget_duration"})
    supported = frozenset({"budget_id", *told})
    exact = amounts
    none_if_absent = told

    def find(self, row_id: str, call: Call) -> Mapping[str, Any]:
        rows = self.admin.post("/budget/info", {"budgets": [row_id]}, call)
        if not rows:
            raise GoneError(f"LiteLLM has no budget '{row_id}'")
        found: Mapping[str, Any] = rows[0]
        return found

    def state(self, row: Mapping[str, Any], known: Plain) -> Plain:
        return {name: absent(row.get(name)) for name in self.told}

    def make(self, inputs: Plain, call: Call) -> None:
        self.admin.post("/budget/new", inputs, call)

    def change(self, row_id: str, row: Mapping[str, Any], changed: Plain, call: Call) -> None:
        self.admin.post("/budget/update", {"budget_id": row_id, **changed}, call)

    def delete(self, resource_id: str, state: Plain, call: Call) -> None:
        self.find(resource_id, call)
        self.admin.post("/budget/delete", {"id": resource_id}, call)
