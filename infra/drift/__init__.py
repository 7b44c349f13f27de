"""Drift: what runs, against what was declared. Each look is a module; comparison and output are pure."""
