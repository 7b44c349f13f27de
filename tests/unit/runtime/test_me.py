"""``/me``: what somebody sees and can do, and that it is that person's alone."""

from __future__ import annotations

import html
import json
import re
from collections.abc import AsyncIterator, Mapping

import httpx
import pytest

from runtime.assertion import HEADER, verify
from tests.unit.runtime.custodian_world import SIGNING, World, running


@pytest.fixture
async def world(database_settings: dict[str, str]) -> AsyncIterator[World]:
    async with running(database_settings) as made:
        yield made


BOB = {"sub": "sub-of-bob", "preferred_username": "bob"}


async def look(world: World, **claims: object) -> httpx.Response:
    return await world.http.get("/console/me", headers={"x-auth-request-access-token": world.token(**claims)})


async def do(
    world: World, what: str, site: str = "same-origin", claims: Mapping[str, object] | None = None, **fields: str
) -> httpx.Response:
    headers = {"x-auth-request-access-token": world.token(**(claims or {})), "sec-fetch-site": site}
    return await world.http.post(f"/console/me/{what}", headers=headers, data=fields)


def value(answer: httpx.Response) -> str:
    """What is shown once."""
    assert answer.status_code == 200, answer.text
    found = re.search(r"<pre>(.*?)</pre>", answer.text, re.S)
    assert found is not None
    return html.unescape(found[1])


async def test_it_says_what_the_person_may(world: World) -> None:
    answer = await look(world)
    assert answer.status_code == 200
    for text in ("alice", "engineer · research", "5 USD per month", "small", "tiny", "no limit", "What is recorded"):
        assert text in answer.text, text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"


async def test_what_is_spent_is_shown(world: World) -> None:
    assertion, _ = await world.asserted()
    assert (await world.tell("admitted", assertion)).status_code == 200
    await world.tell("settled", assertion, input_tokens=1_000_000, output_tokens=0)
    text = (await look(world)).text
    assert "1 USD" in text
    assert "4 USD" in text


async def test_a_key_is_shown_once_works_and_can_be_revoked(world: World) -> None:
    key = value(await do(world, "make-key", days="30"))
    assert (await world.auth(key)).status_code == 200
    text = (await look(world)).text
    assert key not in text
    (called,) = re.findall(r'name="key" value="([0-9a-f]{12})"', text)
    other = await do(world, "revoke-key", claims=BOB, key=called)
    assert other.status_code == 303
    assert (await world.auth(key)).status_code == 200, "it is not bob's"
    gone = await do(world, "revoke-key", key=called)
    assert (gone.status_code, gone.headers["location"]) == (303, "/me")
    assert (await world.auth(key)).status_code == 401


async def test_a_key_for_one_model(world: World) -> None:
    key = value(await do(world, "make-key", days="7", model="small"))
    assert verify((await world.auth(key)).headers[HEADER], SIGNING).scope == "small"
    assert "<td>small</td>" in (await look(world)).text


async def test_nobody_sees_anothers(world: World) -> None:
    await do(world, "make-key", days="30")
    await do(world, "enroll", client="claude-code")
    text = (await look(world, **BOB)).text
    assert 'name="key"' not in text
    assert 'name="enrolment"' not in text


async def test_settings_for_a_client(world: World) -> None:
    told = json.loads(value(await do(world, "enroll", client="claude-code")))
    assert re.fullmatch(r"http://localhost:8080/e/[\w-]{43}", told["env"]["ANTHROPIC_BASE_URL"])
    text = (await look(world)).text
    assert told["env"]["ANTHROPIC_BASE_URL"] not in text
    (called,) = re.findall(r'name="enrolment" value="([0-9a-f]{12})"', text)
    assert (await do(world, "revoke-enrolment", enrolment=called)).status_code == 303
    assert 'name="enrolment"' not in (await look(world)).text


@pytest.mark.parametrize("what", ["make-key", "revoke-key", "enroll", "revoke-enrolment"])
@pytest.mark.parametrize("site", ["cross-site", "same-site", "none", ""])
async def test_from_another_page_nothing_is_done(world: World, what: str, site: str) -> None:
    answer = await do(world, what, site, client="claude-code", key="0" * 12, enrolment="0" * 12)
    assert answer.status_code == 403
    assert "only be done on the page itself" in answer.text


@pytest.mark.parametrize(
    ("what", "fields"),
    [
        ("enroll", {"client": "emacs"}),
        ("enroll", {}),
        ("revoke-key", {"k": "x"}),
        ("make-key", {}),
        ("make-key", {"days": "0"}),
        ("make-key", {"days": "366"}),
        ("make-key", {"days": "x"}),
        ("make-key", {"days": "30", "model": "large"}),
    ],
)
async def test_a_form_that_is_not_the_pages(world: World, what: str, fields: dict[str, str]) -> None:
    headers = {"x-auth-request-access-token": world.token(), "sec-fetch-site": "same-origin"}
    answer = await world.http.post(f"/console/me/{what}", headers=headers, data=fields)
    assert answer.status_code == 400


@pytest.mark.parametrize("given", ["", "sk-praxis-x"])
async def test_who_has_not_signed_in(world: World, given: str) -> None:
    headers = {"x-auth-request-access-token": given, "sec-fetch-site": "same-origin"}
    assert (await world.http.get("/console/me", headers=headers)).status_code == 401
    assert (await world.http.post("/console/me/make-key", headers=headers)).status_code == 401


async def test_a_key_does_not_open_the_page(world: World) -> None:
    key = value(await do(world, "make-key", days="30"))
    assert (await world.http.get("/console/me", headers={"x-auth-request-access-token": key})).status_code == 401


async def test_a_name_is_text_and_nothing_else(world: World) -> None:
    text = (await look(world, preferred_username="<img src=x>")).text
    assert "<img" not in text
    assert "&lt;img src=x&gt;" in text
