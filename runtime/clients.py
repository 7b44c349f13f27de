"""What a client has to be told so that it asks the gateway: its own settings, in the form in which it is given them.

Names are those of the vendors' documentation: ``env`` of Claude Code's ``settings.json`` (code.claude.com, "Settings"),
``claudeCode.environmentVariables`` of its extension for VS Code, the managed settings that device management hands out
(code.claude.com, "Managed settings"; anthropics/claude-code, ``examples/mdm``), ``model_providers`` of Codex
(openai/codex, ``docs/config.md``), and the variables of Gemini CLI (google-gemini/gemini-cli,
``docs/reference/configuration.md``).
"""

from __future__ import annotations

import json
import plistlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Client(StrEnum):
    """A client that the gateway can serve by a base URL alone."""

    CLAUDE_CODE = "claude-code"
    VSCODE = "vscode"


class Form(StrEnum):
    """How settings are written down."""

    JSON = "json"
    """A settings file; Claude Code's ``managed-settings.json`` has the same form."""
    PLIST = "plist"
    """Jamf's and Kandji's custom settings, for the preference domain ``com.anthropic.claudecode``."""
    POWERSHELL = "powershell"
    """A platform script of Intune's, which writes ``managed-settings.json``."""
    REGISTRY = "registry"
    """A registry file for Group Policy: the policy key of Claude Code."""


KEY_VARIABLE = "PRAXIS_KEY"
"""Where Codex is told to look for its key, which does not belong into a file of settings."""
DOMAIN = "com.anthropic.claudecode"
_SCRIPT = """\
$ErrorActionPreference = 'Stop'
# ProgramW6432: in the 32-bit host, which is Intune's default, ProgramFiles is another folder.
$folder = Join-Path $env:ProgramW6432 'ClaudeCode'
New-Item -ItemType Directory -Path $folder -Force | Out-Null
$json = @'
{json}
'@
$file = Join-Path $folder 'managed-settings.json'
[System.IO.File]::WriteAllText($file, $json, (New-Object System.Text.UTF8Encoding($false)))
"""
_REGISTRY = """\
Windows Registry Editor Version 5.00

[HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\ClaudeCode]
"Settings"="{json}"
"""


def settings(client: Client, base_url: str) -> dict[str, Any]:
    """The settings of ``client`` with the gateway at ``base_url``."""
    variables = {"ANTHROPIC_BASE_URL": base_url}
    if client is Client.VSCODE:
        told = [{"name": name, "value": value} for name, value in variables.items()]
        return {"claudeCode.environmentVariables": told}
    return {"env": variables}


def codex(base_url: str) -> str:
    """What ``~/.codex/config.toml`` has to say (TOML). The key is in :data:`KEY_VARIABLE`."""
    return f"""\
model_provider = "praxis"

[model_providers.praxis]
name = "Praxis"
base_url = "{base_url}/v1"
env_key = "{KEY_VARIABLE}"
wire_api = "responses"
"""


GEMINI_CLI_SETTINGS = json.dumps({"security": {"auth": {"selectedType": "gemini-api-key"}}})
"""What ``~/.gemini/settings.json`` has to say, so that Gemini CLI asks by a key and offers no sign-in at Google."""


def gemini_cli(base_url: str, key: str) -> str:
    """What ``~/.gemini/.env`` has to say."""
    return f"GOOGLE_GEMINI_BASE_URL={base_url}\nGEMINI_API_KEY={key}\n"


def written(values: Mapping[str, Any], form: Form) -> str:
    """Claude Code's settings ``values`` in the form that a file or a device management takes; ends with a line end."""
    if form is Form.PLIST:
        return plistlib.dumps(dict(values), sort_keys=False).decode()
    if form is Form.POWERSHELL:
        return _SCRIPT.replace("{json}", json.dumps(values, indent=2))
    if form is Form.REGISTRY:
        text = json.dumps(values).replace("\\", "\\\\").replace('"', '\\"')
        return _REGISTRY.replace("{json}", text).replace("\n", "\r\n")
    return json.dumps(values, indent=2) + "\n"
