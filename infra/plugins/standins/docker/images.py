"""Images: found on the daemon, else pulled. And ``RemoteImage``, which is the same as a resource."""

from __future__ import annotations

from typing import Any

import docker
from docker.errors import APIError, ImageNotFound
from docker.utils import parse_repository_tag

from infra.plugins.standins.docker.client import Daemon, worded
from infra.plugins.standins.kinds import Call, PluginError, ResourceType
from infra.plugins.standins.values import Plain

ID_LENGTH = len("sha256:") + 64


def image(api: docker.APIClient, name: str, platform: str | None = None) -> dict[str, Any]:
    """An image by name or id: the daemon's own if it has it, else pulled.

    Raises:
        PluginError: neither there nor to be had.
    """
    try:
        return inspected(api, name)
    except ImageNotFound:
        if name.startswith("sha256:"):
            raise PluginError(f"there is no image {name} on the daemon; ./praxis up builds what is missing") from None
    repository, tag = parse_repository_tag(name)
    try:
        api.pull(repository, tag=tag or "latest", platform=platform)
        return inspected(api, name)
    except APIError as error:
        said = error.explanation or error
        raise PluginError(
            f"image '{name}' is not on the daemon and cannot be pulled ({said}); "
            "is the name right? ./praxis up builds the images of its own"
        ) from None


def inspected(api: docker.APIClient, name: str) -> dict[str, Any]:
    """What the daemon says of an image that it has."""
    return dict(api.inspect_image(name))  # type: ignore[no-untyped-call]  # untyped in the stubs


class RemoteImageType(ResourceType):
    """``docker:index/remoteImage:RemoteImage``; its id is the image's id and its name, one after the other."""

    token = "docker:index/remoteImage:RemoteImage"  # noqa: S105 - a type token
    supported = frozenset({"forceRemove", "keepLocally", "name", "platform", "pullTriggers", "triggers"})
    sets = frozenset({"pullTriggers"})
    computed = frozenset({"imageId", "repoDigest"})

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def create(self, inputs: Plain, call: Call) -> tuple[str, Plain]:
        with worded():
            found = image(self._daemon.api, inputs["name"], inputs.get("platform"))
        return f"{found['Id']}{inputs['name']}", _outputs(found, inputs["name"])

    def read(self, resource_id: str, state: Plain, call: Call) -> tuple[str, Plain]:
        name = str(state.get("name") or resource_id[ID_LENGTH:])
        if not name:
            raise PluginError("import it by its image id followed by its name: sha256:…NAME")
        with worded():
            found = inspected(self._daemon.api, name)
        return f"{found['Id']}{name}", {"name": name, **_outputs(found, name)}

    def update(self, resource_id: str, old: Plain, new: Plain, call: Call) -> Plain:
        with worded():
            return _outputs(image(self._daemon.api, new["name"], new.get("platform")), new["name"])

    def delete(self, resource_id: str, state: Plain, call: Call) -> None:
        if state.get("keepLocally"):
            return
        with worded():
            self._daemon.api.remove_image(state["name"], force=state.get("forceRemove", False))


def _outputs(found: dict[str, Any], name: str) -> Plain:
    repository = parse_repository_tag(name)[0]
    digests = [digest for digest in found.get("RepoDigests") or [] if digest.split("@")[0] == repository]
    return {"imageId": found["Id"], "repoDigest": digests[0] if digests else ""}
