"""The look at LiteLLM by its admin API: models, users, and each subject's key with its limits and budget.

Declared teams and budgets are resources, which Pulumi's refresh looks at (infra.drift.engine); here are only teams that
nobody declared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import yaml

from components.spec import ServiceSpec
from config.stack import Stack
from infra.cli.console import CommandError
from infra.cli.custodian import custodian
from infra.drift.compare import differences, shown
from infra.drift.findings import Finding, Kind, Seen, Unseen
from infra.targets.on_host import ADMIN_PATHS
from runtime.contract import EffectivePolicy, PolicyError, litellm_alias, litellm_name, plain, resolve

LIMITS = {
    "limits.requests_per_minute": "rpm_limit",
    "limits.tokens_per_minute": "tpm_limit",
    "limits.concurrent_requests": "max_parallel_requests",
}
"""Field -> LiteLLM's own name."""
FIELDS = {"budget.usd": "max_budget", "budget.period": "budget_duration", "models": "models", "team": "team_id"}
UNSET = {"budget.usd": "max_budget", "budget.period": "budget_duration", **LIMITS}
"""What a user, or a team that nobody declared, never has of its own: budgets and limits are the keys'."""
PARAMS = (
    *("model", "api_base", "input_cost_per_token", "output_cost_per_token"),
    *("cache_read_input_token_cost", "cache_creation_input_token_cost"),
)
"""Of a model's parameters. Its prices are declared beside them; one among them would count instead."""
WHERE = "LiteLLM: models, users, keys"


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """What LiteLLM says of itself. ``keys`` holds no key: LiteLLM keeps their hashes alone."""

    models: tuple[Mapping[str, Any], ...]
    teams: tuple[Mapping[str, Any], ...]
    users: tuple[Mapping[str, Any], ...]
    keys: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, kw_only=True)
class Raise:
    """What ``./praxis budget raise`` has given a subject (``sub``) for a time."""

    sub: str
    usd: Decimal
    begins: datetime
    ends: datetime


@dataclass(frozen=True)
class Judge:
    """Compares; looks at nothing. ``config``: the LiteLLM config file as it was delivered.

    ``raises``: the last year's. LiteLLM hears of a raise, and of its end, when the subject comes the next time.
    """

    name: str
    stack: Stack
    config: Mapping[str, Any]
    raises: tuple[Raise, ...] = ()

    def judged(self, live: Gateway) -> Iterator[Finding]:
        """Findings of models, teams, users and keys. A subject that has not come yet has nothing in LiteLLM."""
        yield from self._models(live.models)
        for team in self.undeclared(live):
            yield from self.team(team)
        names = names_of(live)
        for user in live.users:
            yield from self.user(user, names)
        for key in live.keys:
            yield from self.key(key, names)

    def undeclared(self, live: Gateway) -> Iterator[Mapping[str, Any]]:
        """The teams that are no department's."""
        return (team for team in live.teams if team["team_id"] not in self.stack.departments)

    def team(self, team: Mapping[str, Any]) -> Iterator[Finding]:
        """Findings of a team that nobody declared."""
        resource = f"litellm/team/{team['team_id']}"
        yield from self._unset(resource, team)
        yield from self._blocked(resource, team)

    def user(self, user: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[Finding]:
        """Findings of a user, apart from its key's."""
        yield from self._unset(f"litellm/user/{names[str(user['user_id'])]}", user, prefix="user.")

    def _models(self, found: tuple[Mapping[str, Any], ...]) -> Iterator[Finding]:
        declared = {one["model_name"]: one for one in self.config["model_list"]}
        live = {one["model_name"]: one for one in found}
        for name in sorted(declared.keys() | live.keys()):
            resource = f"litellm/model/{name}"
            if name not in live:
                yield self._finding(resource, "state", Kind.MISSING, "served", "missing")
            elif name not in declared:
                serves = live[name]["litellm_params"].get("model")
                yield self._finding(resource, "state", Kind.FOREIGN, None, f"serves {serves}")
            else:
                # Beside the parameters LiteLLM adds what it knows of a model by itself.
                for part, keys in (("litellm_params", PARAMS), ("model_info", declared[name]["model_info"])):
                    want, have = ({key: one[part].get(key) for key in keys} for one in (declared[name], live[name]))
                    for path, was, is_now in differences(want, have):
                        yield self._finding(resource, path, Kind.CHANGED, shown(was), shown(is_now))

    def _unset(self, resource: str, live: Mapping[str, Any], prefix: str = "") -> Iterator[Finding]:
        for path, key in UNSET.items():
            if live.get(key) is not None:
                yield self._finding(resource, prefix + path, Kind.CHANGED, None, _amount(path, live[key]))

    def _blocked(self, resource: str, live: Mapping[str, Any]) -> Iterator[Finding]:
        if live.get("blocked"):
            yield self._finding(resource, "blocked", Kind.CHANGED, "false", "true")

    def key(self, key: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[Finding]:
        """Findings of a key: it is a subject's, with its effective policy, or it is foreign."""
        owner, token = str(key.get("user_id") or ""), str(key["token"])[:12]
        actor = actor_of(key)
        if actor is None:
            whose = f"of {names.get(owner, owner)}" if owner else "of nobody"
            live = f"a key that the custodian did not make, {whose}"
            yield self._finding(f"litellm/key/{token}", "state", Kind.FOREIGN, None, live)
            return
        policy = self.policy(names.get(owner, ""), actor)
        if policy is None:
            return  # a person of a federated directory: role and department are in the token alone
        resource = f"litellm/user/{litellm_name(names[owner], actor)}"
        for path, was, is_now in differences(held(policy.litellm_key()), held(key)):
            if path == "budget.usd" and is_now is not None and is_now - policy.budget.usd in self.raised(owner):
                continue
            yield self._finding(resource, path, Kind.CHANGED, _amount(path, was), _amount(path, is_now))
        yield from self._blocked(resource, key)

    def raised(self, sub: str) -> frozenset[Decimal]:
        """By what amounts a subject's budget has stood higher at any time."""
        own = [one for one in self.raises if one.sub == sub]
        times = {time for one in own for time in (one.begins, one.ends)}
        return frozenset(self._raised_at(own, time) for time in times)

    def raised_now(self, sub: str, policy: EffectivePolicy) -> EffectivePolicy:
        """The policy with what its budget is raised by now."""
        more = self._raised_at([one for one in self.raises if one.sub == sub], datetime.now(UTC))
        budget = policy.budget.model_copy(update={"usd": policy.budget.usd + more})
        return policy.model_copy(update={"budget": budget})

    @staticmethod
    def _raised_at(raises: Iterable[Raise], time: datetime) -> Decimal:
        return sum((one.usd for one in raises if one.begins <= time < one.ends), Decimal(0))

    def policy(self, subject: str, actor: str) -> EffectivePolicy | None:
        """The effective policy of a declared subject, or of one for whom ``actor`` acts; None also if that may not act
        for it any more: the custodian lets nobody come by such a key."""
        found = self.stack.subjects().get(subject)
        if found is None:
            return None
        policies = self.stack.policies(self.name)
        with suppress(PolicyError):
            return resolve(policies, role=found.role, department=found.department, subject=subject, actor=actor)
        return None

    def _finding(self, resource: str, path: str, kind: Kind, declared: str | None, live: str | None) -> Finding:
        repair = f"./praxis up {self.name}"
        return Finding(resource=resource, path=path, kind=kind, declared=declared, live=live, repair=repair)


def actor_of(key: Mapping[str, Any]) -> str | None:
    """The agent for whose acting the custodian made this key; empty for a subject's own, None for one that it did not
    make: its alias is not the subject, the agent, and how LiteLLM's hash of the key begins."""
    owner, alias, token = str(key.get("user_id") or ""), str(key.get("key_alias")), str(key["token"])
    if not owner:
        return None
    if alias in (owner, litellm_alias(owner, token)):
        return ""
    actor = alias.removeprefix(f"{owner}/").partition(".")[0]
    return actor if alias == litellm_alias(litellm_name(owner, actor), token) else None


def held(key: Mapping[str, Any]) -> dict[str, Any]:
    """What a key has, or is to have, as fields."""
    fields = {path: key.get(name) for path, name in {**FIELDS, **LIMITS}.items()}
    if fields["budget.usd"] is not None:
        fields["budget.usd"] = Decimal(str(fields["budget.usd"]))
    fields["models"] = sorted(fields["models"] or [])
    return {path: value for path, value in fields.items() if value is not None}


def repairs(judge: Judge, live: Gateway) -> Iterator[tuple[str, dict[str, Any]]]:
    """The calls of LiteLLM's API, as (path, body), that make everything as declared but for the models."""
    for team in judge.undeclared(live):
        if any(judge.team(team)):
            yield "/team/update", {"team_id": team["team_id"], **dict.fromkeys(UNSET.values())}
        if team.get("blocked"):
            yield "/team/unblock", {"team_id": team["team_id"]}
    names = names_of(live)
    for user in live.users:
        if any(judge.user(user, names)):
            yield "/user/update", {"user_id": user["user_id"], **dict.fromkeys(UNSET.values())}
    for key in live.keys:
        if not any(judge.key(key, names)):
            continue
        actor = actor_of(key)
        policy = None if actor is None else judge.policy(names.get(str(key.get("user_id")), ""), actor)
        if policy is None:
            yield "/key/delete", {"keys": [key["token"]]}
            continue
        wanted = judge.raised_now(str(key["user_id"]), policy).litellm_key()
        if held(wanted) != held(key):
            yield "/key/update", {"key": key["token"], **wanted}
        if key.get("blocked"):
            yield "/key/unblock", {"key": key["token"]}


def names_of(live: Gateway) -> dict[str, str]:
    """LiteLLM's id of each user -> the subject's name."""
    return {str(user["user_id"]): str(user.get("user_alias") or user["user_id"]) for user in live.users}


def _amount(path: str, value: Any) -> str | None:
    if path.endswith("budget.usd") and value is not None:
        return plain(Decimal(str(value)))
    return shown(value)


def client(stack: Stack, master_key: str) -> httpx.Client:
    """LiteLLM's admin API, by the edge's admin entry point on this machine's loopback."""
    return httpx.Client(
        base_url=f"{stack.edge.admin_url}{ADMIN_PATHS['litellm']}",
        headers={"Authorization": f"Bearer {master_key}"},
        timeout=30,
        trust_env=False,
    )


def read(http: httpx.Client) -> Gateway:
    """Ask for everything.

    Raises:
        httpx.HTTPError: it does not answer, or refuses.
    """
    return Gateway(
        models=tuple(_get(http, "/model/info")["data"]),
        teams=tuple(_get(http, "/team/list")),
        users=tuple(_pages(http, "/user/list", "users", page_size=100)),
        keys=tuple(_pages(http, "/key/list", "keys", size=100, return_full_object="true")),
    )


def _get(http: httpx.Client, path: str, **query: Any) -> Any:
    answer = http.get(path, params=query)
    answer.raise_for_status()
    return answer.json()


def _pages(http: httpx.Client, path: str, field: str, **query: Any) -> Iterator[Mapping[str, Any]]:
    page = 1
    while True:
        body = _get(http, path, page=page, **query)
        yield from body[field]
        if page >= int(body.get("total_pages") or 1):
            return
        page += 1


def judge(name: str, stack: Stack, spec: ServiceSpec, raises: Iterable[Raise] = ()) -> Judge:
    """The judge of what the stack file declares; ``spec`` is LiteLLM's."""
    return Judge(name, stack, yaml.safe_load(spec.config_files["litellm.yaml"]), tuple(raises))


def raises(stack: Stack, token: str) -> Iterator[Raise]:
    """What the custodian has raised budgets by. ``token``: the operator's.

    Raises:
        CommandError: it does not answer.
    """
    with custodian(stack, token) as asked:
        for one in asked.money()["raises"]:
            begins, ends = (datetime.fromisoformat(one[name]) for name in ("begins", "ends"))
            yield Raise(sub=one["sub"], usd=Decimal(one["usd"]), begins=begins, ends=ends)


def look(master_key: str, operator_token: str, by: Judge) -> Seen:
    """Models, users and keys of the running LiteLLM, and teams that nobody declared."""
    try:
        with client(by.stack, master_key) as http:
            found = read(http)
        by = replace(by, raises=tuple(raises(by.stack, operator_token)))
    except (httpx.HTTPError, KeyError, ValueError, CommandError) as error:
        return Seen(unseen=(Unseen(what=WHERE, why=f"{type(error).__name__}: {error}"[:300]),))
    return Seen(findings=tuple(by.judged(found)))
