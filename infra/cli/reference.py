"""``python -m infra.cli.reference`` writes docs/reference/ from the code; with ``--check`` it only compares."""

from __future__ import annotations

import ast
import inspect
import json
import sys
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from components.blueprint import blueprint
from components.resources.target import Capability
from config import load_stack
from config.stack import Stack
from infra.cli import drift, reconcile
from infra.cli.main import app
from infra.paths import REPOSITORY, STACKS
from infra.plugins.litellm.provider import schema as litellm_schema
from infra.targets.docker import DockerTarget

REFERENCE = REPOSITORY / "docs" / "reference"
NOTE = "<!-- Made by `python -m infra.cli.reference`; do not edit. -->\n\n"


def pages() -> dict[str, str]:
    """File name -> content."""
    return {
        "stack-file.md": stack_file(),
        "command-line.md": command_line(),
        "services.md": services(),
        "targets.md": targets(),
        "litellm-plugin.md": litellm_plugin(),
        "drift.schema.json": json.dumps(drift.schema(), indent=2) + "\n",
        "reconcile.schema.json": json.dumps(reconcile.schema(), indent=2) + "\n",
    }


def stack_file() -> str:
    """Every key of a stack file, with type, default and meaning."""
    lines = [f"# The stack file\n\n{NOTE}Every key that `stacks/NAME.yaml` may hold. An unknown key is an error.\n"]
    for model in _models(Stack, []):
        lines.append(f"\n## {model.__name__}\n\n{_first(model.__doc__)}\n\n")
        lines.append("| key | type | default | meaning |\n| --- | --- | --- | --- |\n")
        meanings = _meanings(model)
        lines.extend(
            f"| `{name}` | {_type(field)} | {_default(field)} | {_cell(meanings.get(name, ''))} |\n"
            for name, field in model.model_fields.items()
        )
    return "".join(lines)


def _meanings(model: type[BaseModel]) -> dict[str, str]:
    """The docstring under each attribute. Read here: Pydantic would read every source at every start."""
    found: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if not issubclass(each, BaseModel) or each is BaseModel:
            continue
        (body,) = ast.parse(textwrap.dedent(inspect.getsource(each))).body
        for field, text in pairwise(body.body if isinstance(body, ast.ClassDef) else []):
            match field, text:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(said))):
                    found[name] = inspect.cleandoc(said)
    return found


def _models(model: type[BaseModel], seen: list[type[BaseModel]]) -> list[type[BaseModel]]:
    if model not in seen:
        seen.append(model)
        for field in model.model_fields.values():
            for inner in _inner(field.annotation):
                _models(inner, seen)
    return seen


def _inner(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from _inner(part)


def _type(field: FieldInfo) -> str:
    return f"`{_plain(field.annotation)}`".replace("|", "\\|")


def _plain(annotation: object) -> str:
    origin: object = getattr(annotation, "__origin__", None)
    parts: tuple[object, ...] = getattr(annotation, "__args__", ())
    if origin is dict:
        return f"mapping of {_plain(parts[1])}"
    if origin is tuple:
        return f"list of {_plain(parts[0])}"
    if hasattr(annotation, "__metadata__"):
        return _plain(origin)
    if parts and all(isinstance(part, str) for part in parts):
        return " or ".join(str(part) for part in parts)
    if parts:
        return " or ".join(_plain(part) for part in parts if part is not type(None))
    names = {
        "str": "text",
        "int": "whole number",
        "Decimal": "amount",
        "bool": "true or false",
        "GuardAction": "allow or mask or block",
    }
    name = getattr(annotation, "__name__", str(annotation))
    return names.get(name, name)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or value in ({}, ()) or isinstance(value, BaseModel):
        return "-"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def command_line() -> str:
    """Every verb with its help."""
    lines = [
        f"# The command line\n\n{NOTE}`./praxis VERB [SUBVERB] STACK …`; `PRAXIS_STACK` is the default of STACK.\n"
    ]
    lines.append("Exit codes: 0 in order, 1 failure, 2 wrong usage or settings, 3 could not look, 7 drift.\n")
    root = typer.main.get_command(app)
    for path, command in _commands(root, "./praxis"):
        context = command.context_class(command, info_name=path)
        usage = " ".join(command.collect_usage_pieces(context))
        lines.append(f"\n## `{path}`\n\n{_first(command.help)}\n\n```\n{path} {usage}\n```\n")
        options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
        lines.extend(f"- `{', '.join(option.opts)}`: {option.help or '-'}\n" for option in options)
    return "".join(lines)


def _commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    # Typer carries its own copy of Click, so its commands are known by what they have, not by their class.
    if hasattr(command, "commands"):
        for name in command.commands:
            yield from _commands(command.commands[name], f"{path} {name}")
    else:
        yield path, command


def services() -> str:
    """The services of the laptop stack."""
    plan = blueprint(load_stack("laptop", STACKS), "laptop")
    lines = [f"# Services of the laptop stack\n\n{NOTE}"]
    lines.append("| service | image | uid | memory MiB | networks | needs | secrets (files in memory) |\n")
    lines.append("| --- | --- | --- | --- | --- | --- | --- |\n")
    lines.extend(
        f"| {s.name} | {s.image} | {s.uid} | {s.memory_mib} | {', '.join(s.networks)} | {', '.join(s.needs) or '-'} "
        f"| {', '.join(f'`{name}`' for name in s.secrets) or '-'} |\n"
        for s in plan.services
    )
    return "".join([*lines, f"\nThe hard limits add up to {plan.memory_mib} MiB, and 48 MiB for the secrets agent.\n"])


def targets() -> str:
    """What each target can do."""
    lines = [f"# Targets\n\n{NOTE}What a target cannot do is refused before anything is made.\n\n"]
    lines.append(f"| capability | {DockerTarget.name} |\n| --- | --- |\n")
    lines.extend(f"| {c.value} | {'yes' if c in DockerTarget.capabilities else 'no'} |\n" for c in Capability)
    return "".join(lines)


def litellm_plugin() -> str:
    """Everything in the schema of our LiteLLM plugin."""
    package = litellm_schema()
    lines = [f"# The LiteLLM plugin\n\n{NOTE}{package['description']}\n\n"]
    lines.append(
        f"Package `{package['name']}`, version {package['version']}; its schema is "
        "`infra/plugins/litellm/schema.json`, its Python module `components/resources/litellm.py`. "
        "`pulumi package get-schema litellm` prints it.\n"
    )
    lines += ["\n## The provider\n\n", f"{package['provider']['description']}\n\n", *_properties(package["provider"])]
    for token, found in sorted(package["resources"].items()):
        lines += [f"\n## `{token}`\n\n", f"{found['description']}\n\n", *_properties(found)]
    return "".join(lines)


def _properties(found: dict[str, Any]) -> Iterator[str]:
    yield "| property | type | | meaning |\n| --- | --- | --- | --- |\n"
    for name, rule in found["inputProperties"].items():
        notes = [
            *(["required"] if name in found["requiredInputs"] else []),
            *(["secret"] if rule.get("secret") else []),
            *(["a change replaces"] if rule.get("willReplaceOnChanges") else []),
        ]
        inside = rule.get("items") or rule.get("additionalProperties")
        kind = f"{rule['type']} of {inside['type']}" if inside else rule["type"]
        yield f"| `{name}` | {kind} | {', '.join(notes)} | {_cell(rule['description'])} |\n"


def _first(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split())


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> int:
    """Write the pages, or say which are stale."""
    made = pages()
    if "--check" not in sys.argv:
        for name, text in made.items():
            (REFERENCE / name).write_text(text, encoding="utf-8")
        return 0
    stale = [n for n, t in made.items() if not (REFERENCE / n).exists() or (REFERENCE / n).read_text() != t]
    for name in stale:
        print(f"docs/reference/{name} is stale: run python -m infra.cli.reference")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
