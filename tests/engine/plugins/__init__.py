"""Tests of the stand-in plugins, on the real engine."""
