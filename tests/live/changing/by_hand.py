"""Drift as people make it: with Docker's and Keycloak's and LiteLLM's own means, behind Praxis's back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import httpx
import yaml
from docker.models.containers import Container

from infra.cli.containers import ready
from tests.proof import NAME, PORTS, Proof

ADMIN = f"http://127.0.0.1:{PORTS['admin_port']}"


@dataclass(frozen=True)
class Drift:
    """``make`` makes it; ``found`` are the fields that must be found, and no others."""

    make: Callable[[Proof], None]
    found: frozenset[str]


def container(service: str) -> Container:
    return docker.from_env().containers.get(f"praxis-{NAME}-{service}")


def made_again(proof: Proof) -> None:
    """The same container again, by hand, with one variable more and another for one that was declared."""
    old = container("sso")
    api, config, host = old.client.api, dict(old.attrs["Config"]), old.attrs["HostConfig"]  # type: ignore[union-attr]  # it has one
    networks = old.attrs["NetworkSettings"]["Networks"]
    old.remove(force=True)
    config["Env"] = [*config["Env"], "TZ=Mars"]
    made = api.create_container_from_config({**config, "HostConfig": host}, name=f"praxis-{NAME}-sso")
    api.disconnect_container_from_network(made["Id"], "bridge")
    for name in networks:
        api.connect_container_to_network(made["Id"], name, aliases=["sso"])
    api.start(made["Id"])


def less_memory(proof: Proof) -> None:
    container("mlflow").update(mem_limit="600m", memswap_limit="600m")


def stopped(proof: Proof) -> None:
    container("model").stop(timeout=1)


def removed(proof: Proof) -> None:
    container("collector").remove(force=True)


def impostor(proof: Proof) -> None:
    """Another program's container under a name of the stack's."""
    old = container("egress")
    image = str(old.attrs["Image"])
    old.remove(force=True)
    docker.from_env().containers.create(image, name=f"praxis-{NAME}-egress", entrypoint=["sleep", "600"])


def stranger(proof: Proof) -> None:
    """A container that says it is the stack's."""
    image = str(container("sso").attrs["Image"])
    docker.from_env().containers.create(
        image, name=f"drift-stranger-{NAME}", entrypoint=["sleep", "600"], labels={"praxis.stack": NAME}
    )


def connected(proof: Proof) -> None:
    docker.from_env().networks.get(f"praxis-{NAME}-models").connect(container("custodian"))


def edge_routes() -> Path:
    """The edge's file of routes, made writable."""
    mounts = container("edge").attrs["Mounts"]
    folder = Path(next(one["Source"] for one in mounts if one["Destination"] == "/etc/praxis"))
    routes = folder / "dynamic/routes.yaml"
    routes.chmod(0o644)
    return routes


def config_file(proof: Proof) -> None:
    routes = edge_routes()
    routes.write_text(routes.read_text() + "# by hand\n")
    (routes.parent / "more.yaml").write_text("{}\n")


def live_route(proof: Proof) -> None:
    """Traefik is started with a door of somebody's own, and the file is put back as it was."""
    routes = edge_routes()
    text = routes.read_text()
    door = {"rule": "Path(`/v1/embeddings`)", "service": "litellm", "entryPoints": ["http"]}
    changed = yaml.safe_load(text)
    changed["http"]["routers"]["open-door"] = door
    routes.write_text(yaml.safe_dump(changed))
    container("edge").restart(timeout=5)
    until = time.monotonic() + 60
    while not ready(NAME, "edge"):
        assert time.monotonic() < until, "the edge does not start"
        time.sleep(0.5)
    routes.write_text(text)


@contextmanager
def keycloak(proof: Proof) -> Iterator[httpx.Client]:
    """The realm's admin API."""
    form = {"grant_type": "password", "client_id": "admin-cli", "username": "admin"}
    password = proof.store.get("keycloak-admin-password")
    answer = httpx.post(
        f"{ADMIN}/realms/master/protocol/openid-connect/token", data={**form, "password": password}, trust_env=False
    )
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    with httpx.Client(base_url=f"{ADMIN}/admin/realms/praxis", headers=headers, trust_env=False, timeout=30) as http:
        yield http


def realm(proof: Proof) -> None:
    with keycloak(proof) as http:
        settings = http.get("").json()
        _done(http.put("", json={**settings, "accessTokenLifespan": 3600}))
        client = http.get("/clients", params={"clientId": "praxis-consoles"}).json()[0]
        addresses = [*client["redirectUris"], "https://elsewhere.example/*"]
        _done(http.put(f"/clients/{client['id']}", json={**client, "redirectUris": addresses, "secret": "by-hand"}))
        # Not somebody whose virtual key other tests hold: who is made again is another subject, and that key is void.
        user = http.get("/users", params={"username": "frank"}).json()[0]
        _done(http.delete(f"/users/{user['id']}"))


def added_to_realm(proof: Proof) -> None:
    """A door of somebody's own, and a role that was given in the console."""
    with keycloak(proof) as http:
        _done(http.post("/clients", json={"clientId": "backdoor", "publicClient": True}))
        agent = http.get("/clients", params={"clientId": "agent-nightly-report"}).json()[0]
        account = http.get(f"/clients/{agent['id']}/service-account-user").json()
        role = http.get("/roles/engineer").json()
        _done(http.post(f"/users/{account['id']}/role-mappings/realm", json=[role]))


def database(proof: Proof) -> None:
    for statement in (
        "DROP ROLE IF EXISTS mallory",
        "CREATE ROLE mallory LOGIN SUPERUSER",
        "ALTER ROLE mlflow CREATEDB PASSWORD 'by-hand'",
        "GRANT CONNECT ON DATABASE litellm TO mlflow",
        "ALTER DATABASE keycloak OWNER TO custodian",
    ):
        code, said = container("postgres").exec_run(["psql", "-U", "postgres", "-d", "postgres", "-c", statement])
        assert code == 0, said


def delivered_secret(proof: Proof) -> None:
    """Another content in a service's memory, by the one who may write there."""
    change = "cd /deliver/sso && chmod 640 cookie-secret && echo by-hand > cookie-secret && touch more"
    code, said = container("secrets").exec_run(["sh", "-c", change])
    assert code == 0, said


def litellm(proof: Proof) -> None:
    headers = {"Authorization": f"Bearer {proof.store.get('litellm-master-key')}"}
    with httpx.Client(base_url=f"{ADMIN}/litellm", headers=headers, trust_env=False, timeout=60) as http:
        users = http.get("/user/list", params={"page_size": 100}).json()["users"]
        alice = next(user["user_id"] for user in users if user["user_alias"] == "alice")
        keys: list[dict[str, Any]] = http.get(
            "/key/list", params={"size": 100, "return_full_object": "true", "user_id": alice}
        ).json()["keys"]
        token = next(key["token"] for key in keys if str(key["key_alias"]).startswith(f"{alice}."))
        _done(http.post("/key/update", json={"key": token, "max_budget": 75, "rpm_limit": 9000}))
        _done(http.post("/user/update", json={"user_id": alice, "max_budget": 1000}))
        _done(http.post("/team/update", json={"team_id": "research", "max_budget": 1000}))
        _done(http.post("/budget/update", json={"budget_id": "engineer", "max_budget": 75}))


def _done(answer: httpx.Response) -> None:
    assert answer.is_success, f"{answer.request.url}: {answer.status_code} {answer.text[:300]}"


KINDS: dict[str, Drift] = {
    "litellm": Drift(
        litellm,
        frozenset(
            {
                "litellm/user/alice/budget.usd",
                "litellm/user/alice/limits.requests_per_minute",
                "litellm/user/alice/user.budget.usd",
                "litellm/team/research/max_budget",
                "litellm/budget/engineer/max_budget",
            }
        ),
    ),
    "realm": Drift(
        realm,
        frozenset(
            {
                "realm/praxis/accessTokenLifespan",
                "client/praxis-consoles/validRedirectUris",
                "client/praxis-consoles/clientSecret",
                "user/frank/state",
            }
        ),
    ),
    "added to the realm": Drift(
        added_to_realm,
        frozenset(
            {
                "client/backdoor/state",
                "user/service-account-agent-nightly-report/roles.engineer",
            }
        ),
    ),
    "made again by hand": Drift(made_again, frozenset({"container/sso/id", "container/sso/env.TZ"})),
    "limits": Drift(
        less_memory,
        frozenset({"container/mlflow/limits.memory_mib", "container/mlflow/limits.memory_and_swap_mib"}),
    ),
    "stopped": Drift(stopped, frozenset({"container/model/state"})),
    "removed": Drift(removed, frozenset({"container/collector/state"})),
    "impostor": Drift(impostor, frozenset({"container/egress/name"})),
    "stranger": Drift(stranger, frozenset({f"container/drift-stranger-{NAME}/name"})),
    "network": Drift(connected, frozenset({"container/custodian/networks.models"})),
    "config": Drift(config_file, frozenset({"config/edge/dynamic/routes.yaml", "config/edge/dynamic/more.yaml"})),
    "live route": Drift(live_route, frozenset({"route/open-door/state"})),
    "secrets": Drift(delivered_secret, frozenset({"secrets/sso/cookie-secret", "secrets/sso/more"})),
    "database": Drift(
        database,
        frozenset(
            {
                "database-role/mallory/state",
                "database-role/mlflow/createdb",
                "database-role/mlflow/password",
                "database/litellm/grants.mlflow",
                "database/keycloak/owner",
            }
        ),
    ),
}
"""In this order: the first ones need parts that later ones take away, and who lost its database ends in time."""
