"""The way out: the key is put on behind LiteLLM's back, a user's token never passes it, and there is no other way."""

from __future__ import annotations

import json
from typing import Any

import docker
import pytest

from tests.proof import ANTHROPIC_KEY, NAME, OPENAI_KEY, USER_TOKEN, Proof
from tests.provider import Provider

INSIDE = ("x-praxis", "x-forwarded", "x-real-ip", "x-litellm", "traceparent", "cookie")


def arrived(provider: Provider, text: str) -> dict[str, Any]:
    """The one request with ``text`` in it that the provider has seen."""
    (found,) = [one for one in provider.seen() if text in json.dumps(one["body"])]
    told = {name for name in found["headers"] if name.startswith(INSIDE)}
    assert not told, f"the provider is told of the inside: {told}"
    return found


def in_litellm(program: str) -> tuple[int, str]:
    """Run a Python program with LiteLLM's uid in its container."""
    container = docker.from_env().containers.get(f"praxis-{NAME}-litellm")
    code, output = container.exec_run(["python3", "-c", program])
    assert isinstance(output, bytes)
    return int(code or 0), output.decode()


class TestCompanyKeys:
    @pytest.mark.parametrize("stream", [False, True])
    def test_anthropics(self, proof: Proof, provider: Provider, alice: str, stream: bool) -> None:
        text = f"say a {stream}"
        answer = proof.message(alice, text, model="claude", stream=stream)
        assert answer.status_code == 200, answer.text
        assert "provider" in answer.text
        headers = arrived(provider, text)["headers"]
        assert headers["x-api-key"] == ANTHROPIC_KEY
        assert headers["host"] == "api.anthropic.com"
        assert "authorization" not in headers
        record = proof.receipt(answer.headers["x-praxis-trace-id"])
        assert (record["state"], record["input_tokens"], record["output_tokens"]) == ("settled", 10, 4)
        assert (record["provider_calls"], record["payer"]) == (1, "company")
        assert float(record["cost_usd"]) == pytest.approx((10 * 3 + 4 * 15) / 1e6)

    @pytest.mark.parametrize("stream", [False, True])
    def test_openais(self, proof: Proof, provider: Provider, alice: str, stream: bool) -> None:
        text = f"say o {stream}"
        answer = proof.ask(alice, text, model="gpt", stream=stream)
        assert answer.status_code == 200, answer.text
        headers = arrived(provider, text)["headers"]
        assert headers["authorization"] == f"Bearer {OPENAI_KEY}"
        assert "x-api-key" not in headers

    def test_the_other_dialect_as_well(self, proof: Proof, provider: Provider, alice: str) -> None:
        assert proof.ask(alice, "claude in openai", model="claude").status_code == 200
        assert arrived(provider, "claude in openai")["headers"]["x-api-key"] == ANTHROPIC_KEY
        assert proof.message(alice, "gpt in anthropic", model="gpt").status_code == 200
        assert arrived(provider, "gpt in anthropic")["headers"]["authorization"] == f"Bearer {OPENAI_KEY}"

    def test_what_a_client_claims_goes_nowhere(self, proof: Proof, provider: Provider, alice: str) -> None:
        forged = {"x-praxis-ticket": "forged", "x-custom": "prompt", "x-forwarded-host": "evil", "cookie": "a=b"}
        assert proof.message(alice, "claims of a client", forged, model="claude").status_code == 200
        assert "x-custom" not in arrived(provider, "claims of a client")["headers"]

    def test_a_providers_failure_is_said_in_dialect(self, proof: Proof, provider: Provider, alice: str) -> None:
        answer = proof.message(alice, "please fail", model="claude")
        assert answer.status_code in (429, 503, 529)
        assert answer.json()["type"] == "error"
        assert ANTHROPIC_KEY not in answer.text


class TestUsersTokens:
    def test_it_goes_to_anthropic_and_pays(self, proof: Proof, provider: Provider, alice: str) -> None:
        given = {"x-praxis-key": alice, "authorization": f"Bearer {USER_TOKEN}", "anthropic-beta": "oauth-2025-04-20"}
        answer = proof.message(None, "with my own token", given, model="claude-own")
        assert answer.status_code == 200, answer.text
        headers = arrived(provider, "with my own token")["headers"]
        assert headers["authorization"] == f"Bearer {USER_TOKEN}"
        assert headers["anthropic-beta"] == "oauth-2025-04-20"
        assert proof.receipt(answer.headers["x-praxis-trace-id"])["payer"] == "user"
        assert "x-api-key" not in headers

    def test_without_one_the_answer_says_what_is_missing(self, proof: Proof, provider: Provider, alice: str) -> None:
        answer = proof.message(alice, "no token", model="claude-own")
        assert (answer.status_code, answer.json()["error"]["type"]) == (403, "permission_error")
        assert "your own token" in answer.json()["error"]["message"]

    def test_where_the_company_pays_it_is_refused(self, proof: Proof, provider: Provider, alice: str) -> None:
        given = {"x-praxis-key": alice, "authorization": f"Bearer {USER_TOKEN}"}
        assert proof.message(None, "token too many", given, model="claude").status_code == 403


class TestNoOtherWay:
    """From inside LiteLLM's container, as LiteLLM's uid."""

    @pytest.mark.parametrize("address", ["1.1.1.1:443", "169.254.169.254:80", "8.8.8.8:53"])
    def test_no_address_outside_is_reached(self, proof: Proof, address: str) -> None:
        host, _, port = address.partition(":")
        code, output = in_litellm(f"import socket; socket.create_connection(({host!r}, {port}), 2)")
        assert code != 0
        assert any(words in output for words in ("unreachable", "timed out", "No route"))

    @pytest.mark.parametrize("name", ["example.com", "prompt.example.com", "api.anthropic.com"])
    def test_no_name_outside_is_resolved(self, proof: Proof, name: str) -> None:
        code, output = in_litellm(f"import socket; socket.getaddrinfo({name!r}, 443)")
        assert code != 0, output

    def test_the_host_has_no_address_on_its_networks(self, proof: Proof) -> None:
        for network in docker.from_env().networks.list(filters={"label": f"praxis.stack={NAME}"}):
            network.reload()
            if network.attrs["Internal"]:
                gateway = network.attrs["IPAM"]["Config"][0].get("Gateway", "")
                code, output = in_litellm(f"import socket; socket.create_connection(({gateway!r}, 22), 2)")
                assert code != 0
                assert "refused" not in output, f"{network.name}: somebody answers at {gateway}"

    def test_without_a_ticket_the_egress_refuses(self, proof: Proof, provider: Provider) -> None:
        for carried in ("praxis-egress", "sk-an-account-of-the-attackers"):
            program = (
                "import urllib.request as u, urllib.error as e\n"
                "r = u.Request('http://egress:8200/anthropic/v1/messages', data=b'smuggled', method='POST',"
                f" headers={{'x-api-key': {carried!r}, 'x-praxis-ticket': 'guessed'}})\n"
                "try: print(u.urlopen(r).status)\n"
                "except e.HTTPError as error: print(error.code, error.read())"
            )
            _, output = in_litellm(program)
            assert output.startswith("403"), output
        assert not [one for one in provider.seen() if "smuggled" in json.dumps(one["body"])]

    def test_what_is_not_a_declared_call_is_not_routed(self, proof: Proof) -> None:
        program = (
            "import http.client as h\n"
            "for m, p in (('GET', '/anthropic/v1/models'), ('POST', '/anthropic/v1/files'), ('POST', '/anthropicevil'),"
            " ('CONNECT', 'example.com:443'), ('GET', '/api/rawdata'), ('GET', 'http://example.com/')):\n"
            "    c = h.HTTPConnection('egress', 8200, timeout=3); c.request(m, p); print(c.getresponse().status)"
        )
        _, output = in_litellm(program)
        assert output.split() == ["404", "404", "404", "501", "404", "404"]

    def test_the_custodians_other_port_wants_a_certificate(self, proof: Proof) -> None:
        program = (
            "import http.client as h, ssl\n"
            "c = h.HTTPSConnection('custodian', 8101, context=ssl._create_unverified_context(), timeout=3)\n"
            "c.request('GET', '/egress'); print(c.getresponse().status)"
        )
        code, output = in_litellm(program)
        assert code != 0
        assert "SSL" in output or "RemoteDisconnected" in output, output

    def test_litellm_holds_no_providers_key(self, proof: Proof) -> None:
        code, output = in_litellm("import os; print(sorted(os.listdir('/run/secrets')))")
        assert code == 0
        assert "api-key" not in output


@pytest.mark.timeout(900)
def test_a_hostile_program_gets_no_key_and_no_token(proof: Proof, provider: Provider, alice: str) -> None:
    given = {"x-praxis-key": alice, "authorization": f"Bearer {USER_TOKEN}"}
    assert proof.message(None, "before the theft", given, model="claude-own").status_code == 200
    report = json.loads(proof.praxis("demo", "exfiltrate", NAME, "--json").stdout)
    for place in ("litellm", "host"):
        told = report["places"][place]
        assert told["excess"] == []
        assert told["probes"]["environment"]["read"] > 0
        assert told["probes"]["files"]["read"] > 0
        assert "network" in told["probes"]
    assert "litellm-db-password" in report["places"]["litellm"]["own"], "it does find what LiteLLM itself has"
