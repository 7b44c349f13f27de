"""A small local model behind the OpenAI and Anthropic interfaces: llama.cpp's own server, its settings from the environment.

``MODEL_ALIAS`` name under which it answers (default ``smollm2``); ``N_CTX`` tokens of context, shared by the slots
(8192); ``N_PARALLEL`` requests answered at once (2). Ends with 0 on SIGTERM.
"""

import os
import signal
import sys
from pathlib import Path

from xllamacpp import CommonParams, Server

WEIGHTS = Path("/opt/praxis/weights/smollm2.gguf")
PORT = 8080


def whole(name: str, default: int, most: int) -> int:
    """The environment variable ``name``, 1 to ``most``; anything else ends the program with one line."""
    text = os.environ.get(name, str(default))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= most:
        sys.exit(f"model: {name} must be a whole number from 1 to {most}, not {text!r}")
    return int(text)


def settings() -> CommonParams:
    """What the server is started with."""
    params = CommonParams()
    params.model = str(WEIGHTS)
    params.model_alias = {os.environ.get("MODEL_ALIAS") or "smollm2"}
    params.n_ctx = whole("N_CTX", 8192, 131072)
    params.n_parallel = whole("N_PARALLEL", 2, 16)
    # Fewer tokens at a time than the default 512: the scratch memory shrinks with it.
    params.n_ubatch = 128
    params.n_batch = 512
    params.hostnames = ["0.0.0.0"]  # noqa: S104 - inside its container, on the internal network `models`
    params.port = PORT
    params.ui = False
    # Prompts of different subjects must not lie about in a cache, and the memory is bounded.
    params.cache_ram_mib = 0
    params.n_ctx_checkpoints = 0
    # These two show prompts and settings to whoever asks.
    params.endpoint_slots = False
    params.endpoint_props = False
    # Warnings and errors only: a prompt is never logged.
    params.verbosity = 1
    return params


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    ending = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    server = Server(settings())
    print(f"model: answers on {server.listening_address}", flush=True)
    signal.sigwait(ending)
    # The native threads have nothing to put away, and joining them would wait for running answers.
    os._exit(0)


if __name__ == "__main__":
    main()
