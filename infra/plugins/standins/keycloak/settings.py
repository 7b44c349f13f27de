"""How to reach and sign in to a server."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to reach and sign in to a server. ``timeout_s``: seconds for one answer."""

    url: str = ""
    base_path: str = ""
    realm: str = "master"
    client_id: str = "admin-cli"
    client_secret: str = field(default="", repr=False)
    username: str = ""
    password: str = field(default="", repr=False)
    access_token: str = field(default="", repr=False)
    root_ca: str = ""
    verify: bool = True
    timeout_s: float = 30.0
    headers: tuple[tuple[str, str], ...] = ()
