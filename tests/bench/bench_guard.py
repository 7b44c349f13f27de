"""What the input guard costs for 32 kB of text: absolute, and as a multiple of one ``json.dumps`` of the same body.

``python -m tests.bench.bench_guard`` from the repository's root. Ends with status 1 above the limit.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runtime.contract import CATEGORIES, GuardAction, GuardPolicy

SIZE = 32_000
ROUNDS = 200
LIMIT_MS = 5.0
SALT = b"salt of the bench"
VALUES = "card 4111 1111 1111 1111, 219-09-9999, DE89370400440532013000, alice@example.com, +49 30 901820\n"


def _resident_mb() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmRSS:", 1)[1].split(maxsplit=1)[0]) / 1024


def _body(text: str) -> dict[str, Any]:
    """A conversation of ten messages that has ``SIZE`` characters of ``text`` altogether."""
    text = text * (SIZE // len(text) + 1)
    part = SIZE // 10
    messages = [
        {"role": "user", "content": [{"type": "text", "text": text[at * part : (at + 1) * part]}]} for at in range(10)
    ]
    return {"model": "m", "max_tokens": 100, "messages": messages}


def _texts() -> dict[str, str]:
    code = Path("runtime/contract.py").read_text(encoding="utf-8")
    return {
        "code": code,
        "code as JSON": json.dumps(code),
        "prose, 1 finding in 2 kB": code[:1900] + VALUES[:30],
        "typography": code.replace('"', "\u201c").replace("-", "\u2013"),
        "Chinese": "\u8fd9\u662f\u4e00\u4e2a\u6d4b\u8bd5, ok\u3002" * 100,
        "table of numbers": "".join(f"{n * 7919 % 100003} {n * n % 9973:05}.{n % 97}\n" for n in range(3000)),
        "findings only": VALUES,
    }


def _p95_ms(call: Callable[[], object]) -> float:
    """Milliseconds of processor time: what else runs on the machine does not count."""
    times = []
    for _ in range(ROUNDS):
        start = time.thread_time()
        call()
        times.append(time.thread_time() - start)
    return sorted(times)[int(ROUNDS * 0.95)] * 1000


def main() -> int:
    """Measure and print; 0 if everything but the text of findings only is within the limit."""
    before, start = _resident_mb(), time.perf_counter()
    from runtime.guards import Guard

    guard = Guard()
    print(f"import and compile: {_resident_mb() - before:.1f} MB, {time.perf_counter() - start:.2f} s")
    everything = GuardPolicy(**dict.fromkeys(CATEGORIES, GuardAction.MASK))
    worst = 0.0
    print(f"{'p95 of 32 kB':26} {'default':>10} {'all masked':>11} {'json.dumps':>11} {'ratio':>6}")
    for name, text in _texts().items():
        body = _body(text)
        usual = _p95_ms(lambda body=body: guard.apply(body, GuardPolicy(), SALT))  # type: ignore[misc]
        strict = _p95_ms(lambda body=body: guard.apply(body, everything, SALT))  # type: ignore[misc]
        dumps = _p95_ms(lambda body=body: json.dumps(body))  # type: ignore[misc]
        print(f"{name:26} {usual:7.2f} ms {strict:8.2f} ms {dumps:8.3f} ms {usual / dumps:6.1f}")
        worst = max(worst, usual if name != "findings only" else 0.0)
    print(f"worst with the default policy: {worst:.2f} ms, limit {LIMIT_MS} ms")
    return int(worst > LIMIT_MS)


if __name__ == "__main__":
    sys.exit(main())
