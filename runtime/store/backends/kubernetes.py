"""A Secret of Kubernetes: its resourceVersion makes a save compare-and-set."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from runtime.store.backend import TIMEOUT_S, ConflictError, Stored, UnreachableError, fitting, missing
from runtime.store.document import StoreError

KUBERNETES_MAX_BYTES = 1024 * 1024
"""What the values of one Secret may add up to."""

KEY = "store.age"
_LABELS = {"app.kubernetes.io/managed-by": "praxis"}


class KubernetesBackend:
    """One Secret, with the document under ``store.age``.

    The way in is a kubeconfig's, with whatever it names (certificate, token, a program that gets one); inside a
    cluster that has none, the service account of the pod. Needed on the Secret: get, create, patch.

    Args:
        namespace: of the Secret; it must exist.
        name: of the Secret.
        context: of the kubeconfig; its current one if None.
        kubeconfig: the file; ``KUBECONFIG`` or ``~/.kube/config`` if None.
    """

    def __init__(
        self, namespace: str, name: str, *, context: str | None = None, kubeconfig: Path | None = None
    ) -> None:
        self._namespace = namespace
        self._name = name
        self._context = context
        self._kubeconfig = kubeconfig

    @property
    def where(self) -> str:
        """Namespace and name."""
        context = f", context {self._context}" if self._context else ""
        return f"Secret '{self._namespace}/{self._name}' in Kubernetes{context}"

    def load(self) -> Stored | None:
        """The Secret as it is now."""
        answer = self._call("read_namespaced_secret", {404: None}, name=self._name)
        if answer is None:
            return None
        try:
            content = base64.b64decode(answer.data[KEY], validate=True)
        except (KeyError, TypeError, binascii.Error):
            raise StoreError(f"{self.where} is not a store: it has no {KEY}") from None
        return Stored(content, str(answer.metadata.resource_version))

    def save(self, content: bytes, expected: str | None) -> None:
        """Create the Secret, or change it if its resourceVersion is ``expected``. What others put beside it stays."""
        fitting(content, KUBERNETES_MAX_BYTES, self.where)
        taken = ConflictError(self.where)
        data = {KEY: base64.b64encode(content).decode()}
        if expected is None:
            metadata = {"name": self._name, "namespace": self._namespace, "labels": _LABELS}
            body = {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "data": data}
            self._call("create_namespaced_secret", {409: taken}, body=body)
            return
        body = {"metadata": {"resourceVersion": expected}, "data": data}
        merge = "application/merge-patch+json"
        refusals = {409: taken, 404: taken}
        self._call("patch_namespaced_secret", refusals, name=self._name, body=body, _content_type=merge)

    def _call(self, action: str, refusals: Mapping[int, StoreError | None], **arguments: Any) -> Any:
        """What the API server answers. ``refusals``: status -> what to raise, or None to return None."""
        try:
            from kubernetes.client import ApiException
            from kubernetes.config import ConfigException
            from urllib3.exceptions import HTTPError
        except ImportError:
            raise missing("Kubernetes", "kubernetes", "kubernetes") from None
        try:
            return getattr(self._api, action)(namespace=self._namespace, _request_timeout=TIMEOUT_S, **arguments)
        except (ConfigException, OSError) as error:
            raise StoreError(f"{self.where}: no way in: {' '.join(str(error).split())}") from None
        except HTTPError as error:
            raise UnreachableError(f"{self.where}: Kubernetes cannot be asked ({type(error).__name__})") from None
        except ApiException as error:
            if error.status in refusals:
                known = refusals[error.status]
                if known is not None:
                    raise known from None
                return None
            # Neither headers nor body: a server may repeat what it was sent.
            raise StoreError(f"{self.where}: Kubernetes answers HTTP {error.status} {error.reason}") from None

    @cached_property
    def _api(self) -> Any:
        """A client by the kubeconfig, or by the pod's service account where there is no kubeconfig."""
        from kubernetes import client
        from kubernetes import config as untyped

        config: Any = untyped  # published with types in part
        settings = client.Configuration()
        settings.retries = False
        given = self._kubeconfig or self._context or os.environ.get("KUBECONFIG")
        if not given and not Path.home().joinpath(".kube/config").exists() and "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config(client_configuration=settings)
        else:
            file = str(self._kubeconfig) if self._kubeconfig else None
            config.load_kube_config(file, self._context, settings, persist_config=False)
        return client.CoreV1Api(client.ApiClient(settings))
