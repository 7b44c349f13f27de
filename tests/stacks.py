"""Stacks that several test modules declare."""

from __future__ import annotations

from config import Stack, load_stack
from infra.paths import STACKS


def full() -> Stack:
    """The laptop's stack in the full profile: Langfuse, from the vendors' images."""
    laptop = load_stack("laptop", STACKS)
    seen = laptop.observability.model_copy(update={"store": "langfuse"})
    return laptop.model_copy(update={"supply": "official", "observability": seen})
