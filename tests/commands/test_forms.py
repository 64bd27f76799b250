"""Answers as JSON: valid whatever is in them, and documented for every command that lists something."""

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import pytest
import typer
from tests.commands.documented import commands_with_json, json_keys

from datspect.__main__ import app
from datspect.commands.forms import as_json
from datspect.commands.predict import text_of
from datspect.prediction.answering import Outcome


class Kind(StrEnum):
    PHANTOM = "phantom"


@dataclass(frozen=True)
class Inner:
    path: Path
    values: tuple[float, ...]


def test_what_is_no_finite_number_is_null_at_any_depth() -> None:
    record = {"a": float("nan"), "b": [{"c": float("-inf")}, np.float32("nan")], "d": Inner(Path("x/y"), (1.5, np.inf))}
    expected = {"a": None, "b": [{"c": None}, None], "d": {"path": "x/y", "values": [1.5, None]}}
    assert json.loads(as_json(record)) == expected


def test_numbers_texts_and_truth_stay_what_they_are() -> None:
    record = {"n": np.int64(3), "yes": True, "none": None, "array": np.arange(2), "kind": Kind.PHANTOM, 1: "ü"}
    expected = {"n": 3, "yes": True, "none": None, "array": [0, 1], "kind": "phantom", "1": "ü"}
    assert json.loads(as_json(record)) == expected


def test_nothing_is_valid_json_too() -> None:
    assert json.loads(as_json({})) == {}
    assert json.loads(as_json([])) == []


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(TypeError, match="complex does not fit into JSON"):
        as_json({"a": 1j})


def test_every_command_with_json_is_documented_and_none_else() -> None:
    found = set()
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        for option in command.params:
            if "--format" in option.opts:
                found.add(name)
    assert found == commands_with_json()


def test_a_scan_without_an_answer_has_the_documented_keys_that_need_none() -> None:
    (row,) = json.loads(text_of([Outcome("ü.nii", None, "no scan")], "json"))
    assert row == {"scan": "ü.nii", "error": "no scan"}
    assert json_keys("predict") == {*row, "state"}


def test_it_is_plain_ascii_whatever_is_said() -> None:
    assert as_json({"path": "Jürgen"}).isascii()
