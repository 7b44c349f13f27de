"""From ``stacks/<name>.yaml`` to a :class:`~config.stack.Stack`, or to every problem at once."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from config.egress import bindings, misnamed
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
        for path, message in (*stack.references(), *bindings(stack), *misnamed(stack))
    ]
    if problems:
        raise SettingsError(problems)
    return stack


def _problem(detail: ErrorDetails, document: Document, file: Path) -> Problem:
    # Pydantic marks an error about a mapping's key with a trailing "[key]": the place is the key itself.
    path, around = _located([part for part in detail["loc"] if part != "[key]"])
    message = _message(detail, path, around)
    return Problem(file=file, line=document.line(path), key=dotted(path), message=message)


def _message(detail: ErrorDetails, path: KeyPath, around: type[BaseModel] | None) -> str:
    kind, text = detail["type"], detail["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        allowed = sorted(around.model_fields) if around is not None else []
        close = get_close_matches(str(path[-1]), allowed, n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        chosen = f" with {_choice(around)}" if around is not None and _choice(around) else ""
        return f"unknown key{chosen}; {hint}allowed are: {listed(allowed)}"
    if kind == "missing":
        return f"is missing{f': {_choice(around)} needs it' if around is not None and _choice(around) else ''}"
    if kind == "union_tag_not_found":
        return f"{detail['ctx']['discriminator']} is missing; {_kinds(path, around)}"
    if kind == "union_tag_invalid":
        return f"no such {detail['ctx']['discriminator']}: '{detail['ctx']['tag']}'; {_kinds(path, around)}"
    if "[key]" in detail["loc"]:
        return f"not a usable name: {text[0].lower()}{text[1:]} (lower case letters, digits and dashes)"
    if kind == "string_pattern_mismatch" and "secret" in text:
        return "must name a secret as secret://name; values never stand in a stack file"
    given = "" if isinstance(detail["input"], dict | list) else f", not {detail['input']!r}"
    return f"{text[0].lower()}{text[1:]}{given}" if text.startswith("Input should") else text


def _kinds(path: KeyPath, around: type[BaseModel] | None) -> str:
    fields = around.model_fields if around is not None else {}
    field = next((fields[str(key)] for key in path[::-1] if str(key) in fields), None)  # around the key of a mapping
    return f"there are: {listed(_choice(one) for one in _models_in(field.annotation))}" if field is not None else ""


def _choice(model: type[BaseModel]) -> str:
    """``store: file`` of a model that such a key chooses among others; empty for one that nothing chooses."""
    for name, field in model.model_fields.items():
        if get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1:
            return f"{name}: {get_args(field.annotation)[0]}"
    return ""


def _located(location: Sequence[str | int]) -> tuple[KeyPath, type[BaseModel] | None]:
    """The key path of pydantic's ``location``, and the model around its last key, by walking the models' annotations.

    Pydantic puts into a location what chose one model among several: that is no key of the file.
    """
    path: list[str | int] = []
    steps = list(location)
    model: type[BaseModel] | None = Stack
    around: type[BaseModel] | None = None
    while steps:
        part = steps.pop(0)
        path.append(part)
        around = model
        field = model.model_fields.get(str(part)) if model is not None else None
        if field is None:
            return (*path, *steps), around
        inner = _models_in(field.annotation)
        if steps and get_origin(field.annotation) in (dict, tuple):
            path.append(steps.pop(0))
        if len(inner) > 1 and steps:
            tag = str(steps.pop(0))
            inner = [one for one in inner if _choice(one).endswith(f": {tag}")]
        model = inner[0] if inner else None
    return tuple(path), around


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in _models_in(part)]
