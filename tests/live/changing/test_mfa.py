"""A second factor for the roles that ask for one, with the real Keycloak; a browser's requests are played.

That people of a directory are asked for it too stands in test_federation.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import httpx
import pytest
import yaml

from components.flows import BROWSER
from components.realm import DEMO_CLIENT, REALM
from infra.cli.keycloak import signed_in
from infra.paths import REPOSITORY
from tests.browser import Page, browser
from tests.proof import CAREFUL, NAME, PORTS, Proof
from tests.totp import Phone

CONSOLE = f"http://console.localhost:{PORTS['http_port']}"
ISSUER = f"http://id.localhost:{PORTS['http_port']}/realms/{REALM}"
TOKEN = f"{ISSUER}/protocol/openid-connect/token"
ADMIN = f"/admin/realms/{REALM}"
pytestmark = pytest.mark.timeout(1500)  # seconds, on a machine that does other things as well


@pytest.fixture(scope="module")
def _declared(proof: Proof) -> Iterator[None]:
    """A role with MFA, and a person of it."""
    file = proof.stacks / f"{NAME}.yaml"
    before = file.read_text()
    raw = yaml.safe_load(before)
    raw["roles"]["careful"] = CAREFUL
    raw["people"]["grace"] = {
        "role": "careful", "department": "research", "email": "grace@example.com", "given_name": "Grace",
        "family_name": "Green",
    }  # fmt: skip
    file.write_text(yaml.safe_dump(raw, sort_keys=False))
    proof.praxis("up", NAME)
    yield
    file.write_text(before)
    proof.praxis("up", NAME, "--yes")
    with signed_in(proof.stack, proof.store) as admin:
        assert admin.http.get(ADMIN).json()["browserFlow"] == "browser"
    assert proof.praxis("drift", NAME, check=False).returncode == 0


@pytest.fixture(scope="module")
def phone(proof: Proof, _declared: None) -> Phone:
    """Grace's, after her first sign-in, at which she has had to set it up."""
    with browser() as http:
        page = given(http, http.get(CONSOLE), username="grace", password=proof.store.get("person-grace-password"))
        assert page.url.host == "id.localhost", "not in yet"
        return set_up(http, page, at="console.localhost")


def given(http: httpx.Client, page: httpx.Response, **fields: str) -> httpx.Response:
    """Fill in the form of a page that has these fields, and send it."""
    forms = [form for form in Page(page.text).forms if fields.keys() <= form[1].keys()]
    assert forms, f"{page.url} has no form with {sorted(fields)}:\n{page.text[-3000:]}"
    action, hidden = forms[0]
    wanted = {name: value for name, value in hidden.items() if name not in ("logout-sessions", "cancel", "cancel-aia")}
    return http.post(page.url.join(action), data={**wanted, **fields})


def set_up(http: httpx.Client, page: httpx.Response, at: str) -> Phone:
    """Show the page's secret to a phone, first with a wrong code, then with a right one, which leads to host ``at``."""
    (secret,) = (form[1]["totpSecret"] for form in Page(page.text).forms if "totpSecret" in form[1])
    phone = Phone(secret.encode())
    page = given(http, page, totp=phone.wrong(), userLabel="phone")
    assert page.url.host == "id.localhost"
    assert "totpSecret" in page.text
    page = given(http, page, totp=phone.code(), userLabel="phone")
    assert (page.url.host, page.status_code) == (at, 200), page.text[-3000:]
    return phone


def password_alone(proof: Proof, name: str, **more: str) -> httpx.Response:
    """Ask for a token without a browser. What was refused before does not count: two in a second lock an account."""
    with signed_in(proof.stack, proof.store) as admin:
        admin.http.delete(f"{ADMIN}/attack-detection/brute-force/users").raise_for_status()
    form = {
        "grant_type": "password", "client_id": DEMO_CLIENT, "username": name, "scope": "openid",
        "password": proof.store.get(f"person-{name}-password"), **more,
    }  # fmt: skip
    with browser() as http:
        return http.post(TOKEN, data=form)


@pytest.mark.usefixtures("_declared")
class TestWhoMust:
    def test_before_the_first_sign_in_a_password_is_worth_nothing(self, proof: Proof) -> None:
        answer = password_alone(proof, "grace")
        assert answer.status_code in (400, 401)
        assert "access_token" not in answer.text

    def test_sets_up_a_code_and_is_asked_for_it_from_then_on(self, proof: Proof, phone: Phone) -> None:
        with browser() as http:
            password = proof.store.get("person-grace-password")
            page = given(http, http.get(CONSOLE), username="grace", password=password)
            assert page.url.host == "id.localhost"
            assert "totpSecret" not in page.text, "it is set up once"
            page = given(http, page, otp=phone.wrong())
            assert page.url.host == "id.localhost"
            assert http.get(f"{CONSOLE}/me").url.host == "id.localhost", "a wrong code opens nothing"
        with browser() as http:
            page = given(http, http.get(CONSOLE), username="grace", password=password)
            page = given(http, page, otp=phone.code())
            assert (page.url.host, page.url.path, page.status_code) == ("console.localhost", "/me", 200)
            assert "grace" in page.text

    def test_gets_no_token_without_a_browser_not_even_with_a_code(self, proof: Proof, phone: Phone) -> None:
        for more in ({}, {"totp": phone.code()}):
            answer = password_alone(proof, "grace", **more)
            assert answer.status_code in (400, 401)
            assert "access_token" not in answer.text

    def test_is_sent_to_a_browser_by_the_command_line(self, proof: Proof, phone: Phone) -> None:
        command = [str(REPOSITORY / "praxis"), "token", NAME, "--as", "grace"]
        with subprocess.Popen(
            command, env=proof.environment, cwd=REPOSITORY, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as asked:
            assert asked.stderr is not None
            said = ""
            while " at http" not in said:
                line = asked.stderr.readline()
                assert line, said
                said += line
            assert "role 'careful' asks for a second factor" in said
            with browser() as http:
                page = http.get(said.rsplit(" at ", 1)[1].split()[0])
                page = given(http, page, username="grace", password=proof.store.get("person-grace-password"))
                page = given(http, page, otp=phone.code())
                given(http, page, accept="Yes")
            token = asked.communicate(timeout=120)[0].splitlines()[-1]
        answer = proof.ask(token, "hello with two factors")
        assert answer.status_code == 200, answer.text
        assert proof.receipt(answer.headers["x-praxis-trace-id"])["role"] == "careful"


@pytest.mark.usefixtures("_declared")
class TestOthers:
    def test_are_not_asked(self, proof: Proof) -> None:
        with browser() as http:
            page = given(http, http.get(CONSOLE), username="bob", password=proof.store.get("person-bob-password"))
            assert (page.url.host, page.url.path, page.status_code) == ("console.localhost", "/me", 200)

    def test_have_their_token_as_before(self, proof: Proof) -> None:
        assert password_alone(proof, "bob").status_code == 200
        assert proof.models(proof.token("bob")).status_code == 200


@pytest.mark.usefixtures("_declared")
def test_a_way_around_made_by_hand_is_found_and_closed(proof: Proof) -> None:
    assert proof.praxis("drift", NAME, check=False).returncode == 0
    with signed_in(proof.stack, proof.store) as admin:
        flow = f"{ADMIN}/authentication/flows/{BROWSER}"
        easy = {"provider": "allow-access-authenticator"}
        admin.http.post(f"{flow}/executions/execution", json=easy).raise_for_status()
        forms = next(
            one for one in admin.http.get(f"{flow}/executions").json() if one["displayName"] == f"{BROWSER}-forms"
        )
        admin.http.put(f"{flow}/executions", json={**forms, "requirement": "DISABLED"}).raise_for_status()
        realm = admin.http.get(ADMIN).json()
        admin.http.put(ADMIN, json={**realm, "directGrantFlow": "direct grant"}).raise_for_status()
    found = proof.praxis("drift", NAME, "--json", check=False)
    assert found.returncode == 7
    assert {f"{one['resource']}/{one['path']}" for one in json.loads(found.stdout)["findings"]} == {
        f"flow/{BROWSER}-forms/requirement",
        f"flow/{BROWSER}/steps.allow-access-authenticator",
        f"realm/{REALM}/directGrantFlow",
    }
    proof.praxis("up", NAME)
    assert proof.praxis("drift", NAME, check=False).returncode == 0
    assert "access_token" not in password_alone(proof, "grace").text
