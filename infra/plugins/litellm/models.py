"""Models that LiteLLM keeps in its database (``store_model_in_db``), not those of its config file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from infra.plugins.litellm.client import RefusedError
from infra.plugins.litellm.rows import Row, absent
from infra.plugins.standins.kinds import Call, GoneError, PluginError
from infra.plugins.standins.values import Plain

NOT_STORED = "STORE_MODEL_IN_DB"
"""In LiteLLM's refusal to change models while it takes them from its config file alone."""


class ModelType(Row):
    """``litellm:index:Model``; its id is its ``model_id``."""

    token = "litellm:index:Model"  # noqa: S105 - a type token
    key = "model_id"
    prices = frozenset({"input_cost_per_token", "output_cost_per_token"})
    limits = frozenset({"rpm", "tpm"})
    params = frozenset({"model", "api_base", "api_key", *prices, *limits})
    """What LiteLLM has under ``litellm_params``."""
    amounts = prices | limits
    unread = frozenset({"api_key"})
    told = frozenset({"model_name", *params}) - unread
    supported = frozenset({"model_id", *told, *unread})
    exact = amounts
    none_if_absent = told

    def find(self, row_id: str, call: Call) -> Mapping[str, Any]:
        try:
            (found,) = self.admin.get("/model/info", call, litellm_model_id=row_id)["data"]
        except RefusedError as error:
            # The latter is what it says as long as it has no model at all.
            if "not found on litellm proxy" not in error.reason and "not loaded in" not in error.reason:
                raise
            raise GoneError(f"LiteLLM has no model with the id '{row_id}'") from None
        if not found["model_info"].get("db_model"):
            raise PluginError(
                f"the model with the id '{row_id}' is of LiteLLM's config file, which the API cannot change; "
                "change it there, or take another 'model_id'"
            )
        row: Mapping[str, Any] = found
        return row

    def state(self, row: Mapping[str, Any], known: Plain) -> Plain:
        params = row["litellm_params"]
        live = {name: absent(params.get(name)) for name in self.told & self.params}
        return {**live, "model_name": row["model_name"]}

    def make(self, inputs: Plain, call: Call) -> None:
        params = {name: inputs[name] for name in self.params & inputs.keys()}
        body = {
            "model_name": inputs["model_name"],
            "litellm_params": params,
            "model_info": {"id": inputs["model_id"]},
        }
        self._stored(self.admin.post, "/model/new", body, call)

    def update(self, resource_id: str, old: Plain, new: Plain, call: Call) -> Plain:
        live = self.state(self.find(resource_id, call), new)
        # A price is cleared by null; of the rest LiteLLM takes a null for "as it is", so it is made again.
        stuck = {
            name
            for name in (self.told | self.unread) - self.prices - new.keys()
            if {**old, **live}.get(name) is not None
        }
        if stuck:
            self.delete(resource_id, old, call)
            self.make(new, call)
        return super().update(resource_id, new if stuck else old, new, call)

    def change(self, row_id: str, row: Mapping[str, Any], changed: Plain, call: Call) -> None:
        body: dict[str, Any] = {name: value for name, value in changed.items() if name == "model_name"}
        params = {name: value for name, value in changed.items() if name in self.params}
        if params:
            body["litellm_params"] = params
        self._stored(self.admin.patch, f"/model/{quote(row_id, safe='')}/update", body, call)

    def delete(self, resource_id: str, state: Plain, call: Call) -> None:
        self.find(resource_id, call)
        self._stored(self.admin.post, "/model/delete", {"id": resource_id}, call)

    def _stored(self, send: Callable[[str, Plain, Call], Any], path: str, body: Plain, call: Call) -> None:
        try:
            send(path, body, call)
        except RefusedError as error:
            if NOT_STORED not in error.reason and "DB-stored" not in error.reason:
                raise
            raise PluginError(
                "this LiteLLM takes its models from its config file alone: "
                "'general_settings.store_model_in_db' is not on"
            ) from None
