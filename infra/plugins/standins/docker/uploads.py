"""Files that are copied into a container between its creation and its start, owned by root."""

from __future__ import annotations

import base64
import io
import tarfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from infra.plugins.standins.kinds import PluginError
from infra.plugins.standins.values import Plain

SOURCES = ("content", "contentBase64", "source")


def archives(inputs: Plain) -> dict[str, bytes]:
    """Tar archives by the folder to unpack each in.

    A file below a mount goes in at the mount's target: that works even if the root file system is read-only. All
    others go in at ``/``.
    """
    mounts = [str(one["target"]) for one in inputs.get("mounts", [])]
    mounts += [str(one["containerPath"]) for one in inputs.get("volumes", []) if one.get("containerPath")]
    folders: dict[str, list[Plain]] = {}
    for upload in inputs.get("uploads", []):
        folders.setdefault(_folder(str(upload["file"]), mounts), []).append(upload)
    return {folder: _archive(folder, uploads) for folder, uploads in folders.items()}


def _folder(file: str, mounts: Iterable[str]) -> str:
    holding = [mount for mount in mounts if PurePosixPath(file).is_relative_to(mount)]
    return max(holding, key=len, default="/")


def _archive(folder: str, uploads: list[Plain]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for upload in uploads:
            content = _content(upload)
            entry = tarfile.TarInfo(str(PurePosixPath("/", upload["file"]).relative_to(folder)))
            entry.size = len(content)
            entry.mode = _mode(upload)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _content(upload: dict[str, Any]) -> bytes:
    if upload.get("contentBase64"):
        return base64.b64decode(upload["contentBase64"])
    if upload.get("source"):
        try:
            return Path(upload["source"]).read_bytes()
        except OSError as error:
            raise PluginError(f"the file to upload cannot be read: {error}") from None
    return str(upload.get("content", "")).encode()


def _mode(upload: dict[str, Any]) -> int:
    if upload.get("permissions"):
        return int(upload["permissions"], 8)
    return 0o744 if upload.get("executable") else 0o644
