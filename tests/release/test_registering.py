"""From made-up results of the graph to a version: once for the same files, with its origin and without a name."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.release.made_up_graph import add_run, write_graph_results
from tests.release.repositories import commit_lock
from tests.tracking.made_up_results import training_data

from datspect.errors import PromotionError
from datspect.io.records import read_json, write_json
from datspect.io.tables import read_table
from datspect.release.dvc_lock import content_md5
from datspect.release.looks import LOOKS_TAG, SALT_TAG
from datspect.release.membership import subject_digest
from datspect.release.registering import OUTPUTS, read_registrable, register, version_tags
from datspect.release.registry import CHALLENGER, DIGEST_TAG, Registry
from datspect.tracking import mark_superseded


@pytest.fixture
def run(project: Path) -> dict[str, Any]:
    return write_graph_results(project)


def test_a_version_says_where_it_comes_from(registry: Registry, project: Path, run: dict[str, Any]) -> None:
    run_id = add_run(registry, project)
    results = read_registrable(project)
    version, is_new = register(registry, results)
    assert is_new
    assert registry.version(CHALLENGER) == version == registry.with_digest(results.digest)
    assert version.run_id == run_id
    assert set(version.outputs) == set(OUTPUTS)
    said = {name: version.tags[f"datspect.{name}"] for name in ("git_commit", "git_changed", "result_id")}
    assert said == {"git_commit": "c" * 40, "git_changed": "", "result_id": run["result_id"]}
    assert version.tags["datspect.cohort_kind"] == "phantom"
    development = read_json(project / "reports/final/metrics.json")["dev_out_of_fold"]
    low, high = development["accuracy_low"], development["accuracy_high"]
    assert version.tags["dev.accuracy"] == f"{development['accuracy']:.4f} ({low:.4f} to {high:.4f})"
    description = registry.connection.client.get_model_version("datspect", "1").description
    assert description.startswith("**PHANTOM cohort: simulated scans, not patients.**")
    assert version.tags["dev.accuracy"] in description
    assert read_json(registry.artifact(version, "metrics")) == results.metrics


def test_who_was_in_training_and_test_is_told_by_digests_alone(
    registry: Registry, project: Path, run: dict[str, Any]
) -> None:
    add_run(registry, project)
    version, _ = register(registry, read_registrable(project))
    path = registry.artifact(version, "lineage")
    salt, people = registry.model_tags()[SALT_TAG], training_data("phantom", np.random.default_rng()).splits
    for role, digests in read_json(path).items():
        wanted = people.loc[people["role"] == role, "subject_id"]
        assert digests == sorted(subject_digest(subject, salt) for subject in wanted)
    card = registry.artifact(version, "card").read_text("utf-8")
    for text in (json.dumps(dict(version.tags)), path.read_text("utf-8"), card):
        assert "SOMEBODY" not in text


def test_a_version_carries_its_answers_to_altered_scans_by_digests_alone(
    registry: Registry, project: Path, run: dict[str, Any]
) -> None:
    add_run(registry, project)
    results = read_registrable(project)
    version, _ = register(registry, results)
    assert version.tags["datspect.panel"] == results.robustness["panel"]
    assert read_json(registry.artifact(version, "robustness"))["rows"] == results.robustness["rows"]
    carried = read_table(registry.artifact(version, "panel"), ("scan", "target", "unaltered", "blur_8"))
    told = read_table(project / "reports/robustness/predictions.csv", ("row", "scan_id", "label", "probability"))
    digests = told["scan_id"].map(lambda scan: subject_digest(scan, registry.model_tags()[SALT_TAG]))
    for row in ("unaltered", "blur_8"):
        probability = dict(zip(digests[told["row"] == row], told["probability"][told["row"] == row], strict=True))
        assert carried[row].tolist() == [probability[scan] for scan in carried["scan"]]
    assert carried["scan"].is_monotonic_increasing  # their order says nothing of the scans'


@pytest.mark.parametrize(
    ("kind", "share", "carried"), [("real", False, False), ("real", True, True), ("phantom", False, True)]
)
def test_answers_to_single_real_scans_go_to_another_machine_only_if_they_are_to_be_shared(
    registry: Registry, project: Path, monkeypatch: pytest.MonkeyPatch, kind: str, share: bool, carried: bool
) -> None:
    write_graph_results(project, kind)
    add_run(registry, project)
    monkeypatch.setattr("datspect.release.registry.beyond_this_machine", lambda uri: True)
    version, _ = register(registry, read_registrable(project), share_subject_level=share)
    assert ("datspect.panel" in version.tags) is carried
    if not carried:
        with pytest.raises(PromotionError, match="has no panel"):
            registry.artifact(version, "panel")


def test_the_same_files_are_registered_once_and_only_named_again(
    registry: Registry, project: Path, run: dict[str, Any]
) -> None:
    add_run(registry, project)
    first, _ = register(registry, read_registrable(project))
    salt = registry.model_tags()[SALT_TAG]
    assert register(registry, read_registrable(project)) == (first, False)
    write_graph_results(project, weights="other weights")
    second, is_new = register(registry, read_registrable(project))
    assert (second.number, is_new) == ("2", True)
    assert registry.version(CHALLENGER) == second
    assert second.tags["datspect.test_set"] == first.tags["datspect.test_set"]  # under one salt
    assert registry.model_tags()[SALT_TAG] == salt
    write_graph_results(project)  # as `dvc checkout` of the first one's commit would leave it
    assert register(registry, read_registrable(project)) == (first, False)
    assert registry.version(CHALLENGER) == first
    assert registry.version("3") is None


def test_an_experiments_model_that_is_trained_again_from_a_commit_is_a_version_that_can_be_promoted(
    registry: Registry, project: Path, run: dict[str, Any]
) -> None:
    changed = run | {"git": {"commit": "e" * 40, "dirty": True, "changed": ["params.yaml"]}}
    trained_with(project, changed)
    add_run(registry, project)
    of_experiment, _ = register(registry, read_registrable(project))
    assert of_experiment.tags["datspect.git_changed"] == "params.yaml"
    assert register(registry, read_registrable(project)) == (of_experiment, False)
    trained_with(project, run)
    add_run(registry, project)
    committed, is_new = register(registry, read_registrable(project))
    assert (is_new, committed.number) == (True, "2")
    assert (committed.tags["datspect.git_commit"], committed.tags["datspect.git_changed"]) == ("c" * 40, "")
    assert committed.tags[DIGEST_TAG] == of_experiment.tags[DIGEST_TAG]
    assert register(registry, read_registrable(project)) == (committed, False)
    trained_with(project, changed)  # as `dvc exp apply` once more leaves it
    assert register(registry, read_registrable(project)) == (committed, False)
    assert registry.version(CHALLENGER) == committed


def trained_with(project: Path, run: dict[str, Any]) -> None:
    """Lock this record as that of stage `final`."""
    write_json(project / "reports/final/run.json", run)
    commit_lock(project, {path: content_md5(project / path) for path in OUTPUTS})


def test_what_lists_of_versions_show_tells_nothing_of_the_test_set(
    registry: Registry, project: Path, run: dict[str, Any]
) -> None:
    add_run(registry, project)
    version, _ = register(registry, read_registrable(project))
    description = registry.connection.client.get_model_version("datspect", "1").description
    shown = " ".join([description, *version.tags.values()])
    for record in (read_json(project / "reports" / stage / "metrics.json") for stage in ("final", "predictor")):
        values = [value for name in record if name.startswith("holdout") for value in record[name].values()]
        assert not [value for value in values if 0 < value < 1 and f"{value:.4f}" in shown]


def test_looks_at_the_test_set_are_on_the_card(registry: Registry, project: Path, run: dict[str, Any]) -> None:
    add_run(registry, project)
    first, _ = register(registry, read_registrable(project))
    registry.set_model_tag(f"{LOOKS_TAG}{first.tags['datspect.test_set']}", "7")
    write_graph_results(project, weights="other weights")
    second, _ = register(registry, read_registrable(project))
    for version, times in ((first, "1 time "), (second, "8 times ")):  # each card shows it
        assert f"looked at {times}" in registry.artifact(version, "card").read_text("utf-8")
    register(registry, read_registrable(project))
    assert registry.model_tags()[f"{LOOKS_TAG}{first.tags['datspect.test_set']}"] == "8"


@pytest.mark.parametrize("status", [None, "FAILED"])
def test_without_a_complete_run_nothing_is_registered(
    registry: Registry, project: Path, run: dict[str, Any], status: str | None
) -> None:
    if status:
        add_run(registry, project, status)
    with pytest.raises(PromotionError, match="run datspect relog, then register"):
        register(registry, read_registrable(project))
    assert registry.version("1") is None
    assert registry.version(CHALLENGER) is None


@pytest.mark.parametrize(
    ("gone", "named"),
    [
        ("reports/predictions.csv", "reports/predictions.csv"),
        ("reports/run.json", "reports/run.json"),
        ("reports", "reports/run.json, reports/"),
        (".", "reports/run.json, reports/"),
    ],
)
def test_a_run_whose_files_were_lost_is_not_registered_until_they_are_sent_again(
    registry: Registry, project: Path, run: dict[str, Any], gone: str, named: str
) -> None:
    run_id = add_run(registry, project)
    lose(project / "mlruns" / run_id / "artifacts" / gone)
    with pytest.raises(PromotionError, match=f"MLflow has lost files of run {run_id} of stage final: {named}"):
        register(registry, read_registrable(project))
    assert registry.version("1") is None
    second = add_run(registry, project)
    mark_superseded(registry.connection, [run_id], second)
    version, is_new = register(registry, read_registrable(project))
    assert (is_new, version.run_id) == (True, second)
    lose(project / "mlruns" / second / "artifacts" / gone)  # of a version that there is already
    with pytest.raises(PromotionError, match=f"MLflow has lost files of run {second}"):
        register(registry, read_registrable(project))
    third = add_run(registry, project)
    mark_superseded(registry.connection, [run_id, second], third)
    assert register(registry, read_registrable(project)) == (version, False)


def lose(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_rows_that_were_withheld_are_not_lost(
    registry: Registry, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datspect.tracking.run.beyond_this_machine", lambda uri: True)
    write_graph_results(project, "real")
    run_id = add_run(registry, project)
    assert not (project / "mlruns" / run_id / "artifacts/reports/predictions.csv").exists()
    assert register(registry, read_registrable(project))[1]
    (project / "mlruns" / run_id / "artifacts/reports/roc.csv").unlink()
    with pytest.raises(PromotionError, match=r"stage final: reports/roc\.csv; bring them back"):
        register(registry, read_registrable(project))


def test_files_that_are_not_what_the_lock_says_are_named(project: Path, run: dict[str, Any]) -> None:
    (project / "models/predictor/model.keras").write_text("changed")
    write_json(project / "reports/predictor/metrics.json", {})
    with pytest.raises(
        PromotionError, match=r"dvc\.lock says: models/predictor, reports/predictor/metrics\.json; run dvc repro"
    ):
        read_registrable(project)


def test_real_scans_are_not_called_a_phantom(registry: Registry, project: Path) -> None:
    write_graph_results(project, "real")
    add_run(registry, project)
    version, _ = register(registry, read_registrable(project))
    assert version.tags["datspect.cohort_kind"] == "real"
    description = registry.connection.client.get_model_version("datspect", version.number).description
    assert description.startswith("Parkinson's disease against control")


def test_changed_files_become_a_tag_that_mlflow_takes(project: Path, run: dict[str, Any]) -> None:
    results = read_registrable(project)

    def changed(**git: Any) -> str:
        return version_tags(replace(results, run=run | {"git": git}))["datspect.git_changed"]

    assert changed(commit=None, dirty=True) == "unknown"  # as earlier releases wrote it
    assert changed(commit="c", dirty=True, changed=["a.py", "b.py"]) == "a.py\nb.py"
    assert len(changed(commit="c", dirty=True, changed=["a" * 3000, "b" * 3000])) < 5000
