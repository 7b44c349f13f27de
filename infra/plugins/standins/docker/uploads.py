"""Files that are copied into a container before it starts."""

from __future__ import annotations

import base64
import io
import tarfile
from typing import Any


def archive(uploads: list[dict[str, Any]]) -> bytes:
    """A tar of all files, owned by root; missing folders are made by the daemon."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for upload in uploads:
            encoded = upload.get("contentBase64")
            content = base64.b64decode(encoded) if encoded else str(upload.get("content", "")).encode()
            entry = tarfile.TarInfo(str(upload["file"]).lstrip("/"))
            entry.size = len(content)
            permissions = upload.get("permissions")
            entry.mode = int(permissions, 8) if permissions else (0o744 if upload.get("executable") else 0o644)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
