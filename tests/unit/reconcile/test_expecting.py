"""The reasons that records are read by are those that the gate writes."""

from __future__ import annotations

import inspect

from infra.reconcile.expecting import COUNTED, CUT
from runtime.hooks import answer


def test_reasons_are_the_gate_s_own() -> None:
    assert answer.OBJECTIONS < CUT
    source = inspect.getsource(answer)
    for reason in (CUT - answer.OBJECTIONS) | {COUNTED}:
        assert f'"{reason}"' in source
