"""The stack file: what an operator declares. Every field is documented where it stands; defaults are the safe ones.

The models are checked in two steps: Pydantic checks shapes and ranges, :meth:`Stack.references` checks that every
name that is used is declared and that nothing widens a role. :func:`config.load.load_stack` turns both into messages
that name file, line and key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, StringConstraints, model_validator

from config.identity import GoogleDirectory, Identity
from config.keys import PublicKey
from config.providers import PROVIDERS
from config.secrets import SecretReference, SecretsFile, SecretsPlace
from config.yaml import KeyPath
from runtime.contract import (
    CATEGORIES,
    Actor,
    Limits,
    Model,
    Narrowing,
    Policies,
    Price,
    Slug,
)
from runtime.contract import Role as Policy

Port = Annotated[int, Field(ge=1, le=65535)]
Address = Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]
ApiBase = Annotated[str, StringConstraints(pattern=r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?$")]
"""A URL without credentials, query or fragment."""
StateBackend = Annotated[str, StringConstraints(pattern=r"^(s3|azblob|postgres)://[^\s/?]+[^\s]*$")]
LANGFUSE_HTTP_PORT = 8080
"""Keycloak's port inside, which must be that of its address outside."""
OWN_ROLES = "praxis-"
"""How the names of roles begin that the stack makes by itself: for auditors, for a second factor."""
ModelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,100}$")]


class Edge(Model):
    """The one door. All three ports listen on loopback only on the ``docker`` target."""

    http_port: Port = 8080
    https_port: Port = 8443
    admin_port: Port = 8090
    requests_per_second: Annotated[int, Field(ge=1)] = 100
    """Per client address, on average; twice as many may come in a burst."""
    max_request_mib: Annotated[int, Field(ge=1, le=512)] = 32

    @property
    def admin_url(self) -> str:
        """Where the operator's side reaches the admin APIs, by their paths."""
        return f"http://127.0.0.1:{self.admin_port}"

    @model_validator(mode="after")
    def _distinct(self) -> Edge:
        if len({self.http_port, self.https_port, self.admin_port}) < 3:
            raise ValueError("http_port, https_port and admin_port must differ")
        return self


class Egress(Model):
    """The one way out, which exists when a model has a provider."""

    authorities: str = ""
    """Certificates (PEM) of authorities that providers' certificates may come from besides the public ones: a
    company's inspecting proxy, a model server of its own."""

    @model_validator(mode="after")
    def _pem(self) -> Egress:
        if self.authorities and not self.authorities.lstrip().startswith("-----BEGIN CERTIFICATE-----"):
            raise ValueError("authorities must be certificates in PEM form (-----BEGIN CERTIFICATE-----)")
        return self


class ServedModel(Model):
    """One model that the gateway offers under its own name."""

    provider: Literal["local", "anthropic", "openai", "azure", "gemini", "mistral", "groq", "openrouter"]
    model: str | None = None
    """The provider's own name for it; default: the same name. Not for ``local``."""
    api_key: SecretReference | None = None
    """The company's key, put on the request on its way out; LiteLLM never has it. Bound to one host."""
    user_tokens: bool = False
    """Callers may bring a token of their own (Claude Code's sign-in) in place of the company's key."""
    api_base: ApiBase | None = None
    """Where the provider's API begins, when that is not the vendor's own address."""
    price_usd_per_million_tokens: Price
    """What the ledger counts. For a local model it is notional: it makes budgets and reports meaningful."""

    @model_validator(mode="after")
    def _key(self) -> ServedModel:
        if self.provider == "local":
            if self.api_key or self.api_base or self.model or self.user_tokens:
                raise ValueError("a local model takes no api_key, api_base, model or user_tokens: it runs in the stack")
            return self
        if self.user_tokens and (self.provider != "anthropic" or self.api_base):
            raise ValueError("user_tokens: a user's own token goes to provider 'anthropic' at its own address only")
        if self.api_key is None and not self.user_tokens:
            raise ValueError(f"api_key is missing: provider '{self.provider}' needs a secret://name")
        if self.api_base is None and PROVIDERS[self.provider].base is None:
            raise ValueError(f"api_base is missing: provider '{self.provider}' has no common address")
        return self


class Role(Policy):
    """What everybody with this role may do, and what its people must give to come in."""

    mfa: bool = False
    """Its people give a second factor at every sign-in, a one-time code (TOTP) or a security key (WebAuthn); who has
    neither sets up a code at the first. Agents have a secret of their own and are not asked."""

    def policy(self) -> Policy:
        """The part that decides about requests."""
        return Policy(**{name: getattr(self, name) for name in Policy.model_fields})


class Subject(Narrowing):
    """What people and agents have in common: one role, one department, and what narrows them further."""

    role: Slug
    department: Slug

    def narrowing(self) -> Narrowing:
        """The part that narrows the role."""
        return Narrowing(**{name: getattr(self, name) for name in Narrowing.model_fields})


class Person(Subject):
    """A person that the stack itself creates. With federation, people come from the directory instead."""

    email: Address
    given_name: str
    family_name: str
    auditor: bool = False
    """May look at other people's traces in the trace store."""


class Agent(Subject):
    """A program that acts for the company: a service account under the same rules as a person."""

    description: str = ""
    public_keys: tuple[PublicKey, ...] | None = Field(default=None, min_length=1, max_length=4)
    """The agent signs in by a private key of its own, which nobody else has, and by no secret (RFC 7523; a client of
    ``private_key_jwt``). Several, while it changes from one to the next."""
    owner: Slug | Address | None = None
    """Who answers for it: a declared person, or a mail address. Shown in Keycloak and by ``explain``; decides
    nothing."""
    on_behalf_of: tuple[Slug, ...] = ()
    """Departments of the people for whom it may act. It gets a token of theirs in exchange for one that they have given
    it (RFC 8693); what both may do holds, the trail shows both, and the person's budget pays."""


class Observability(Model):
    """Where traces go. ``auto`` takes Langfuse where it can run and MLflow elsewhere; decided once, with the supply."""

    store: Literal["auto", "mlflow", "langfuse"] = "auto"
    """``mlflow`` always runs; ``langfuse`` needs ``supply: official``, 12 GB of memory and ``edge.http_port: 8080``."""

    @property
    def backend(self) -> Literal["mlflow", "langfuse"]:
        """The store that is used; while nobody decided what ``auto`` means, that which runs everywhere."""
        return "langfuse" if self.store == "langfuse" else "mlflow"


class State(Model):
    """Where Pulumi keeps what it knows of the stack; what is secret in it is encrypted."""

    backend: StateBackend | None = None
    """``s3://bucket/folder?region=…``, ``azblob://container/folder`` or ``postgres://user@host/database``; a folder of
    the operator's machine unless given. Credentials come as that service's own tools find them, never from here."""

    @model_validator(mode="after")
    def _no_password(self) -> State:
        url = urlsplit(self.backend or "")
        if url.password is not None or "password" in dict(parse_qsl(url.query)):
            raise ValueError("backend holds a password: give it by PGPASSWORD or ~/.pgpass")
        return self


class IgnoredDrift(Model):
    """Drift that is known and wanted. It is still listed, with its reason, but it is no finding."""

    path: Annotated[str, StringConstraints(pattern=r"^[a-z*?].*/.+$")]
    """Resource and field, as ``./praxis drift`` names them, with ``*`` for anything: ``container/*/env.TZ``."""
    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=3)]
    """Why it is wanted; shown with it."""


class Drift(Model):
    """What ``./praxis drift`` passes over."""

    ignore: tuple[IgnoredDrift, ...] = ()


class Stack(Model):
    """One gateway: everything that ``stacks/<name>.yaml`` may declare."""

    environment: Literal["demo", "production"]
    """``demo`` gives people generated passwords and a sign-in without a browser, marked in every record."""
    target: Literal["docker"] = "docker"
    supply: Literal["auto", "registries", "official"] = "auto"
    """Where engine, plugins and images come from; ``auto`` is decided at the first ``up`` and kept."""
    edge: Edge = Edge()
    egress: Egress = Egress()
    observability: Observability = Observability()
    drift: Drift = Drift()
    state: State = State()
    secrets: SecretsPlace = SecretsFile()
    """Where the encrypted secret store is kept: one of the five below, chosen by ``store``; the file unless declared.
    ``./praxis secrets move STACK`` moves a store that is there already."""
    models: Annotated[dict[ModelName, ServedModel], Field(min_length=1)]
    identity: Identity = Identity()
    roles: Annotated[dict[Slug, Role], Field(min_length=1)]
    departments: Annotated[dict[Slug, Narrowing], Field(min_length=1)]
    people: dict[Slug, Person] = Field(default_factory=dict)
    agents: dict[Slug, Agent] = Field(default_factory=dict)

    def policies(self, name: str) -> Policies:
        """What the runtime needs to know of this stack; ``name`` is the stack's name."""
        return Policies(
            stack=name,
            environment=self.environment,
            models={key: model.price_usd_per_million_tokens for key, model in self.models.items()},
            roles={key: role.policy() for key, role in self.roles.items()},
            departments=self.departments,
            subjects={key: subject.narrowing() for key, subject in self.subjects().items()},
            actors={
                key: Actor(role=agent.role, department=agent.department, on_behalf_of=agent.on_behalf_of)
                for key, agent in self.agents.items()
                if agent.on_behalf_of
            },
        )

    def subjects(self) -> dict[str, Person | Agent]:
        """People and agents by name."""
        return {**self.people, **self.agents}

    def agents_with_secret(self) -> list[str]:
        """Names of the agents that sign in by a secret, which Praxis makes; the others have keys of their own."""
        return [name for name, agent in self.agents.items() if agent.public_keys is None]

    def acting_agents(self) -> list[str]:
        """Names of the agents that may act for people."""
        return [name for name, agent in self.agents.items() if agent.on_behalf_of]

    def roles_with_mfa(self) -> list[str]:
        """Names of the roles whose people must give a second factor."""
        return [name for name, role in self.roles.items() if role.mfa]

    def secret_names(self) -> list[str]:
        """Names of the secrets that this file refers to and that an operator must set, sorted."""
        references = {model.api_key for model in self.models.values() if model.api_key}
        references |= {directory.client_secret for directory in self.identity.openid().values()}
        return sorted(reference.removeprefix("secret://") for reference in references)

    def references(self) -> Iterator[tuple[KeyPath, str]]:
        """Every use of an undeclared name and every attempt to widen a role, as (key path, message)."""
        for name, role in self.roles.items():
            if name.startswith(OWN_ROLES):
                yield ("roles", name), f"names that begin with '{OWN_ROLES}' are the gateway's own"
            yield from self._models(("roles", name, "models"), role.models)
        for name, narrowing in self.departments.items():
            yield from self._models(("departments", name, "models"), narrowing.models or ())
        for group, members in (("people", self.people), ("agents", self.agents)):
            for name, subject in members.items():
                yield from self._subject((group, name), subject)
        for name, agent in self.agents.items():
            yield from self._agent(("agents", name), agent)
        yield from self._directories()
        if self.observability.store == "langfuse":
            yield from self._langfuse()
        for name in self.people.keys() & self.agents.keys():
            yield ("agents", name), "is also a person's name; one name is one subject"

    def _agent(self, path: KeyPath, agent: Agent) -> Iterator[tuple[KeyPath, str]]:
        for index, department in enumerate(agent.on_behalf_of):
            if department not in self.departments:
                yield (*path, "on_behalf_of", index), f"no department '{department}'; {declared(self.departments)}"
        if agent.owner and "@" not in agent.owner and agent.owner not in self.people:
            yield (*path, "owner"), f"no person '{agent.owner}', and no mail address; {declared(self.people)}"

    def _directories(self) -> Iterator[tuple[KeyPath, str]]:
        known: dict[str, Iterable[str]] = {"role": self.roles, "department": self.departments}
        taken = {model.api_key: f"model '{name}'" for name, model in self.models.items() if model.api_key}
        for name, directory in self.identity.directories.items():
            path: KeyPath = ("identity", "directories", name)
            for given in directory.gives():
                if given.what != "auditor" and given.name not in known[given.what]:
                    key = (given.what,) if isinstance(directory, GoogleDirectory) else (f"{given.what}s", given.name)
                    yield (*path, *key), f"no {given.what} '{given.name}'; {declared(known[given.what])}"
        for name, directory in self.identity.openid().items():
            user = taken.setdefault(directory.client_secret, f"directory '{name}'")
            if user != f"directory '{name}'":
                path = ("identity", "directories", name, "client_secret")
                yield path, f"{directory.client_secret} is that of {user} already; a secret goes to one place only"

    def _langfuse(self) -> Iterator[tuple[KeyPath, str]]:
        store: KeyPath = ("observability", "store")
        if self.supply == "registries":
            yield store, "langfuse is in no package registry: it needs supply: official (or auto); or set store: mlflow"
        if self.edge.http_port != LANGFUSE_HTTP_PORT:
            # It asks the realm at the very address that browsers are sent to, and there Keycloak's own port answers.
            yield ("edge", "http_port"), f"must be {LANGFUSE_HTTP_PORT} with observability.store: langfuse"

    def _models(self, path: KeyPath, used: Sequence[str]) -> Iterator[tuple[KeyPath, str]]:
        for index, model in enumerate(used):
            if model not in self.models:
                yield (*path, index), f"no model '{model}'; {declared(self.models)}"

    def _subject(self, path: KeyPath, subject: Subject) -> Iterator[tuple[KeyPath, str]]:
        if subject.role not in self.roles:
            yield (*path, "role"), f"no role '{subject.role}'; {declared(self.roles)}"
        if subject.department not in self.departments:
            yield (*path, "department"), f"no department '{subject.department}'; {declared(self.departments)}"
        yield from self._models((*path, "models"), subject.models or ())
        if subject.role in self.roles:
            yield from widenings(path, self.roles[subject.role], subject)


def widenings(path: KeyPath, role: Policy, by: Narrowing) -> Iterator[tuple[KeyPath, str]]:
    """Where ``by`` asks for more than ``role`` allows. It would have no effect, so it is refused."""
    for index, model in enumerate(by.models or ()):
        if model not in role.models:
            yield (*path, "models", index), f"the role does not allow '{model}'; it allows: {listed(role.models)}"
    for index, tool in enumerate(by.tools or ()):
        if role.tools is not None and tool not in role.tools:
            yield (*path, "tools", index), f"the role does not allow '{tool}'; it allows: {listed(role.tools)}"
    if by.limits is not None:
        for field in Limits.model_fields:
            own, base = getattr(by.limits, field), getattr(role.limits, field)
            if own is not None and base is not None and own > base:
                yield (*path, "limits", field), f"{own} is more than the role allows ({base})"
    if by.guards is not None:
        for category in CATEGORIES:
            own_action, base_action = by.guards.action(category), role.guards.action(category)
            if category in by.guards.model_fields_set and own_action.severity < base_action.severity:
                yield (*path, "guards", category), f"'{own_action}' is weaker than the role's '{base_action}'"
    if by.budget is not None and by.budget.usd_per_day > role.budget.usd_per_day:
        yield (*path, "budget"), f"more than the role's {role.budget.usd} USD per {role.budget.period}"


def declared(names: Iterable[str]) -> str:
    """``declared are: a, b`` for an error message."""
    return f"declared are: {listed(names)}"


def listed(names: Iterable[str]) -> str:
    """Names joined for a message; a dash when there are none."""
    return ", ".join(names) or "-"
