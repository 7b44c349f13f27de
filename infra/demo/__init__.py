"""Demonstrations that show what the gateway withstands."""
