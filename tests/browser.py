"""As much of a browser as the tests need: names that lead to this machine, cookies, forms and links of a page."""

from __future__ import annotations

from collections.abc import Mapping
from html.parser import HTMLParser

import httpx


class Loopback(httpx.HTTPTransport):
    """Every name leads to this machine, as ``*.localhost`` does in a browser (RFC 6761)."""

    def port_of(self, url: httpx.URL) -> int | None:
        """The port of this machine that a URL's is."""
        return url.port

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """See httpx."""
        url = request.url
        found = httpx.Request(
            request.method,
            url.copy_with(host="127.0.0.1", port=self.port_of(url)),
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": url.host},
        )
        answer = super().handle_request(found)
        if url.host.endswith(".localhost"):
            # To a browser this is as good as https (Secure Contexts, 3.1); to Python's cookies it is not.
            told = [(name, value.replace(";Secure", "")) for name, value in answer.headers.multi_items()]
            answer.headers = httpx.Headers(told)
        return answer


class Page(HTMLParser):
    """Forms (action, fields) and links (id -> address) of a page."""

    def __init__(self, text: str = "") -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, str]]] = []
        self.links: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See html.parser."""
        given: Mapping[str, str] = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append((given.get("action", ""), {}))
        elif tag == "a" and "id" in given:
            self.links[given["id"]] = given.get("href", "")
        elif tag in ("input", "button") and self.forms and given.get("name"):
            self.forms[-1][1].setdefault(given["name"], given.get("value", ""))


def browser() -> httpx.Client:
    """One that knows nothing yet."""
    return httpx.Client(transport=Loopback(), timeout=60, follow_redirects=True)
