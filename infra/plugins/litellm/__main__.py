"""``python -m infra.plugins.litellm``: started by the engine."""

from __future__ import annotations

from infra.plugins.litellm.provider import LiteLLM
from infra.plugins.standins.serving import run

if __name__ == "__main__":
    run(LiteLLM())
