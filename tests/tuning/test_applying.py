"""A trial's values go into params.yaml, and nothing else in it moves."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from datspect.errors import ParamsError
from datspect.params.network import ParametersFrom
from datspect.params.whole import load_params
from datspect.tuning.applying import PLACES, applied, difference

PARAMS = Path(__file__).parents[2] / "params.yaml"
ORIGIN = ParametersFrom(study="wide", trial=7, split="1a2b3c4d5e6f")
TEXT = re.sub(r"(?m)^parameters_from: \S.*?(?= +#|$)", "parameters_from: null", PARAMS.read_text(encoding="utf-8"))
"""The project's own, with parameters of no study."""

VALUES: dict[str, object] = {
    "dropout": 0.31250000000000006,
    "width": 96,
    "initial": 0.004321,
    "final": 1.2345678901234e-05,
    "schedule": "cosine",
    "drops": 5,
}
SMALL = """\
classifier:
  width: 128   # units
  dropout: 0.5
training:
  learning_rate: {initial: 1.0e-3, final: 1.0e-6, schedule: step, drops: 3}  # in one line
parameters_from: null
"""

all_values = st.fixed_dictionaries(
    {},
    optional={
        "dropout": st.floats(0, 0.999),
        "width": st.integers(1, 4096),
        "initial": st.floats(0, 1.0, exclude_min=True),
        "final": st.floats(1e-9, 1e-2),
        "schedule": st.sampled_from(["step", "cosine", "exponential", "constant"]),
        "drops": st.integers(1, 9),
    },
)
studies = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}", fullmatch=True)
digests = st.one_of(
    st.text("0123456789abcdef", min_size=12, max_size=12),
    st.text("0123456789e", min_size=12, max_size=12),  # most read as numbers
)


def loaded(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def at(document: Any, name: str) -> Any:
    for key in PLACES[name]:
        document = document[key]
    return document


def changed_lines(before: str, after: str) -> list[str]:
    old, new = before.splitlines(), after.splitlines()
    assert len(old) == len(new)
    return [other.strip() for one, other in zip(old, new, strict=True) if one != other]


def test_on_the_projects_own_file_only_the_lines_meant_differ() -> None:
    after = applied(TEXT, VALUES, ORIGIN)
    keys = [line.split(":")[0] for line in changed_lines(TEXT, after)]
    assert keys == ["width", "dropout", "initial", "final", "schedule", "drops", "parameters_from"]
    assert [line.split(" #")[0].rstrip() for line in changed_lines(TEXT, after)][2:4] == [
        "initial: 4.321e-3",
        "final: 1.2345678901234e-5",
    ]


def test_load_params_reads_exactly_what_was_applied(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(applied(TEXT, VALUES, ORIGIN), encoding="utf-8")
    params = load_params(path)
    rate = params.training.learning_rate
    read = {name: getattr(rate, name) for name in ("initial", "final", "schedule", "drops")}
    assert read | params.classifier.model_dump() == VALUES
    assert params.parameters_from == ORIGIN


def test_what_was_not_tried_stays_as_it_was() -> None:
    after = applied(TEXT, {"dropout": 0.25}, ORIGIN)
    assert [line.split(":")[0] for line in changed_lines(TEXT, after)] == ["dropout", "parameters_from"]


def test_a_value_that_is_there_keeps_its_own_text() -> None:
    assert loaded(SMALL)["training"]["learning_rate"]["initial"] == 0.001
    after = applied(SMALL, {"initial": 0.001, "width": 128}, ORIGIN)
    assert changed_lines(SMALL, after) == ["parameters_from: {study: wide, trial: 7, split: 1a2b3c4d5e6f}"]


def test_comments_stay_in_their_column_where_there_is_room() -> None:
    after = applied(TEXT, VALUES, ORIGIN)
    for before, line in zip(TEXT.splitlines(), after.splitlines(), strict=True):
        comment = before.partition("#")[2]
        assert line.partition("#")[2] == comment
        value_end = len(line.partition("#")[0].rstrip())
        if comment and value_end:
            column = before.index("#")
            assert line.index("#") == (column if value_end < column else value_end + 2)


@settings(deadline=None, max_examples=60)
@given(values=all_values, study=studies, trial=st.integers(0, 10**6), split=digests)
def test_any_values_are_read_again_exactly_and_applying_twice_changes_nothing(
    values: dict[str, object], study: str, trial: int, split: str
) -> None:
    origin = ParametersFrom(study=study, trial=trial, split=split)
    after = applied(SMALL, values, origin)
    document = loaded(after)
    for name in PLACES:
        expected = values.get(name, at(loaded(SMALL), name))
        assert at(document, name) == expected
        assert type(at(document, name)) is type(expected)
    assert document["parameters_from"] == {"study": study, "trial": trial, "split": split}
    assert applied(after, values, origin) == after
    assert re.findall("#.*", after) == re.findall("#.*", SMALL)


@settings(deadline=None, max_examples=20)
@given(first=all_values, second=all_values)
def test_a_later_trial_leaves_nothing_of_the_one_before_but_what_it_did_not_try(
    first: dict[str, object], second: dict[str, object]
) -> None:
    later = ParametersFrom(study="b", trial=22, split="0" * 12)
    both = loaded(applied(applied(SMALL, first, ORIGIN), second, later))
    assert both == loaded(applied(SMALL, first | second, later))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (1e-05, "1.0e-5"),
        (0.001, "1.0e-3"),
        (0.5, "0.5"),
        (0.0, "0.0"),
        (1.0, "1.0"),
        (1e-10, "1.0e-10"),
        (1e16, "1.0e+16"),
        (0.1 + 0.2, "0.30000000000000004"),
    ],
)
def test_numbers_are_written_so_that_every_yaml_reads_the_same_number(value: float, written: str) -> None:
    after = applied(SMALL, {"final": value}, ORIGIN)
    assert f"final: {written}," in after
    assert at(loaded(after), "final") == value


@pytest.mark.parametrize("study", ["null", "true", "2019", "1e5", "0x1f", "2019-01-01", "2019-13-45", "1_000", "0b1"])
def test_a_study_whose_name_yaml_would_read_otherwise_is_quoted(study: str) -> None:
    after = applied(SMALL, {}, ORIGIN.model_copy(update={"study": study}))
    assert f'study: "{study}"' in after
    assert loaded(after)["parameters_from"]["study"] == study


@pytest.mark.parametrize(
    ("split", "written"),
    [
        ("123456789012", '"123456789012"'),
        ("012345670123", '"012345670123"'),  # octal to some
        ("1234e5678901", '"1234e5678901"'),  # infinity
        ("0b1010101010", '"0b1010101010"'),
        ("000000000000", '"000000000000"'),
        ("1a2b3c4d5e6f", "1a2b3c4d5e6f"),
        ("e12345678901", "e12345678901"),
    ],
)
def test_a_digest_that_yaml_would_read_as_a_number_is_quoted(split: str, written: str) -> None:
    after = applied(SMALL, {}, ORIGIN.model_copy(update={"split": split}))
    assert after.endswith(f"parameters_from: {{study: wide, trial: 7, split: {written}}}\n")
    assert loaded(after)["parameters_from"]["split"] == split


@pytest.mark.parametrize(
    "nothing",
    ["null", "~", "", "{study: old, trial: 3}", '{"study": "old", "trial": 3}', "{study: a, trial: 1, split: 00}"],
)
def test_whatever_stood_in_parameters_from_is_replaced(nothing: str) -> None:
    text = SMALL.replace("parameters_from: null", f"parameters_from: {nothing}".rstrip() + "   # why")
    value, _, comment = applied(text, {}, ORIGIN).splitlines()[-1].partition("#")
    assert (value.rstrip(), comment) == ("parameters_from: {study: wide, trial: 7, split: 1a2b3c4d5e6f}", " why")


def test_the_same_trial_of_a_study_of_another_split_is_another_origin() -> None:
    before = applied(SMALL, VALUES, ORIGIN)
    after = applied(before, VALUES, ORIGIN.model_copy(update={"split": "f" * 12}))
    assert changed_lines(before, after) == ["parameters_from: {study: wide, trial: 7, split: ffffffffffff}"]


def test_line_ends_of_another_system_stay() -> None:
    windows = SMALL.replace("\n", "\r\n")
    assert applied(windows, VALUES, ORIGIN) == applied(SMALL, VALUES, ORIGIN).replace("\n", "\r\n")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  dropout: 0.5\n", "", r"classifier\.dropout: missing; add it"),
        ("classifier:", "klassifier:", "classifier: missing; add it"),
        ("learning_rate:", "rate:", r"training\.learning_rate: missing; add it"),
        ("parameters_from: null\n", "", "parameters_from: missing; add it"),
        ("{initial: 1.0e-3, final: 1.0e-6, schedule: step, drops: 3}", "1", r"training\.learning_rate: expected a sec"),
        ("width: 128", "width: [128]", r"classifier\.width: expected a single value"),
        ("parameters_from: null", "parameters_from:\n  study: a\n  trial: 2", "expected null or {study: ..., trial"),
        ("parameters_from: null", "parameters_from: {study: a,\n  trial: 2}", "goes over several lines"),
        ("width: 128", "width: [", "not valid YAML"),
        ("width: 128", "width: 128\n  width: 64", "not valid YAML"),
        ("  width: 128", "  depth: &shared 3\n  width: *shared", "cannot set .* without anchors"),
        ("128   # units\n", "&shared 128\n  depth: *shared\n", "cannot set .* without anchors"),
    ],
)
def test_a_text_in_which_the_values_have_no_place_is_refused_with_the_key(old: str, new: str, message: str) -> None:
    assert old in SMALL
    with pytest.raises(ParamsError, match=message):
        applied(SMALL.replace(old, new), VALUES, ORIGIN)


def test_a_section_that_another_place_shares_is_refused() -> None:
    shared = SMALL.replace("learning_rate: {", "learning_rate: &rate {") + "copy: *rate\n"
    with pytest.raises(ParamsError, match=r"cannot set training\.learning_rate\.drops, parameters_from without"):
        applied(shared, {"drops": 4}, ORIGIN)


def test_an_empty_text_is_refused() -> None:
    with pytest.raises(ParamsError, match=r"params\.yaml: expected a section with parameters_from in it"):
        applied("", {}, ORIGIN)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, True, [1]])
def test_a_value_that_is_neither_number_nor_text_is_refused(value: object) -> None:
    with pytest.raises(ParamsError, match=r"classifier\.dropout = .*: expected a finite number or a text"):
        applied(SMALL, {"dropout": value}, ORIGIN)


def test_a_value_that_params_do_not_hold_is_refused() -> None:
    with pytest.raises(ParamsError, match=r"momentum: params\.yaml has no place for it; expected of width, dropout"):
        applied(SMALL, {"momentum": 0.9}, ORIGIN)


def test_the_difference_shows_the_lines_that_changed_and_nothing_where_none_did() -> None:
    after = applied(SMALL, {"dropout": 0.25}, ORIGIN)
    lines = difference(SMALL, after, "params.yaml").splitlines()
    assert lines[:2] == ["--- params.yaml, before", "+++ params.yaml, after"]
    assert [line for line in lines[2:] if line[0] in "+-"] == [
        "-  dropout: 0.5",
        "+  dropout: 0.25",
        "-parameters_from: null",
        "+parameters_from: {study: wide, trial: 7, split: 1a2b3c4d5e6f}",
    ]
    assert difference(after, after, "params.yaml") == ""
