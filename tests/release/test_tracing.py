"""The way back from a version: what its tags say, and what this machine says to that."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.release.made_up_cache import cached, damage, keep
from tests.release.made_up_graph import add_run, write_graph_results
from tests.release.repositories import run as run_in

from datspect.cohort.kind import CohortKind
from datspect.release.dvc_lock import content_md5
from datspect.release.registering import OUTPUTS, read_registrable, register
from datspect.release.registry import Registry, Version
from datspect.release.tracing import Link, links, traced


@pytest.fixture
def run(project: Path) -> dict[str, Any]:
    return write_graph_results(project)


@pytest.fixture
def version(registry: Registry, project: Path, run: dict[str, Any]) -> Version:
    add_run(registry, project)
    version, _ = register(registry, read_registrable(project))
    return version


def checks(registry: Registry, version: Version, root: Path) -> dict[str, Link]:
    return {check.name: check for check in links(registry, traced(version, root), root)}


def test_the_trace_has_the_facts_the_outputs_and_the_commit_to_check_out(
    version: Version, project: Path, run: dict[str, Any]
) -> None:
    head = run_in(project, "git", "rev-parse", "HEAD")
    trace = traced(version, project)
    assert (trace.number, trace.scope.kind, trace.lock_commit) == ("1", CohortKind.PHANTOM, head)
    assert trace.facts["commit of dvc.lock"] == head
    assert trace.facts["commit at training"] == "c" * 40
    assert trace.facts["files changed then"] == "none"
    assert trace.facts["result"] == run["result_id"]
    assert trace.facts["MLflow run"] == version.run_id
    assert "promoted" not in trace.facts
    assert sorted(trace.outputs) == sorted(OUTPUTS)
    assert trace.commands[0].startswith(f"git worktree add ../datspect-version {head}")


def test_without_a_commit_of_the_lock_there_is_nothing_to_check_out(version: Version, project: Path) -> None:
    shutil.rmtree(project / ".git")
    trace = traced(version, project)
    assert trace.facts["commit of dvc.lock"] == "not found"
    assert trace.commands == ("its dvc.lock was not found in git: nothing to check out",)


def test_a_version_that_somebody_else_made_has_no_facts_but_is_traced(registry: Registry, project: Path) -> None:
    registry.connection.client.create_model_version("datspect", source="/nowhere")
    trace = traced(registry.named("1"), project)
    assert trace.facts == {"MLflow run": "none", "commit of dvc.lock": "not found"}
    assert trace.outputs == {}


def test_a_whole_version_is_borne_out_link_by_link(
    registry: Registry, version: Version, project: Path, run: dict[str, Any]
) -> None:
    found = checks(registry, version, project)
    assert found.pop("commit at training") == Link("commit at training", None, f"{'c' * 40} is not in this repository")
    assert {check.holds for check in found.values()} == {True}
    assert found["run in MLflow"].finding == f"result {run['result_id']}"
    assert {found[path].finding for path in OUTPUTS} == {"on disk"}
    head = run_in(project, "git", "rev-parse", "HEAD")
    known = Version("1", {**version.tags, "datspect.git_commit": head}, version.run_id, version.source)
    assert checks(registry, known, project)["commit at training"].holds


def test_changed_files_of_a_version_fail(registry: Registry, version: Version, project: Path) -> None:
    (registry.artifact(version, "predictor") / "model.keras").write_text("other weights")
    check = checks(registry, version, project)["model in the registry"]
    assert check.holds is False
    assert "its files have the digest" in check.finding
    files = checks(registry, version, project)["every file of it"]
    assert files.holds is False
    assert files.finding.endswith("predictor/model.keras was changed")


@pytest.mark.parametrize(
    ("gone", "finding"),
    [("model.keras", "model.keras missing"), (".", "predictor is gone"), ("../..", "predictor is gone")],
)
def test_a_version_whose_files_are_gone_fails_and_the_other_links_are_still_checked(
    registry: Registry, version: Version, project: Path, gone: str, finding: str
) -> None:
    path = (registry.artifact(version, "predictor") / gone).resolve()
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    found = checks(registry, version, project)
    assert found["every file of it"].holds is False
    assert found["model in the registry"].holds is False
    assert finding in found["model in the registry"].finding
    assert found["run in MLflow"].holds
    assert found["models/predictor"].holds


def test_a_run_of_another_result_fails_and_a_missing_run_is_not_known(
    registry: Registry, version: Version, project: Path
) -> None:
    client = registry.connection.client
    client.set_tag(version.run_id, "datspect.result_id", "another")
    assert checks(registry, version, project)["run in MLflow"] == Link("run in MLflow", False, "result another")
    elsewhere = Version("1", version.tags, "0" * 32, version.source)
    assert checks(registry, elsewhere, project)["run in MLflow"].holds is None


def test_outputs_that_left_this_machine_are_not_known_and_the_cache_counts(
    registry: Registry, version: Version, project: Path
) -> None:
    splits, metrics = "data/splits.csv", "reports/predictor/metrics.json"
    keep(project, splits)
    (project / splits).unlink()
    (project / metrics).unlink()
    found = checks(registry, version, project)
    assert found[splits] == Link(splits, True, "in DVC's cache")
    assert found[metrics] == Link(metrics, None, "neither in the cache nor on disk")


@pytest.mark.parametrize("place", ["cache", "workspace"])
def test_what_is_called_held_is_hashed(registry: Registry, version: Version, project: Path, place: str) -> None:
    said = {"cache": "damaged in the cache", "workspace": "changed in the workspace"}[place]
    for output in OUTPUTS:
        keep(project, output)
    whole = checks(registry, version, project)
    for output in OUTPUTS:
        assert whole[output] == Link(output, True, "in DVC's cache")
        file = f"{output}/model.keras" if "models" in output else output
        harmed = cached(project, content_md5(project / file)) if place == "cache" else project / file
        damage(harmed)
        found = checks(registry, version, project)
        damage(harmed)  # which takes it back
        assert found[output].holds is False
        assert found[output].finding.startswith(f"{said}: {file}, expected ")
        assert found[output].finding.endswith("; see make verify")
        assert all(check.holds is not False for name, check in found.items() if name != output)
    assert checks(registry, version, project) == whole


def test_files_that_the_run_has_lost_fail(registry: Registry, version: Version, project: Path) -> None:
    shutil.rmtree(project / "mlruns" / str(version.run_id))
    found = checks(registry, version, project)["run in MLflow"]
    assert found.holds is False
    assert "but MLflow has lost of its files: reports/run.json" in found.finding


def test_results_in_no_commit_fail(registry: Registry, version: Version, project: Path) -> None:
    shutil.rmtree(project / ".git")
    found = checks(registry, version, project)
    assert found["outputs in git"] == Link("outputs in git", False, "in no commit's dvc.lock")
