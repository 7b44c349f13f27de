"""Nothing that looks like a test is left out, and what is not run says so."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from infra.paths import REPOSITORY
from infra.supply.checking import tracked

pytest_plugins = ["pytester"]


def _has_tests(path: Path) -> bool:
    """Whether a module defines what pytest would run, under whatever file name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            return True
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            return True
    return False


def test_every_file_with_tests_is_collected() -> None:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert listed.returncode == 0, listed.stdout[-2000:] + listed.stderr[-2000:]
    collected = {line.partition("::")[0] for line in listed.stdout.splitlines() if "::" in line}
    like_tests = {
        path.relative_to(REPOSITORY).as_posix()
        for path in tracked("*.py")
        if path.name.startswith("test_") or path.stem.endswith("_test") or _has_tests(path)
    }
    assert like_tests - collected == set()


def test_what_is_not_run_is_listed_with_its_reason(pytester: pytest.Pytester) -> None:
    (pytester.path / "tests/unit").mkdir(parents=True)
    source = (REPOSITORY / "tests/conftest.py").read_text(encoding="utf-8")
    (pytester.path / "tests/conftest.py").write_text(source, encoding="utf-8")
    (pytester.path / "tests/unit/test_x.py").write_text(
        "import pytest\n"
        "@pytest.mark.not_run('needs a real EKS')\ndef test_cloud(): raise AssertionError\n"
        "def test_here(): pass\n",
        encoding="utf-8",
    )
    result = pytester.runpytest_subprocess("tests", "-p", "no:randomly", f"--rootdir={pytester.path}")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*not run here, and why*", "needs a real EKS (1)", "*test_x.py::test_cloud"])


def test_rungs_run_from_the_bottom_up(pytester: pytest.Pytester) -> None:
    (pytester.path / "tests").mkdir()
    source = (REPOSITORY / "tests/conftest.py").read_text(encoding="utf-8")
    (pytester.path / "tests/conftest.py").write_text(source, encoding="utf-8")
    for rung in ("contract", "golden", "unit"):
        (pytester.path / "tests" / rung).mkdir()
        (pytester.path / "tests" / rung / f"test_{rung}.py").write_text("def test_it(): pass\n", encoding="utf-8")
    result = pytester.runpytest_subprocess("tests", "-v", f"--rootdir={pytester.path}")
    result.stdout.fnmatch_lines(["*test_unit*PASSED*", "*test_contract*PASSED*", "*test_golden*PASSED*"])
