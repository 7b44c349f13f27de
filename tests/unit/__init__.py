"""Pure tests, and property tests: the lowest rung."""
