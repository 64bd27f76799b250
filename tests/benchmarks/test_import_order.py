"""TensorFlow reads what the package sets for it once, while it is loaded: what loads it before measures other code."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
WITH_TENSORFLOW = {"keras", "tensorflow"}


def imported(script: Path) -> Iterator[str]:
    """The packages that a script imports at its top, in order."""
    for statement in ast.parse(script.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            yield (statement.module or "").partition(".")[0]


@pytest.mark.parametrize("script", sorted(BENCHMARKS.rglob("*.py")), ids=lambda path: str(path.relative_to(BENCHMARKS)))
def test_the_package_is_imported_before_tensorflow(script: Path) -> None:
    names = list(imported(script))
    first = next((names.index(name) for name in names if name in WITH_TENSORFLOW), None)
    assert first is None or "datspect" in names[:first]


def test_scripts_that_load_keras_are_among_them() -> None:
    assert "keras" in set(imported(BENCHMARKS / "heads.py"))
