"""From the declared models to the few routes that lead out of the gateway."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from config.providers import PROVIDERS, origin
from config.stack import ServedModel, Stack
from config.yaml import KeyPath
from runtime.providers import Upstream, Upstreams


@dataclass(frozen=True, kw_only=True)
class Route:
    """One provider at the egress: requests to ``/<name><path>`` go to ``origin`` at ``path``."""

    name: str
    origin: str
    base_path: str
    paths: tuple[str, ...]
    """Whole paths at the provider, exact."""
    upstream: Upstream


def base_of(model: ServedModel) -> str:
    """Where the API that serves a remote model begins, without a slash at its end."""
    return (model.api_base or PROVIDERS[model.provider].base or "").rstrip("/")


def routes(stack: Stack) -> tuple[Route, ...]:
    """The ways out, one for each (provider, address, key), in the order in which the models are declared."""
    groups: dict[tuple[str, str, str | None], list[str]] = {}
    for name, model in stack.models.items():
        if model.provider != "local":
            groups.setdefault((model.provider, base_of(model), model.api_key), []).append(name)
    seen: dict[str, int] = {}
    made = []
    for (provider, base, key), names in groups.items():
        seen[provider] = seen.get(provider, 0) + 1
        name = provider if seen[provider] == 1 else f"{provider}-{seen[provider]}"
        made.append(_route(name, provider, base, key, {each: stack.models[each] for each in names}))
    return tuple(made)


def _route(name: str, provider: str, base: str, key: str | None, models: dict[str, ServedModel]) -> Route:
    known, path = PROVIDERS[provider], urlsplit(base).path
    called = {each.model or own for own, each in models.items()}
    paths = sorted({path + one.format(model=model) for one in known.paths_at(base) for model in called})
    return Route(
        name=name,
        origin=origin(base),
        base_path=path,
        paths=tuple(paths),
        upstream=Upstream(
            secret=key.removeprefix("secret://") if key else None,
            header=known.header,
            prefix=known.prefix,
            models=tuple(models),
            user_tokens=any(each.user_tokens for each in models.values()),
        ),
    )


def upstreams(stack: Stack) -> Upstreams:
    """What the custodian needs to know of the routes."""
    return Upstreams(upstreams={route.name: route.upstream for route in routes(stack)})


def bindings(stack: Stack) -> Iterator[tuple[KeyPath, str]]:
    """Every use of one secret for a second host, as (key path, message): a key goes to the host it is for."""
    bound: dict[str, tuple[str, str]] = {}
    for name, model in stack.models.items():
        if model.provider == "local" or model.api_key is None:
            continue
        host = origin(base_of(model))
        first, other = bound.setdefault(model.api_key, (name, host))
        if other != host:
            yield (
                ("models", name, "api_key"),
                f"{model.api_key} is bound to {other} by model '{first}'; a key goes to one host only",
            )


def misnamed(stack: Stack) -> Iterator[tuple[KeyPath, str]]:
    """Every remote model whose provider is said to call it as a provider is called, as (key path, message): LiteLLM
    would take that for the provider and find no model behind it."""
    for name, model in stack.models.items():
        called = model.model or name
        if model.provider != "local" and called in PROVIDERS:
            yield (
                ("models", name, "model"),
                f"'{called}' is a provider, not a model of one; say which: '{model.provider}' calls it by its own name",
            )
