"""The SDK of our LiteLLM plugin (infra/plugins/litellm): its resources, typed. Held to the plugin's schema by test.

Names are LiteLLM's own, in the program as in the schema, so nothing is translated. What the properties mean stands in
docs/reference/litellm-plugin.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import pulumi

from config.versions import PULUMI_LITELLM

_VERSION = pulumi.ResourceOptions(version=PULUMI_LITELLM)


@dataclass(frozen=True, kw_only=True)
class ProviderArgs:
    """``timeout_s``: seconds for one answer."""

    url: pulumi.Input[str]
    master_key: pulumi.Input[str]
    timeout_s: pulumi.Input[float] | None = None


@dataclass(frozen=True, kw_only=True)
class TeamArgs:
    """A team; limits and budget (USD) are those of all its keys together."""

    team_id: pulumi.Input[str]
    team_alias: pulumi.Input[str] | None = None
    models: pulumi.Input[Sequence[pulumi.Input[str]]] | None = None
    metadata: pulumi.Input[Mapping[str, pulumi.Input[str]]] | None = None
    blocked: pulumi.Input[bool] | None = None
    max_budget: pulumi.Input[float] | None = None
    budget_duration: pulumi.Input[str] | None = None
    rpm_limit: pulumi.Input[int] | None = None
    tpm_limit: pulumi.Input[int] | None = None


@dataclass(frozen=True, kw_only=True)
class BudgetArgs:
    """A budget (USD) with limits, for whatever points to it."""

    budget_id: pulumi.Input[str]
    max_budget: pulumi.Input[float] | None = None
    budget_duration: pulumi.Input[str] | None = None
    rpm_limit: pulumi.Input[int] | None = None
    tpm_limit: pulumi.Input[int] | None = None
    max_parallel_requests: pulumi.Input[int] | None = None


@dataclass(frozen=True, kw_only=True)
class ModelArgs:
    """A model in LiteLLM's database; costs in USD a token."""

    model_id: pulumi.Input[str]
    model_name: pulumi.Input[str]
    model: pulumi.Input[str]
    api_base: pulumi.Input[str] | None = None
    api_key: pulumi.Input[str] | None = None
    input_cost_per_token: pulumi.Input[float] | None = None
    output_cost_per_token: pulumi.Input[float] | None = None
    rpm: pulumi.Input[int] | None = None
    tpm: pulumi.Input[int] | None = None


class Provider(pulumi.ProviderResource):
    """One LiteLLM, and the key that may change it. The key is a secret, whatever it is given as."""

    def __init__(self, name: str, args: ProviderArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        props = {**_props(args), "master_key": pulumi.Output.secret(args.master_key)}
        super().__init__("litellm", name, props, pulumi.ResourceOptions.merge(_VERSION, opts))


class Team(pulumi.CustomResource):
    """A team. One that is there already is adopted."""

    team_id: pulumi.Output[str]
    max_budget: pulumi.Output[float | None]

    def __init__(self, name: str, args: TeamArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("litellm:index:Team", name, _props(args), pulumi.ResourceOptions.merge(_VERSION, opts))


class Budget(pulumi.CustomResource):
    """A budget with limits. One that is there already is adopted."""

    budget_id: pulumi.Output[str]
    max_budget: pulumi.Output[float | None]

    def __init__(self, name: str, args: BudgetArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("litellm:index:Budget", name, _props(args), pulumi.ResourceOptions.merge(_VERSION, opts))


class Model(pulumi.CustomResource):
    """A model in LiteLLM's database; not one of its config file."""

    model_id: pulumi.Output[str]

    def __init__(self, name: str, args: ModelArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        key = {} if args.api_key is None else {"api_key": pulumi.Output.secret(args.api_key)}
        props = {**_props(args), **key}
        super().__init__("litellm:index:Model", name, props, pulumi.ResourceOptions.merge(_VERSION, opts))


def _props(args: ProviderArgs | TeamArgs | BudgetArgs | ModelArgs) -> dict[str, object]:
    return {field.name: getattr(args, field.name) for field in fields(args)}
