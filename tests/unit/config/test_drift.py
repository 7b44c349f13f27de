"""What a stack file may say about drift."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from config.stack import Drift


def test_an_ignored_path_has_a_reason() -> None:
    given = {"ignore": [{"path": "container/*/env.TZ", "reason": "set by the host's agent"}]}
    assert Drift.model_validate(given).ignore[0].reason == "set by the host's agent"


@pytest.mark.parametrize(
    "entry",
    [
        {"path": "container/*/env.TZ"},
        {"path": "container/*/env.TZ", "reason": "  "},
        {"path": "everything", "reason": "no field"},
        {"path": "container/x/y", "reason": "why not", "until": "2030"},
    ],
)
def test_without_reason_or_field_it_is_refused(entry: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Drift.model_validate({"ignore": [entry]})
