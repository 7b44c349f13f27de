"""The consoles, as a browser meets them: sign in with Keycloak, and only whoever may look does."""

from __future__ import annotations

import hashlib
import re
import time

import httpx

from components.realm import REALM
from infra.cli.keycloak import signed_in
from tests.browser import Page, browser
from tests.proof import NAME, PORTS, Proof
from tests.waiting import eventually

TRACES, CONSOLE = (f"http://{name}.localhost:{PORTS['http_port']}" for name in ("traces", "console"))


def sign_in(http: httpx.Client, proof: Proof, name: str, at: str = TRACES) -> httpx.Response:
    """Open a console, and give Keycloak the name and the password that it asks for."""
    page = http.get(at)
    assert page.url.host == "id.localhost", page.text
    action, fields = next(form for form in Page(page.text).forms if "password" in form[1])
    password = proof.store.get(f"person-{name}-password")
    return http.post(page.url.join(action), data={**fields, "username": name, "password": password})


def test_an_auditor_sees_the_traces(proof: Proof) -> None:
    with browser() as http:
        answer = sign_in(http, proof, "alice")
        assert (answer.status_code, answer.url.host) == (200, "traces.localhost")
        assert "MLflow" in answer.text
        assert http.get(f"{TRACES}/health").status_code == 200


def test_others_are_told_that_they_do_not(proof: Proof) -> None:
    with browser() as http:
        answer = sign_in(http, proof, "bob")
        assert answer.status_code == 403
        assert "bob is no auditor" in answer.text
        assert "MLflow" not in http.get(f"{TRACES}/health").text


def test_a_token_of_ones_own_making_is_worth_nothing(proof: Proof) -> None:
    headers = {"X-Auth-Request-Access-Token": proof.token("alice")}
    with browser() as http:
        answer = http.get(f"{TRACES}/health", headers=headers, follow_redirects=False)
        assert answer.status_code == 302
        assert answer.headers["location"].startswith(f"http://id.localhost:{PORTS['http_port']}/realms/{REALM}/")
        sign_in(http, proof, "bob")
        assert http.get(f"{TRACES}/health", headers=headers).status_code == 403


def test_everybody_has_a_page_of_ones_own(proof: Proof) -> None:
    here = {"Sec-Fetch-Site": "same-origin"}
    with browser() as http:
        page = sign_in(http, proof, "bob", CONSOLE)
        assert (page.status_code, page.url.path) == (200, "/me")
        assert "bob" in page.text
        assert "20 USD per month" in page.text
        made = http.post(f"{CONSOLE}/me/make-key", data={"days": "1"}, headers=here)
        key = re.findall(r"sk-praxis-[\w-]{43}", made.text)[0]
        assert proof.ask(key, "Say hello.", max_tokens=1).status_code == 200
        called = hashlib.sha256(key.encode()).hexdigest()[:12]
        assert f'name="key" value="{called}"' in http.get(f"{CONSOLE}/me").text
        http.post(f"{CONSOLE}/me/revoke-key", data={"key": called}, headers=here)
        assert proof.models(key).status_code == 401
        assert http.post(f"{CONSOLE}/me/make-key", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
        for path in ("/v1/models", "/records", "/console/me", "/me/keys", "/custodian/me"):
            assert http.get(f"{CONSOLE}{path}").status_code == 404, path
    with browser() as http:
        assert http.post(f"{CONSOLE}/me/make-key", headers=here, follow_redirects=False).status_code == 302


def test_an_auditor_who_is_disabled_looks_no_more(proof: Proof) -> None:
    with browser() as http, signed_in(proof.stack, proof.store) as keycloak:
        assert sign_in(http, proof, "alice").status_code == 200
        user = f"/admin/realms/{REALM}/users/{keycloak.subject_id('alice', agent=False)}"
        before = keycloak.http.get(user).raise_for_status().json()
        keycloak.http.put(user, json={**before, "enabled": False}).raise_for_status()
        try:
            since = time.monotonic()
            while http.get(f"{TRACES}/health").status_code == 200:
                assert time.monotonic() - since < 5, "out within five seconds"
                time.sleep(0.1)
            assert "the account is disabled" in http.get(f"{TRACES}/health").text
        finally:
            keycloak.http.put(user, json=before).raise_for_status()
    eventually(lambda: proof.models(proof.token("alice")).status_code == 200, 10)
    assert proof.praxis("drift", NAME).returncode == 0
