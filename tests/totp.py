"""An app for one-time codes (TOTP, RFC 6238), as somebody has it on their phone."""

from __future__ import annotations

import hashlib
import hmac
import struct
import time
from dataclasses import dataclass

PERIOD_S, DIGITS = 30, 6
"""As Keycloak has them unless it is told otherwise."""


def code(key: bytes, step: int) -> str:
    """The code of one step of time (RFC 4226, section 5.3)."""
    digest = hmac.new(key, struct.pack(">Q", step), hashlib.sha1).digest()
    at = digest[-1] & 0x0F
    (number,) = struct.unpack(">I", digest[at : at + 4])
    return str((number & 0x7FFFFFFF) % 10**DIGITS).zfill(DIGITS)


@dataclass
class Phone:
    """Gives each code once: Keycloak takes none a second time. It takes that of the next step, too."""

    key: bytes
    last_step: int = 0

    def code(self) -> str:
        """A code that is good now and was not given before; waits for one if need be."""
        step = max(int(time.time()) // PERIOD_S, self.last_step + 1)
        while int(time.time()) // PERIOD_S < step - 1:
            time.sleep(0.5)
        self.last_step = step
        return code(self.key, step)

    def wrong(self) -> str:
        """One that is not good."""
        step = int(time.time()) // PERIOD_S
        good = {code(self.key, step + near) for near in range(-3, 4)}
        return next(guess for guess in map("{:06}".format, range(10)) if guess not in good)
