"""What may be declared: frozen models of a stack file, loaded from YAML. No Pulumi, no cloud SDK, no secrets."""

from config.errors import Problem, SettingsError
from config.load import load_stack
from config.stack import Stack

__all__ = ["Problem", "SettingsError", "Stack", "load_stack"]
