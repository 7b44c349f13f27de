"""llama.cpp's own HTTP server on the weights of this image: chat completions, messages and ``/health``; no pages.

Settings come from the environment and are none of them secret: MODEL_ALIAS (the name the model answers by), N_CTX
(tokens of context, shared by the slots), N_PARALLEL (requests at once, each with an equal share of N_CTX).
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import xllamacpp

WEIGHTS = Path("/opt/praxis/model.gguf")
PORT = 8080
ERRORS_ONLY = 1
CONNECTIONS = 64
"""Served at once. A thread of the server's is one connection's for as long as that stays open: by default there are a
handful, and a request on another connection waits while these are kept busy. LiteLLM opens one for each request."""
BATCH = 256
"""Tokens computed at once: llama.cpp's default of 512 takes some 40 MB more and is hardly faster on two cores."""


class SettingError(Exception):
    """A variable of the environment that cannot be used; the message names it and says what is allowed."""


def whole_number(name: str, default: int, least: int, most: int) -> int:
    """The variable ``name`` as a number from ``least`` to ``most``. Raises :class:`SettingError`."""
    text = os.environ.get(name, str(default))
    if not text.isdecimal() or not least <= int(text) <= most:
        raise SettingError(f"{name}={text}: a whole number from {least} to {most}")
    return int(text)


def settings(weights: Path, port: int, alias: str) -> xllamacpp.CommonParams:
    """What the server is started with. Raises :class:`SettingError`."""
    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.model_alias = {alias}
    params.hostnames = ["0.0.0.0"]  # noqa: S104 - the container's network is the limit
    params.port = port
    params.n_threads_http = CONNECTIONS
    params.n_parallel = whole_number("N_PARALLEL", 2, 1, 16)
    params.n_ctx = whole_number("N_CTX", 8192, 512 * params.n_parallel, 8192 * params.n_parallel)
    params.n_batch = params.n_ubatch = BATCH
    # Half the memory of the default, for the 8,192 tokens 100 MB.
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_Q8_0
    params.cache_ram_mib = 0
    params.cache_idle_slots = False
    # What others ask is nobody's business: no list of slots, and no logs but of errors.
    params.endpoint_slots = False
    params.verbosity = ERRORS_ONLY
    # What the model's authors recommend; with llama.cpp's own defaults so small a model rambles.
    params.sampling.temp = 0.2
    params.sampling.top_p = 0.9
    params.ui = False
    params.offline = True
    return params


def main() -> int:
    """Serve until told to end."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    try:
        alias = os.environ.get("MODEL_ALIAS", "smollm2")
        params = settings(WEIGHTS, PORT, alias)
    except SettingError as error:
        print(f"model: {error}", file=sys.stderr)
        return 2
    server = xllamacpp.Server(params)
    print(f"model: {alias} is served on {server.listening_address}", flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    # Its threads are native and have nothing to save; waiting for them could take as long as an answer.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
