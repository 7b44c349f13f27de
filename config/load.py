"""From ``stacks/<name>.yaml`` to a :class:`~config.stack.Stack`, or to every problem at once."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from config.egress import bindings
from config.errors import Problem, SettingsError
from config.stack import Stack, listed
from config.yaml import Document, KeyPath, dotted, parse


def load_stack(name: str, folder: Path) -> Stack:
    """Load and check the stack ``name`` from ``folder``.

    Raises:
        SettingsError: no such stack, or anything wrong with the file; it holds every problem found.
    """
    file = folder / f"{name}.yaml"
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        known = listed(sorted(path.stem for path in folder.glob("*.yaml")))
        raise SettingsError([Problem(file=file, message=f"no such stack; there are: {known}")]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([Problem(file=file, message=f"cannot be read: {error}")]) from None
    return check(parse(text, file), file)


def check(document: Document, file: Path) -> Stack:
    """The checked stack of a parsed document; ``file`` is named in errors.

    Raises:
        SettingsError: with every problem found.
    """
    if not isinstance(document.data, dict):
        raise SettingsError([Problem(file=file, line=1, message="must be a mapping; see stacks/laptop.yaml")])
    try:
        stack = Stack.model_validate(document.data)
    except ValidationError as error:
        raise SettingsError(_problem(detail, document, file) for detail in error.errors()) from None
    problems = [
        Problem(file=file, line=document.line(path), key=dotted(path), message=message)
        for path, message in (*stack.references(), *bindings(stack))
    ]
    if problems:
        raise SettingsError(problems)
    return stack


def _problem(detail: ErrorDetails, document: Document, file: Path) -> Problem:
    # Pydantic marks an error about a mapping's key with a trailing "[key]": the place is the key itself.
    path: KeyPath = tuple(part for part in detail["loc"] if part != "[key]")
    message = _message(detail, path)
    return Problem(file=file, line=document.line(path), key=dotted(path), message=message)


def _message(detail: ErrorDetails, path: KeyPath) -> str:
    kind, text = detail["type"], detail["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        allowed = sorted(_fields(path[:-1]))
        close = get_close_matches(str(path[-1]), allowed, n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        return f"unknown key; {hint}allowed are: {listed(allowed)}"
    if kind == "missing":
        return "is missing"
    if "[key]" in detail["loc"]:
        return f"not a usable name: {text[0].lower()}{text[1:]} (lower case letters, digits and dashes)"
    if kind == "string_pattern_mismatch" and "secret" in text:
        return "must name a secret as secret://name; values never stand in a stack file"
    given = "" if isinstance(detail["input"], dict | list) else f", not {detail['input']!r}"
    return f"{text[0].lower()}{text[1:]}{given}" if text.startswith("Input should") else text


def _fields(path: KeyPath) -> list[str]:
    """The keys allowed at ``path``, by walking the models' annotations."""
    model: type[BaseModel] | None = Stack
    steps = list(path)
    while steps and model is not None:
        field = model.model_fields.get(str(steps.pop(0)))
        if field is None:
            return []
        inner = _models_in(field.annotation)
        if steps and _is_mapping(field.annotation):
            steps.pop(0)
        model = inner[0] if inner else None
    return list(model.model_fields) if model is not None else []


def _is_mapping(annotation: object) -> bool:
    return getattr(annotation, "__origin__", None) is dict


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in getattr(annotation, "__args__", ()) for found in _models_in(part)]
