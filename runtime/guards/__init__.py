"""The input guard: finds credentials and personal data in requests, masks them or refuses."""

from __future__ import annotations

from runtime.guards.guard import Guard, Outcome, Verdict, refusal
from runtime.guards.scanner import Finding

__all__ = ["Finding", "Guard", "Outcome", "Verdict", "refusal"]
