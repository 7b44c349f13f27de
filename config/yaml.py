"""YAML with a memory: plain data, the line of every key, and no key given twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from config.errors import Problem, SettingsError

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """A parsed YAML file: its data, and the line (from 1) on which each key path starts."""

    data: Any
    lines: Mapping[KeyPath, int]

    def line(self, path: KeyPath) -> int | None:
        """The line of ``path``, or of the nearest enclosing key that is in the file."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return None


def parse(text: str, file: Path) -> Document:
    """Parse one YAML document; ``file`` is named in errors.

    Raises:
        SettingsError: syntax error, more than one document, or a key given twice in one mapping.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = f"not valid YAML: {error.problem or error.context}"
        raise SettingsError([Problem(file=file, line=mark.line + 1 if mark else None, message=message)]) from None
    except yaml.YAMLError as error:
        raise SettingsError([Problem(file=file, message=f"not valid YAML: {error}")]) from None
    lines: dict[KeyPath, int] = {}
    problems: list[Problem] = []
    if root is not None:
        _walk(root, (), lines, problems, file)
    if problems:
        raise SettingsError(problems)
    return Document(yaml.safe_load(text), lines)


def _walk(node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int], problems: list[Problem], file: Path) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            key, line = str(key_node.value), key_node.start_mark.line + 1
            here = (*path, key)
            if key in first:
                message = f"given twice (first on line {first[key]}); a name can be declared once"
                problems.append(Problem(file=file, line=line, key=dotted(here), message=message))
            first.setdefault(key, line)
            lines[here] = line
            _walk(value_node, here, lines, problems, file)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _walk(item, (*path, index), lines, problems, file)


def dotted(path: KeyPath) -> str:
    """``("roles", "engineer", "models", 0)`` as ``roles.engineer.models[0]``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
