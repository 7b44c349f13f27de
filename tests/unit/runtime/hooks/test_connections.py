"""The way to the custodian, over a real server: connections stay open, and what goes wrong has one name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from runtime.hooks import counting, records
from runtime.hooks.posting import Posting
from runtime.hooks.records import Connections


class Server:
    """Answers what it is told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, bytes]] = []
        self.clients: set[object] = set()
        self.status = 200
        self.after_s = 0.0
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.clients.add(request.transport)
        self.asked.append((request.path, request.headers["authorization"], await request.read()))
        await asyncio.sleep(self.after_s)
        return web.json_response({"ticket": "t"}, status=self.status)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    app = web.Application()
    app.router.add_post("/{path:.*}", made.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = site.name
    yield made
    await runner.cleanup()


async def test_it_says_path_token_and_body(server: Server) -> None:
    post = Connections(server.url)
    assert await post("/records/admitted", b"{}", "secret") == (200, b'{"ticket": "t"}')
    assert server.asked == [("/records/admitted", "Bearer secret", b"{}")]


async def test_one_connection_serves_one_request_after_another(server: Server) -> None:
    post = Connections(server.url)
    for _ in range(5):
        await post("/records/settled", b"{}", "t")
    assert len(server.clients) == 1


@pytest.mark.parametrize("status", [401, 422, 500, 503])
async def test_every_status_is_an_answer(server: Server, status: int) -> None:
    server.status = status
    assert (await Connections(server.url)("/x", b"{}", "t"))[0] == status


async def test_nobody_there() -> None:
    with pytest.raises(ConnectionError):
        await Connections("http://127.0.0.1:1")("/x", b"{}", "t")


async def test_nobody_in_time(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "TIMEOUT_S", 0.1)
    server.after_s = 5
    with pytest.raises(TimeoutError):
        await Connections(server.url)("/x", b"{}", "t")


class TestToTheEgress:
    """The same for what is asked of a provider."""

    async def test_it_says_headers_and_body(self, server: Server) -> None:
        forward = Posting(counting.TIMEOUT_S)
        for _ in range(3):
            answer = await forward(f"{server.url}/anthropic/count?beta=true", b"{}", {"authorization": "x"})
            assert answer == (200, b'{"ticket": "t"}')
        assert server.asked == [("/anthropic/count", "x", b"{}")] * 3
        assert len(server.clients) == 1

    async def test_nobody_there(self) -> None:
        with pytest.raises(ConnectionError):
            await Posting(counting.TIMEOUT_S)("http://127.0.0.1:1", b"{}", {})

    async def test_nobody_in_time(self, server: Server) -> None:
        server.after_s = 5
        with pytest.raises(TimeoutError):
            await Posting(0.1)(server.url, b"{}", {"authorization": "x"})
