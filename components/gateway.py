"""Layer 3, the gateway: LiteLLM with our hooks (which are layer 5, the guardrails), and the local model."""

from __future__ import annotations

from typing import Any

import yaml

from components.spec import NetworkName, ServiceSpec, http_probe
from components.way_out import PORT as EGRESS_PORT
from config.egress import Route, base_of, routes
from config.providers import PROVIDERS
from config.stack import ServedModel, Stack
from runtime.providers import CountingRoute, CountingRoutes
from runtime.wire import COUNT_PATH, EGRESS_PLACEHOLDER


def litellm(stack: Stack, name: str) -> ServiceSpec:
    """LiteLLM, its database engine and the hooks: guards, records, telemetry. ``name`` is the stack's name."""
    remote = [model for model in stack.models.values() if model.provider != "local"]
    networks: tuple[NetworkName, ...] = ("front", "data", "models", "telemetry")
    own = ("litellm-master-key", "litellm-salt-key", "litellm-db-password", "redis-password", "assertion-public-key")
    return ServiceSpec(
        name="litellm",
        image="litellm",
        uid=61004,
        memory_mib=1216,
        networks=(*networks, "egress") if remote else networks,
        # No provider's key: those are the custodian's, which puts them on a request behind this one's back.
        secrets={secret: f"${{{secret}}}" for secret in (*own, "custodian-record-token")},
        config_files={
            "litellm.yaml": yaml.safe_dump(_litellm(stack), sort_keys=False),
            "policies.json": stack.policies(name).model_dump_json(indent=1),
            "counting.json": counting(stack).model_dump_json(indent=1),
        },
        env={
            "PRAXIS_MAX_REQUEST_MIB": str(stack.edge.max_request_mib),
            # LiteLLM would go on for five minutes to the address that a model or the egress had before a restart.
            "AIOHTTP_TTL_DNS_CACHE": "2",
        },
        probe=http_probe(4000, "/health/readiness", start_period_s=240),
        tmp_mib=128,
        needs=("postgres", "redis"),
        stop_grace_s=30,
    )


def _litellm(stack: Stack) -> dict[str, Any]:
    ways_out = {model: route for route in routes(stack) for model in route.upstream.models}
    return {
        "model_list": [_model(name, model, ways_out.get(name)) for name, model in stack.models.items()],
        "general_settings": {
            # The gate in front leaves no "x-" header of the client's: what is forwarded is its own ticket.
            "forward_client_headers_to_llm_api": True,
            "master_key": "os.environ/LITELLM_MASTER_KEY",
            "database_url": "os.environ/DATABASE_URL",
            "database_connection_pool_limit": 5,
            "proxy_batch_write_at": 10,
            # The ledger reserves, by the role's own measure; LiteLLM would reserve 16,384 tokens where none are named.
            "disable_budget_reservation": True,
            "disable_error_logs": True,
            # Prompts belong into the trace store, after the guards; never into LiteLLM's own tables.
            "store_prompts_in_spend_logs": False,
        },
        "litellm_settings": {
            "use_chat_completions_url_for_anthropic_messages": True,
            "drop_params": True,
            "request_timeout": 600,
            "num_retries": 0,
            # What a client calls itself is the caller's to choose: it makes no rows in LiteLLM's tables.
            "disable_add_user_agent_to_request_tags": True,
            # Redis holds the counters of limits; answers are not cached ("no call types").
            "cache": True,
            "cache_params": {"type": "redis", "supported_call_types": []},
        },
        "router_settings": {"routing_strategy": "simple-shuffle", "disable_cooldowns": True},
    }


def counting(stack: Stack) -> CountingRoutes:
    """Where tokens are counted for which model: at providers of Anthropic's dialect, whose tokens they are."""
    ways_out = {model: route for route in routes(stack) for model in route.upstream.models}
    return CountingRoutes(
        routes={
            name: CountingRoute(
                url=f"http://egress:{EGRESS_PORT}/{ways_out[name].name}{ways_out[name].base_path}{COUNT_PATH}",
                model=model.model or name,
            )
            for name, model in stack.models.items()
            if model.provider == "anthropic"
        }
    )


def _model(name: str, model: ServedModel, way_out: Route | None) -> dict[str, Any]:
    price = model.price_usd_per_million_tokens
    # What only callers' own accounts pay for is in nobody's budget.
    paid = model.provider == "local" or model.api_key is not None
    # Not among the params: LiteLLM would make its whole price list anew at each request.
    prices = {
        name: float(usd) / 1e6 if paid else 0.0
        for name, usd in {
            "input_cost_per_token": price.input,
            "output_cost_per_token": price.output,
            "cache_read_input_token_cost": price.cache_read,
            "cache_creation_input_token_cost": price.cache_write,
        }.items()
        if usd is not None
    }
    if way_out is None:
        # The model listens on a network that only LiteLLM shares; the client library insists on some key.
        params: dict[str, Any] = {"model": f"openai/{name}", "api_base": "http://model:8080/v1", "api_key": "none"}
    else:
        base = f"http://egress:{EGRESS_PORT}/{way_out.name}{way_out.base_path}"
        params = {
            "model": f"{model.provider}/{model.model or name}",
            "api_base": base,
            "api_key": EGRESS_PLACEHOLDER,
        }
    if way_out is None or not PROVIDERS[model.provider].serves_responses(base_of(model)):
        params["use_chat_completions_api"] = True
    return {"model_name": name, "litellm_params": params, "model_info": prices}


def local_model(stack: Stack) -> tuple[ServiceSpec, ...]:
    """llama.cpp with SmolLM2-135M-Instruct, when the stack has a local model."""
    names = [name for name, model in stack.models.items() if model.provider == "local"]
    if not names:
        return ()
    return (
        ServiceSpec(
            name="model",
            image="model",
            uid=61007,
            memory_mib=384,
            networks=("models",),
            env={"MODEL_ALIAS": names[0], "N_CTX": "8192", "N_PARALLEL": "2"},
            probe=http_probe(8080, "/health"),
        ),
    )
