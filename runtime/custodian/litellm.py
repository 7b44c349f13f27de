"""Each subject as LiteLLM knows it: a member of its department's team with a key of its own, which it never sees.

The teams are declared (components.resources.governance); users and keys are runtime data and made here, on first use.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from typing import Any

import httpx

from runtime.contract import EffectivePolicy, litellm_alias, litellm_name
from runtime.custodian.subject import Subject, UnavailableError
from runtime.with_secrets import Delivered


def key_of(name: str, seed: str) -> str:
    """A subject's key, derived from the seed (docs/decisions/0004-subject-keys.md). ``name``: :func:`litellm_name`."""
    return "sk-" + hmac.new(seed.encode(), name.encode(), hashlib.sha256).hexdigest()


class Accounts:
    """Makes and updates LiteLLM's user and key when a subject comes for the first time or its policy changes."""

    def __init__(self, http: httpx.AsyncClient, url: str, master_key: Delivered, seed: Delivered) -> None:
        self._http = http
        self._url = url
        self._master_key = master_key
        self._seed = seed
        self._known: dict[str, tuple[str, EffectivePolicy, str]] = {}
        """Name of a key -> the seed and the policy that LiteLLM was told of it with, and the key."""
        self._locks: dict[str, asyncio.Lock] = {}
        """By subject: of all keys of one the user is the same."""

    async def ensure(self, subject: Subject, policy: EffectivePolicy) -> str:
        """The subject's key, after LiteLLM knows it with exactly this policy. For when an agent acts for it, it has
        another.

        Raises:
            UnavailableError: LiteLLM does not answer, or refuses.
        """
        name = litellm_name(subject.sub, subject.actor)
        if known := self._knows(name, policy):
            return known
        async with self._locks.setdefault(subject.sub, asyncio.Lock()):
            if known := self._knows(name, policy):
                return known
            seed = self._seed.value
            key = key_of(name, seed)
            await self._member(subject, policy.department)
            await self._key(subject, policy, key)
            self._known[name] = (seed, policy, key)
            return key

    def _knows(self, name: str, policy: EffectivePolicy) -> str | None:
        seed, known, key = self._known.get(name, ("", None, ""))
        return key if known == policy and seed == self._seed.value else None

    def forget(self, name: str) -> None:
        """Look again at the next request: LiteLLM said that it does not know the key of this name."""
        self._known.pop(name, None)

    async def _member(self, subject: Subject, team: str) -> None:
        """A user in its team. A membership that is not there LiteLLM would look for in its database at each request."""
        found = await self._get("/user/info", user_id=subject.sub)
        user = (found or {}).get("user_info") or {}
        if not user.get("user_id"):
            body = {"user_id": subject.sub, "user_alias": subject.name, "auto_create_key": False}
            await self._post("/user/new", {**body, "user_role": "internal_user", "teams": [team]})
        elif team not in (user.get("teams") or []):
            member = {"user_id": subject.sub, "role": "user"}
            await self._post("/team/member_add", {"team_id": team, "member": member})

    async def _key(self, subject: Subject, policy: EffectivePolicy, key: str) -> None:
        settings: dict[str, Any] = {"user_id": subject.sub, **policy.litellm_key()}
        # Updated before asked for: LiteLLM goes on telling about a key that was deleted.
        token = hashlib.sha256(key.encode()).hexdigest()  # LiteLLM's own name for a key
        updated = await self._send("POST", "/key/update", json={**settings, "key": key})
        if updated.status_code == httpx.codes.FORBIDDEN:
            # To a team that allows less LiteLLM moves no key: made anew, with what was spent by it.
            known = await self._get("/key/info", key=token) or {}
            settings["spend"] = float((known.get("info") or {}).get("spend") or 0)
            await self._post("/key/delete", {"keys": [token]})
        if updated.status_code in (httpx.codes.NOT_FOUND, httpx.codes.FORBIDDEN):
            # An alias is taken while its key is there, and a key made from the seed before may be.
            alias = litellm_alias(litellm_name(subject.sub, subject.actor), token)
            await self._post("/key/generate", {**settings, "key": key, "key_alias": alias})
        else:
            self._checked("/key/update", updated)

    async def _get(self, path: str, **query: str) -> dict[str, Any] | None:
        answer = await self._send("GET", path, params=query)
        if answer.status_code in (400, 404):  # LiteLLM's ways of saying that there is none
            return None
        return self._checked(path, answer)

    async def _post(self, path: str, body: dict[str, Any]) -> None:
        self._checked(path, await self._send("POST", path, json=body))

    async def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            for master_key in self._master_key.accepted():
                headers = {"Authorization": f"Bearer {master_key}"}
                answer = await self._http.request(method, self._url + path, headers=headers, timeout=20, **arguments)
                if answer.status_code != httpx.codes.UNAUTHORIZED:
                    break
        except httpx.HTTPError as error:
            raise UnavailableError(f"LiteLLM does not answer ({type(error).__name__})") from None
        return answer

    def _checked(self, path: str, answer: httpx.Response) -> dict[str, Any]:
        if answer.is_error:
            raise UnavailableError(f"LiteLLM answered {path} with HTTP {answer.status_code}")
        body: dict[str, Any] = answer.json()
        return body
