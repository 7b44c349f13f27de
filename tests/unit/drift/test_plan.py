"""What mends what."""

from __future__ import annotations

from infra.drift.findings import Finding, Kind
from infra.drift.plan import plan, statements

CONTAINER = "urn:pulumi:t::praxis::a$docker:index/container:Container::service-edge"
NETWORK = "urn:pulumi:t::praxis::a$docker:index/network:Network::network-front"
REALM = "urn:pulumi:t::praxis::a$keycloak:index/realm:Realm::r"


def finding(resource: str, path: str, kind: Kind, urn: str | None = None) -> Finding:
    return Finding(resource=resource, path=path, kind=kind, declared="a", live="b", urn=urn, repair="")


def test_a_changed_container_is_made_again_and_a_stopped_one_started() -> None:
    assert plan([finding("container/edge", "env.A", Kind.CHANGED, CONTAINER)], "t").replace == (CONTAINER,)
    stopped = plan([finding("container/edge", "state", Kind.STOPPED, CONTAINER)], "t")
    assert (stopped.start, stopped.replace) == (("edge",), ())


def test_a_changed_and_stopped_container_is_only_made_again() -> None:
    both = [
        finding("container/edge", "env.A", Kind.CHANGED, CONTAINER),
        finding("container/edge", "state", Kind.STOPPED, CONTAINER),
    ]
    assert (plan(both, "t").start, plan(both, "t").replace) == ((), (CONTAINER,))


def test_changed_config_files_need_a_new_container() -> None:
    assert plan([finding("config/edge", "traefik.yaml", Kind.CHANGED, CONTAINER)], "t").replace == (CONTAINER,)


def test_intruders_go_by_their_names() -> None:
    found = [
        finding("container/edge", "name", Kind.FOREIGN, CONTAINER),
        finding("container/stranger", "name", Kind.FOREIGN),
    ]
    assert plan(found, "t").remove == ("praxis-t-edge", "stranger")
    assert plan(found, "t").replace == (CONTAINER,)


def test_what_an_interrupted_run_has_made_is_no_intruder() -> None:
    begun = finding("container/praxis-t-redis", "name", Kind.FOREIGN)
    assert plan([begun], "t", ["redis"]).remove == ()
    assert plan([begun], "t", ["edge"]).remove == ("praxis-t-redis",)


def test_networks_are_read_again_and_the_realm_by_itself() -> None:
    found = plan([finding("network/front", "state", Kind.MISSING, NETWORK)], "t")
    assert (found.read_again, found.realm) == ((NETWORK,), False)
    found = plan([finding("realm/praxis", "displayName", Kind.CHANGED, REALM)], "t")
    assert (found.read_again, found.realm) == ((), True)


def test_the_database_is_mended_by_statements_and_as_at_its_own_start() -> None:
    found = [
        finding("database-role/eve", "state", Kind.FOREIGN),
        finding("database-role/mlflow", "createdb", Kind.CHANGED),
        finding("database-role/mlflow", "password", Kind.CHANGED),
        finding("database-role/mlflow", "member_of.pg_monitor", Kind.FOREIGN),
        finding("database/litellm", "owner", Kind.CHANGED),
        finding("database/litellm", "grants.public", Kind.FOREIGN),
        finding("database/other", "state", Kind.FOREIGN),
    ]
    assert list(statements(found)) == [
        'ALTER ROLE "eve" NOLOGIN NOSUPERUSER',
        'ALTER ROLE "mlflow" NOCREATEDB',
        'REVOKE "pg_monitor" FROM "mlflow"',
        'ALTER DATABASE "litellm" OWNER TO "litellm"',
        'REVOKE ALL ON DATABASE "litellm" FROM PUBLIC',
    ]
    assert plan(found, "t").databases == ("mlflow",)
    assert plan(found[:2], "t").databases == ()


def test_a_secret_is_delivered_again_before_its_service_is_made_again() -> None:
    todo = plan([finding("secrets/edge", "tls.key", Kind.CHANGED, CONTAINER)], "t")
    assert (todo.start, todo.replace, todo.realm, todo.read_again) == (("secrets",), (CONTAINER,), False, ())
