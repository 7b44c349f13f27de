"""``python -m runtime.custodian``: serves on port 8100."""

from __future__ import annotations

import uvicorn

from runtime.custodian.app import build
from runtime.custodian.settings import load
from runtime.with_secrets import undumpable, wait_for_secrets

PORT = 8100

if __name__ == "__main__":
    undumpable()
    wait_for_secrets()
    # Access logs would hold paths and addresses of every request a second time; the records are the log.
    uvicorn.run(build(load()), host="0.0.0.0", port=PORT, access_log=False, log_level="warning")  # noqa: S104
