"""LiteLLM's admin API, played: teams, budgets and models, with the answers that LiteLLM 1.108.7 gives.

Taken from its source: proxy/management_endpoints/{team,budget_management,model_management}_endpoints.py, model_info_v1
and the exception handlers of proxy_server.py. Errors have two forms there: ``{"error": {"message": …}}`` where an
endpoint wraps them, FastAPI's ``{"detail": …}`` where it does not.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx

MASTER = "sk-master-canary"
TEAM = dict.fromkeys(("team_alias", "max_budget", "budget_duration", "budget_reset_at", "rpm_limit", "tpm_limit"))
BUDGET = dict.fromkeys(("max_budget", "budget_duration", "budget_reset_at", "rpm_limit", "tpm_limit",
                        "max_parallel_requests", "soft_budget"))  # fmt: skip
PRICES = ("input_cost_per_token", "output_cost_per_token")

Answer = tuple[int, Any]


def wrapped(status: int, message: str) -> Answer:
    """A ``ProxyException``."""
    return status, {"error": {"message": message, "type": "internal_server_error", "param": None, "code": str(status)}}


class PlayedLiteLLM:
    """Its tables, and what it was asked. ``store_models``: ``general_settings.store_model_in_db``."""

    def __init__(self, *, store_models: bool = True) -> None:
        self.teams: dict[str, dict[str, Any]] = {}
        self.budgets: dict[str, dict[str, Any]] = {}
        self.models: dict[str, dict[str, Any]] = {}
        self.keys: dict[str, str] = {}
        """Key -> its team."""
        self.store_models = store_models
        self.master_key = MASTER
        self.database_fails = False
        self.asked: list[tuple[str, Any]] = []
        self.periods = 0
        """How often a period of a budget was begun anew."""

    def changes(self) -> list[tuple[str, Any]]:
        """The requests that changed something, as (path, body)."""
        reads = ("/team/info", "/v2/team/list", "/budget/info", "/model/info")
        return [(path, body) for path, body in self.asked if path not in reads]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """As a side effect of respx."""
        body = json.loads(request.content) if request.content else None
        status, said = self.answer(
            request.method, request.url.path, dict(request.url.params), body, request.headers.get("authorization", "")
        )
        return httpx.Response(status, text=json.dumps(said))

    def answer(self, method: str, path: str, query: dict[str, str], body: Any, key: str) -> Answer:
        """One request."""
        if key != f"Bearer {self.master_key}":
            said = f"Authentication Error, Invalid proxy server token passed. Received API Key = {key[-14:]}"
            return 401, {"error": {"message": said, "type": "token_not_found_in_db", "param": "key", "code": "401"}}
        self.asked.append((path, body))
        update = re.fullmatch(r"/model/([^/]+)/update", path)
        if update and method == "PATCH":
            return self.model_update(unquote(update[1]), body)
        name = path.strip("/").replace("/", "_")
        if name not in ("team_info", "v2_team_list", "team_new", "team_update", "team_delete", "budget_info",
                        "budget_new", "budget_update", "budget_delete", "model_info", "model_new",
                        "model_delete"):  # fmt: skip
            return 404, {"detail": "Not Found"}
        answered: Answer = getattr(self, name)(query if method == "GET" else body)
        return answered

    def team_info(self, query: dict[str, str]) -> Answer:
        found = None if self.database_fails else self.teams.get(query["team_id"])
        if found is None:
            return wrapped(404, str({"message": f"Team not found, passed team id: {query['team_id']}."}))
        keys = [{"team_id": team} for team in self.keys.values() if team == query["team_id"]]
        return 200, {"team_id": query["team_id"], "team_info": found, "keys": keys, "team_memberships": []}

    def v2_team_list(self, query: dict[str, str]) -> Answer:
        found = [team for name, team in self.teams.items() if name == query["team_id"]]
        return 200, {"teams": found, "total": len(found), "page": 1, "page_size": 10, "total_pages": len(found)}

    def team_new(self, body: dict[str, Any]) -> Answer:
        team_id = body["team_id"]
        if team_id in self.teams:
            words = f"Team id = {team_id} already exists. Please use a different team id."
            return wrapped(400, str({"error": words}))
        if refused := self._refused(body):
            return wrapped(400, str(refused))
        plain = {"models": [], "blocked": False, "metadata": {}, "spend": 0.0}
        self.teams[team_id] = {**TEAM, **plain, **body, **self._period(body)}
        return 200, self.teams[team_id]

    def team_update(self, body: dict[str, Any]) -> Answer:
        found = self.teams.get(body["team_id"])
        if found is None:
            return wrapped(404, str({"error": f"Team not found, passed team_id={body['team_id']}"}))
        if refused := self._refused(body):
            return wrapped(400, str(refused))
        found.update({**body, **self._period(body)})
        return 200, {"team_id": body["team_id"], "data": found}

    def team_delete(self, body: dict[str, Any]) -> Answer:
        for team_id in body["team_ids"]:
            if team_id not in self.teams:
                return 404, {"detail": {"error": f"Team not found, passed team_id={team_id}"}}
        for team_id in body["team_ids"]:
            del self.teams[team_id]
        self.keys = {key: team for key, team in self.keys.items() if team in self.teams}
        return 200, {"deleted_teams": body["team_ids"]}

    def budget_info(self, body: dict[str, Any]) -> Answer:
        return 200, [self.budgets[each] for each in body["budgets"] if each in self.budgets]

    def budget_new(self, body: dict[str, Any]) -> Answer:
        if refused := self._refused(body):
            return 400, {"detail": refused}
        if body["budget_id"] in self.budgets:
            return 400, {"detail": {"error": f"Budget with id '{body['budget_id']}' already exists."}}
        self.budgets[body["budget_id"]] = {**BUDGET, **body, **self._period(body)}
        return 200, self.budgets[body["budget_id"]]

    def budget_update(self, body: dict[str, Any]) -> Answer:
        if refused := self._refused(body):
            return 400, {"detail": refused}
        found = self.budgets.get(body["budget_id"])
        if found is None:
            return 200, None  # what Prisma gives for a row that is not there
        found.update({**body, **self._period(body)})
        return 200, found

    def budget_delete(self, body: dict[str, Any]) -> Answer:
        return 200, self.budgets.pop(body["id"], None)

    def model_info(self, query: dict[str, str]) -> Answer:
        if not self.models:
            words = "LLM Router is not loaded in. Make sure you passed models in your config.yaml"
            return 500, {"detail": {"error": words}}
        found = self.models.get(query["litellm_model_id"])
        if found is None:
            words = f"Model id = {query['litellm_model_id']} not found on litellm proxy"
            return 400, {"detail": {"error": words}}
        params = {name: value for name, value in found["litellm_params"].items() if name != "api_key"}
        return 200, {"data": [{**found, "litellm_params": params}]}

    def model_new(self, body: dict[str, Any]) -> Answer:
        if not self.store_models:
            words = "Set `'STORE_MODEL_IN_DB='True'` in your env to enable this feature."
            return wrapped(500, str({"error": words}))
        model_id = body["model_info"]["id"]
        self.models[model_id] = {**body, "model_info": {"id": model_id, "db_model": True}}
        return 200, {"model_id": model_id}

    def model_update(self, model_id: str, body: dict[str, Any]) -> Answer:
        found = self.models.get(model_id)
        if found is None:
            return wrapped(404, f"Model {model_id} not found on proxy.")
        found["model_name"] = body.get("model_name") or found["model_name"]
        for name, value in body.get("litellm_params", {}).items():
            if value is not None:
                found["litellm_params"][name] = value
            elif name in PRICES:
                found["litellm_params"].pop(name, None)
        return 200, {"model_id": model_id}

    def model_delete(self, body: dict[str, Any]) -> Answer:
        if body["id"] not in self.models:
            return wrapped(400, str({"error": f"Model with id={body['id']} not found in db"}))
        del self.models[body["id"]]
        return 200, {"message": f"Model: {body['id']} deleted successfully"}

    def _period(self, body: dict[str, Any]) -> dict[str, Any]:
        """A duration that is sent begins a new period; one that is taken away ends it."""
        if "budget_duration" not in body:
            return {}
        self.periods += body["budget_duration"] is not None
        return {"budget_reset_at": f"reset {self.periods}" if body["budget_duration"] else None}

    def _refused(self, body: dict[str, Any]) -> dict[str, str] | None:
        amount, duration = body.get("max_budget"), body.get("budget_duration")
        if amount is not None and amount < 0:
            return {"error": f"max_budget must be a non-negative finite number. Received: {amount}"}
        if duration is not None and not re.match(r"\d+(mo|[smhdw])", duration):
            words = f"Invalid budget_duration '{duration}'. Use a format like '1h', '24h', '7d', or '30d'."
            return {"error": words}
        return None


@contextmanager
def serving(played: PlayedLiteLLM) -> Iterator[str]:
    """The same over HTTP, on a port of its own; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            url = urlsplit(self.path)
            key = self.headers.get("authorization", "")
            status, said = played.answer(self.command, url.path, dict(parse_qsl(url.query)), body, key)
            text = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = _answer  # noqa: N815 - names of the standard library's

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: what is asked is kept by the played one."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
