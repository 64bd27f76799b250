"""A trial's values go into params.yaml, and no other value in it changes."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from datspect.errors import ParamsError
from datspect.params.editing import difference
from datspect.params.network import ParametersFrom
from datspect.params.whole import load_params
from datspect.tuning.applying import PLACES, applied
from datspect.tuning.space import Configuration

PARAMS = Path(__file__).parents[2] / "params.yaml"
ORIGIN = ParametersFrom(study="wide", trial=7, split="1a2b3c4d5e6f")
TEXT = re.sub(r"(?m)^parameters_from: \S.*?(?= +#|$)", "parameters_from: null", PARAMS.read_text(encoding="utf-8"))
"""The project's own params.yaml, with parameters of no study."""

WRITTEN = "{study: wide, trial: 7, split: 1a2b3c4d5e6f}"
VALUES: dict[str, object] = {
    "width": 96,
    "dropout": 0.31250000000000006,
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


def test_the_projects_own_file_comes_back_byte_for_byte_when_nothing_changes() -> None:
    text = TEXT.replace("parameters_from: null", f"parameters_from: {WRITTEN}")
    assert applied(text, {name: at(loaded(text), name) for name in PLACES}, ORIGIN) == text


def test_on_the_projects_own_file_only_the_lines_meant_differ() -> None:
    after = applied(TEXT, VALUES, ORIGIN)
    keys = [line.split(":")[0] for line in changed_lines(TEXT, after)]
    assert keys == [*VALUES, "parameters_from"]


def test_load_params_reads_exactly_what_was_applied(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(applied(TEXT, VALUES, ORIGIN), encoding="utf-8")
    params = load_params(path)
    rate = params.training.learning_rate
    read = {name: getattr(rate, name) for name in ("initial", "final", "schedule", "drops")}
    assert read | params.classifier.model_dump() == VALUES
    assert params.parameters_from == ORIGIN


def test_comments_stay_in_their_column_where_there_is_room() -> None:
    after = applied(TEXT, VALUES, ORIGIN)
    for before, line in zip(TEXT.splitlines(), after.splitlines(), strict=True):
        comment = before.partition("#")[2]
        assert line.partition("#")[2] == comment
        value_end = len(line.partition("#")[0].rstrip())
        if comment and value_end:
            column = before.index("#")
            assert line.index("#") == max(column, value_end + 1)


@settings(deadline=None, max_examples=60)
@given(values=all_values, study=studies, trial=st.integers(0, 10**6), split=digests)
def test_any_values_are_read_again_exactly_and_applying_twice_changes_nothing(
    values: dict[str, object], study: str, trial: int, split: str
) -> None:
    origin = ParametersFrom(study=study, trial=trial, split=split)
    after = applied(SMALL, values, origin)
    document = loaded(after)
    for name in VALUES:
        expected = values.get(name, at(loaded(SMALL), name))
        assert at(document, name) == expected
        assert type(at(document, name)) is type(expected)
    assert document["parameters_from"] == {"study": study, "trial": trial, "split": split}
    assert applied(after, values, origin) == after
    assert re.findall("#.*", after) == re.findall("#.*", SMALL)


@pytest.mark.parametrize(
    ("value", "written"), [(1e-05, "1.0e-05"), (1.5e-7, "1.5e-07"), (0.001, "0.001"), (0.0, "0.0"), (1.0, "1.0")]
)
def test_a_number_has_a_dot_so_that_every_yaml_reads_a_number(value: float, written: str) -> None:
    after = applied(SMALL, {"final": value}, ORIGIN)
    assert f"final: {written}," in after
    assert at(loaded(after), "final") == value


@pytest.mark.parametrize(
    "text",
    ["null", "true", "2019", "1e5", "0x1f", "2019-01-01", "2019-13-45", "1_000", "123456789012", "1234e5678901"],
)
def test_a_name_or_digest_that_yaml_would_read_otherwise_is_quoted(text: str) -> None:
    after = applied(SMALL, {}, ParametersFrom.model_construct(study=text, trial=7, split=text))
    assert after.endswith(f"parameters_from: {{study: '{text}', trial: 7, split: '{text}'}}\n")
    assert loaded(after)["parameters_from"] == {"study": text, "trial": 7, "split": text}


@pytest.mark.parametrize(
    "earlier",
    ["null", "~", "", '{"study": "old", "trial": 3}', "{study: a, trial: 1, split: 00}", "{study: a,\n  trial: 2}"],
)
def test_whatever_stood_in_parameters_from_is_replaced(earlier: str) -> None:
    text = SMALL.replace("parameters_from: null", f"parameters_from: {earlier}".rstrip() + "   # why")
    assert applied(text, {}, ORIGIN).splitlines()[-1] == f"parameters_from: {WRITTEN} # why"


def test_line_ends_of_another_system_stay() -> None:
    windows = SMALL.replace("\n", "\r\n")
    assert applied(windows, VALUES, ORIGIN) == applied(SMALL, VALUES, ORIGIN).replace("\n", "\r\n")


UNUSUAL = """
single: 'quoted'  # a comment
double: "quoted"
literal: |
  two
  lines
floats: [1.0e-3, 5.960464477539063e-08, 1_0.5, .inf]
integers: [0x1F, 012, 1_000]
others: [true, null, yes, 2019-01-01]
flow: {a: {b: 1}, c: "2"}
sequence:
  - a: 1
    b: 2
anchored: &anchor [1, 2]
alias: *anchor
"""


def test_unusual_yaml_stays_byte_for_byte() -> None:
    assert applied(SMALL + UNUSUAL, {}, ORIGIN) == SMALL.replace("null", WRITTEN) + UNUSUAL


def test_another_layout_is_made_ours_and_keeps_its_values() -> None:
    text = SMALL + 'a: ~\nb:\nc: {d: 1,e:   2}\nf:\n    g:\n        h: 1\ni: two\n  lines\nj:\n- 1\nk:   "\\u00e9"'
    after = applied(text, {}, ORIGIN)
    assert loaded(after) == loaded(text) | {"parameters_from": ORIGIN.model_dump()}
    assert applied(after, {}, ORIGIN) == after


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  width: 128", "  depth: &shared 3\n  width: *shared"),
        ("128   # units\n", "&shared 128\n  depth: *shared\n"),
        ("width: 128   # units", "<<: {width: 1, depth: 2}"),
    ],
)
def test_a_value_that_other_places_share_changes_in_its_own_place_alone(old: str, new: str) -> None:
    text = SMALL.replace(old, new)
    classifier = loaded(text)["classifier"] | {"width": 96}
    assert loaded(applied(text, {"width": 96}, ORIGIN))["classifier"] == classifier


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  dropout: 0.5\n", "", r"classifier\.dropout: missing; add it"),
        ("classifier:", "klassifier:", "classifier: missing; add it"),
        ("learning_rate:", "rate:", r"training\.learning_rate: missing; add it"),
        ("parameters_from: null\n", "", "parameters_from: missing; add it"),
        (SMALL, "", r"params\.yaml: expected a section with classifier in it"),
        ("{initial: 1.0e-3, final: 1.0e-6, schedule: step, drops: 3}", "1", r"training\.learning_rate: expected a sec"),
        ("learning_rate: {", "learning_rate: &rate {", r"cannot set training\.learning_rate\.\w+ .* without anchors"),
        ("training:", "training: &training", r"cannot set training\.learning_rate\.\w+ .* without anchors"),
    ],
)
def test_a_text_in_which_the_values_have_no_place_is_refused_with_the_key(old: str, new: str, message: str) -> None:
    assert old in SMALL
    with pytest.raises(ParamsError, match=message):
        applied(SMALL.replace(old, new), VALUES, ORIGIN)


def test_whatever_a_study_varies_has_a_place() -> None:
    params = load_params(PARAMS)
    paper = Configuration(params.classifier, params.training)
    striatum = Configuration(params.classifier, params.training, params.striatum, params.tune.space.striatum.alter)
    assert set(PLACES) == set(paper.settings) | set(striatum.settings)


def test_the_difference_shows_the_lines_that_changed_and_nothing_where_none_did() -> None:
    after = applied(SMALL, {"dropout": 0.25}, ORIGIN)
    lines = difference(SMALL, after, "params.yaml").splitlines()
    assert lines[:2] == ["--- params.yaml, before", "+++ params.yaml, after"]
    assert [line for line in lines[2:] if line[0] in "+-"] == [
        "-  dropout: 0.5",
        "+  dropout: 0.25",
        "-parameters_from: null",
        f"+parameters_from: {WRITTEN}",
    ]
    assert difference(after, after, "params.yaml") == ""
