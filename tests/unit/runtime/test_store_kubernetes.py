"""A store in a Secret of Kubernetes: what the API server answers, and what becomes of it."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from runtime.store import ConflictError, KubernetesBackend, StoreError, UnreachableError
from runtime.store.backends.kubernetes import KUBERNETES_MAX_BYTES
from tests.places import Answer, Cluster, kubeconfig, served


@pytest.fixture
def backend(way: Path) -> KubernetesBackend:
    return KubernetesBackend("gateway", "praxis", kubeconfig=way)


def test_what_others_put_on_the_secret_stays(cluster: Cluster, backend: KubernetesBackend) -> None:
    backend.save(b"one", None)
    cluster.secrets["praxis"]["metadata"]["annotations"] = {"owner": "somebody"}
    cluster.secrets["praxis"]["data"]["other"] = "eA=="
    first = backend.load()
    assert first is not None
    backend.save(b"two", first.version)
    kept = cluster.secrets["praxis"]
    assert kept["type"] == "Opaque"
    assert kept["metadata"]["annotations"] == {"owner": "somebody"}
    assert kept["data"] == {"store.age": base64.b64encode(b"two").decode(), "other": "eA=="}


def test_a_secret_that_was_deleted_meanwhile_is_a_conflict(cluster: Cluster, backend: KubernetesBackend) -> None:
    backend.save(b"one", None)
    first = backend.load()
    assert first is not None
    cluster.secrets.clear()
    with pytest.raises(ConflictError):
        backend.save(b"two", first.version)
    assert cluster.secrets == {}


def test_what_is_too_large_is_not_sent(cluster: Cluster, backend: KubernetesBackend) -> None:
    with pytest.raises(StoreError, match=f"can hold {KUBERNETES_MAX_BYTES} bytes, and the store has"):
        backend.save(b"x" * (KUBERNETES_MAX_BYTES + 1), None)
    assert cluster.secrets == {}
    backend.save(b"x" * KUBERNETES_MAX_BYTES, None)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(401, {"message": "canary"}), "HTTP 401 Unauthorized"),
        (Answer(403, {"message": "canary"}), "HTTP 403 Forbidden"),
        (Answer(500, "<html>canary</html>"), "HTTP 500"),
        (Answer(200, {"kind": "Secret", "metadata": {"resourceVersion": "1"}, "data": {"x": "eA=="}}), "not a store"),
        (Answer(200, {"kind": "Secret", "metadata": {"resourceVersion": "1"}}), "not a store"),
        (
            Answer(200, {"kind": "Secret", "metadata": {"resourceVersion": "1"}, "data": {"store.age": "?"}}),
            "not a sto",
        ),
    ],
)
def test_what_cannot_be_read_is_never_an_empty_store(
    cluster: Cluster, backend: KubernetesBackend, answer: Answer, said: str
) -> None:
    cluster.instead = answer
    with pytest.raises(StoreError, match=said) as caught:
        backend.load()
    assert "canary" not in str(caught.value)
    assert not isinstance(caught.value, UnreachableError)


def test_a_refused_token_is_not_repeated(cluster: Cluster, way: Path) -> None:
    with served(cluster) as port:
        backend = KubernetesBackend("gateway", "praxis", kubeconfig=kubeconfig(way, port, "other-canary"))
        with pytest.raises(StoreError, match="HTTP 401") as caught:
            backend.save(b"one", None)
    assert "canary" not in str(caught.value)


def test_a_namespace_that_is_not_there_is_said(way: Path) -> None:
    backend = KubernetesBackend("nowhere", "praxis", kubeconfig=way)
    with pytest.raises(StoreError, match="HTTP 404"):
        backend.save(b"one", None)


def test_a_cluster_that_does_not_answer_is_unreachable(tmp_path: Path) -> None:
    with served(Cluster()) as port:
        pass
    backend = KubernetesBackend("gateway", "praxis", kubeconfig=kubeconfig(tmp_path / "kubeconfig", port))
    with pytest.raises(UnreachableError, match="cannot be asked"):
        backend.load()


@pytest.mark.parametrize(("file", "context"), [("nowhere", None), ("kubeconfig", "other")])
def test_no_way_in_is_one_message(way: Path, file: str, context: str | None) -> None:
    backend = KubernetesBackend("gateway", "praxis", context=context, kubeconfig=way.with_name(file))
    with pytest.raises(StoreError, match="no way in: ") as caught:
        backend.load()
    assert "\n" not in str(caught.value)


def test_inside_a_cluster_the_pods_own_account_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    with pytest.raises(StoreError, match="no way in: Service token file does not exist"):
        KubernetesBackend("gateway", "praxis").load()


@pytest.mark.not_run("needs a Kubernetes cluster; the API server's answers are played as documented")
def test_a_real_cluster() -> None:
    raise AssertionError("save, load, a conflict and a deleted Secret, against a cluster")
