"""Settings of clients, read back as those who are given them read them."""

from __future__ import annotations

import json
import plistlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.clients import Client, Form, settings, written

URL = "https://gateway.example.com/e/" + "aB-_" * 10 + "xyz"
VALUES = settings(Client.CLAUDE_CODE, URL)
TEXTS = st.dictionaries(st.text("abcXYZ_", min_size=1), st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF)))


def test_claude_codes() -> None:
    assert VALUES == {"env": {"ANTHROPIC_BASE_URL": URL}}


def test_its_extensions() -> None:
    told = settings(Client.VSCODE, URL)
    assert told == {"claudeCode.environmentVariables": [{"name": "ANTHROPIC_BASE_URL", "value": URL}]}


def read(text: str, form: Form) -> object:
    match form:
        case Form.JSON:
            return json.loads(text)
        case Form.PLIST:
            return plistlib.loads(text.encode())
        case Form.POWERSHELL:
            found = re.search(r"@'\n(.*)\n'@\n", text, re.DOTALL)  # a here-string, in which nothing is replaced
            assert found
            return json.loads(found[1])
        case Form.REGISTRY:
            assert text.startswith("Windows Registry Editor Version 5.00\r\n\r\n")
            found = re.search(r'"Settings"="(.*)"\r\n', text)
            assert found
            return json.loads(re.sub(r"\\(.)", r"\1", found[1]))


@pytest.mark.parametrize("form", list(Form))
def test_every_form_says_the_same(form: Form) -> None:
    assert read(written(VALUES, form), form) == VALUES


@given(TEXTS, st.sampled_from(list(Form)))
def test_whatever_is_in_them(variables: dict[str, str], form: Form) -> None:
    values = {"env": variables}
    assert read(written(values, form), form) == values


def test_a_managed_settings_file_is_where_claude_code_looks() -> None:
    assert "ProgramW6432 'ClaudeCode'" in written(VALUES, Form.POWERSHELL)
    assert "[HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\ClaudeCode]" in written(VALUES, Form.REGISTRY)
