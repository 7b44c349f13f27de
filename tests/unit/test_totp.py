"""The tests' own one-time codes, by the vectors of the standard."""

from __future__ import annotations

import pytest

from tests.totp import PERIOD_S, Phone, code


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (20000000000, "353130")],
)
def test_codes_are_those_of_the_standard(seconds: int, expected: str) -> None:
    """RFC 6238, appendix B, of which Keycloak shows the last six digits."""
    assert code(b"12345678901234567890", seconds // PERIOD_S) == expected


def test_a_code_is_given_once() -> None:
    phone = Phone(b"12345678901234567890")
    first, second = phone.code(), phone.code()
    assert first != second
    assert phone.wrong() not in (first, second)
