"""Where Pulumi's state may be kept."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from config.stack import State


@pytest.mark.parametrize(
    "url",
    [
        "s3://company-praxis/laptop?region=eu-central-1",
        "azblob://states/praxis?storage_account=company",
        "postgres://praxis@db.example.com/states?sslmode=verify-full",
    ],
)
def test_three_services(url: str) -> None:
    assert State.model_validate({"backend": url}).backend == url


@pytest.mark.parametrize("url", ["file:///tmp/state", "https://example.com", "s3:bucket", "s3://", "s3://a b", ""])
def test_nothing_else(url: str) -> None:
    with pytest.raises(ValidationError, match="backend"):
        State.model_validate({"backend": url})


@pytest.mark.parametrize("url", ["postgres://a:canary@db/x", "postgres://a@db/x?password=canary"])
def test_no_password_and_none_in_the_message(url: str) -> None:
    with pytest.raises(ValidationError, match="backend holds a password") as caught:
        State.model_validate({"backend": url})
    assert "canary" not in caught.value.errors(include_input=False, include_url=False)[0]["msg"]
