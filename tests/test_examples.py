"""The examples in docstrings give what they show."""

import doctest
import importlib
from pathlib import Path

import pytest

import datspect

SOURCE = Path(datspect.__file__).parent
MODULES = [
    "datspect." + ".".join(path.relative_to(SOURCE).with_suffix("").parts)
    for path in sorted(SOURCE.rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.attempted > 0
    assert result.failed == 0
