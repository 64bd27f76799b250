"""Two runs that differ in anything that a result depends on differ in their parameters; no place or secret is told."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from tests.tracking import made_up_results

from datspect.cohort.kind import CohortKind
from datspect.tracking.labels import flat_params
from datspect.training import to_mlflow
from datspect.training.settings import SECTIONS, path_within_the_repository, read_settings, shown

HOME, SECRET = "/home/ann", "hunter2"


def sections(**changes: Any) -> dict[str, Any]:
    """All of params.yaml, with some dotted keys (`__` for the dot) changed."""
    values: dict[str, Any] = made_up_results.params().model_dump(mode="json")
    for key, value in changes.items():
        *outer, last = key.split("__")
        section = values
        for name in outer:
            section = section[name]
        assert last in section
        section[last] = value
    return values


def write(path: Path, values: Any) -> Path:
    YAML().dump(values, path)
    return path


def test_every_section_that_a_fold_depends_on_is_shown_and_no_other() -> None:
    values = shown(sections(parameters_from={"study": "a", "trial": 1, "split": "0" * 12}), CohortKind.PHANTOM)
    assert set(values) == set(SECTIONS)
    untold = {
        "other_groups",
        "prediction",
        "baselines",
        "checks",
        "figures",
        "promotion",
        "robustness",
        "tune",
        "executor",
        "tracking",
    }
    assert untold | set(SECTIONS) == set(sections())  # a new section must be in one of the two


@pytest.mark.parametrize(
    "change",
    [
        {"preprocess__slices": [39, 40, 41]},
        {"preprocess__intensity": "nonspecific_ratio"},
        {"augment__brightness": 0.2},
        {"augment__width_shift": 0.1},
        {"split__seed": 1},
        {"split__test_per_class": {"control": 43, "pd": 89}},
        {"phantom__counts_millions": 1.0},
        {"phantom__seed": 1},
        {"backbone__architecture": "Xception"},
        {"backbone__weights": None},
        {"finetuning__batch_norm": "trained"},
        {"training__learning_rate__drops": 2},
        {"classifier__width": 64},
        {"cohort__path": "data/mine"},
    ],
)
def test_results_that_differ_in_one_value_differ_in_their_parameters(change: dict[str, Any]) -> None:
    before, after = (flat_params(shown(sections(**changes), CohortKind.PHANTOM)) for changes in ({}, change))
    assert before != after


def test_the_phantoms_values_are_those_of_the_phantom_in_use_alone() -> None:
    assert "phantom" in shown(sections(), CohortKind.PHANTOM)
    assert "phantom" not in shown(sections(), CohortKind.REAL)
    assert "phantom" not in shown(sections(cohort__path="data/an_earlier_phantom"), CohortKind.PHANTOM)


def test_no_path_or_secret_is_shown() -> None:
    values = sections(
        cohort__path=f"{HOME}/cohort",
        backbone__weights=f"{HOME}/weights.h5",
        tune__storage=f"postgresql://ann:{SECRET}@host/db",
        executor__scheduler=f"tcp://{SECRET}:8786",
    )
    text = json.dumps(shown(values, CohortKind.REAL))
    assert HOME not in text
    assert SECRET not in text
    assert "weights.h5" not in text
    assert shown(values, CohortKind.REAL)["cohort"] == {"kind": "real", "path": "outside the repository"}


@pytest.mark.parametrize(
    ("path", "within"),
    [
        ("data/mine", "data/mine"),
        ("./data/../data/mine/", "data/mine"),
        ("../mine", None),
        ("data/../../mine", None),
        ("/mnt/mine", None),
        ("{root}/data/mine", "data/mine"),
        ("{root}-2/data", None),
        ("{root}/../mine", None),
    ],
)
def test_a_path_is_told_only_within_the_repository(project: Path, path: str, within: str | None) -> None:
    assert path_within_the_repository(path.format(root=project)) == within


def committed(project: Path, text: str) -> Path:
    """params.yaml as its repository holds it."""
    path = project / "params.yaml"
    path.write_text(text, encoding="utf-8")
    for arguments in (
        ["init", "-q"],
        ["add", "params.yaml"],
        ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", *arguments], cwd=project, check=True)
    return path


def test_what_differs_from_the_committed_file_is_found(project: Path) -> None:
    path = committed(project, made_up_results.PARAMS_PATH.read_text("utf-8"))
    assert read_settings(path, CohortKind.PHANTOM).changed == {}
    write(path, sections(classifier__dropout=0.3, preprocess__slices=[39, 40, 41], tune__trials=7))
    changed = read_settings(path, CohortKind.PHANTOM).changed
    assert changed == {"preprocess.slices": "[39, 40, 41]", "classifier.dropout": "0.3"}


def test_of_another_cohort_only_its_path_differs_from_the_committed_phantom(project: Path) -> None:
    path = committed(project, made_up_results.PARAMS_PATH.read_text("utf-8"))
    write(path, sections(cohort__path=f"{HOME}/cohort"))
    assert read_settings(path, CohortKind.REAL).changed == {"cohort.path": "outside the repository"}


def test_a_number_written_otherwise_is_no_difference(project: Path) -> None:
    text = made_up_results.PARAMS_PATH.read_text("utf-8")
    path = committed(project, text.replace("filter_fwhm_mm: 6.0", "filter_fwhm_mm: 6"))
    write(path, sections())
    assert read_settings(path, CohortKind.PHANTOM).changed == {}


@pytest.mark.parametrize("text", ["phantom: [\n", "- a list\n", "classifier: 3\n"])
def test_a_committed_file_of_another_kind_is_no_error(project: Path, text: str) -> None:
    path = committed(project, text)
    write(path, sections())
    settings = read_settings(path, CohortKind.PHANTOM)
    assert settings.values == shown(sections(), CohortKind.PHANTOM)


def test_without_git_nothing_is_said_to_differ(project: Path) -> None:
    assert read_settings(write(project / "params.yaml", sections()), CohortKind.PHANTOM).changed == {}


def test_a_fine_tuned_networks_weights_file_is_told_neither_by_the_run_nor_by_its_record(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = made_up_results.params()
    backbone = params.backbone.model_copy(update={"trainable": "all", "weights": f"{HOME}/weights.h5"})
    changed = params.model_copy(update={"backbone": backbone})
    monkeypatch.setattr(made_up_results, "params", lambda: changed)
    made_up_results.write_cv(project)
    text = (project / "reports/cv/run.json").read_text("utf-8")
    assert HOME not in text
    # A record of an earlier release held the path.
    record = json.loads(text)
    record["params"]["backbone"]["weights"] = f"{HOME}/weights.h5"
    assert to_mlflow._params(record)["backbone"]["weights"] == "file"


def test_a_weights_file_counts_in_the_identity_by_its_whole_path(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is told says less than what makes the identity, which earlier results keep."""
    digests = set()
    params = made_up_results.params()
    for weights in ("a.h5", "b.h5"):
        backbone = params.backbone.model_copy(update={"trainable": "all", "weights": weights})
        changed = params.model_copy(update={"backbone": backbone})
        monkeypatch.setattr(made_up_results, "params", lambda changed=changed: changed)
        made_up_results.write_cv(project)
        digests.add(json.loads((project / "reports/cv/run.json").read_text("utf-8"))["params_sha256"])
    assert len(digests) == 2
