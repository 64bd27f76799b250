"""Every way to name an experiment leads to its results and the parameters that they were made with."""

import json
import sys
from pathlib import Path

import pytest
from tests.release.made_up_commits import commit_results, forget, new_repository, turn_answers, write_results
from tests.release.repositories import commit, run
from tests.tracking.made_up_results import N, params
from tests.tracking.projects import Recorded

from datspect.errors import DatspectError
from datspect.io.records import read_json
from datspect.io.tables import read_table
from datspect.release.comparing import Contender, compare
from datspect.release.contenders import Named, read_contender
from datspect.release.dvc_cache import cache_folder
from datspect.release.registry import NAME, Registry
from datspect.release.stage_results import DEVELOPMENT, HOLDOUT, OUT_OF_FOLD, ComparisonError
from datspect.training import to_mlflow


def found(name: str, root: Path) -> Contender:
    return read_contender(Named.parse(name), root)


def send(root: Path, stage: str) -> str:
    """Log a result as its stage does; the run's id."""
    with to_mlflow.open_stage_run(read_json(root / "reports" / stage / "run.json")) as sent:
        to_mlflow.LOGGERS[stage](sent, root / "reports" / stage, root / "models" / stage, share_subject_level=False)
    return str(sent.run_id)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("workspace", "workspace", "workspace"),
        ("0123456789abcdef" * 2, "run", "0123456789abcdef" * 2),
        ("3", "version", "3"),
        ("champion", "version", "champion"),
        ("datspect@candidate", "version", "candidate"),
        ("version:candidate", "version", "candidate"),
        ("rev:champion", "rev", "champion"),
        ("run:abc", "run", "abc"),
        ("0123456789abcdef01234567890123456789abcd", "rev", "0123456789abcdef01234567890123456789abcd"),
        ("main~2", "rev", "main~2"),
        ("feature/x", "rev", "feature/x"),
        ("HEAD:", "rev", "HEAD:"),
    ],
)
def test_the_form_of_a_name_says_what_it_is(text: str, kind: str, value: str) -> None:
    assert Named.parse(text) == Named(kind, value, text)  # type: ignore[arg-type]


def test_the_workspace_is_what_lies_on_disk(project: Path) -> None:
    write_results(project, "cv")
    one = found("workspace", project)
    assert set(one.judged) == {OUT_OF_FOLD}
    assert one.absent == {"final": "reports/final/run.json is not on disk; run dvc repro, or dvc checkout"}
    judged = one.judged[OUT_OF_FOLD]
    assert judged.table is not None
    assert len(judged.table) == N
    assert judged.measures["accuracy"] == read_json(project / "reports/cv/metrics.json")["out_of_fold"]["accuracy"]
    assert one.params["training.epochs"] == str(params().training.epochs)
    assert judged.n_train == N * 3 / 4


def test_a_table_of_another_execution_is_not_taken(project: Path) -> None:
    write_results(project, "cv", "final")
    path = project / "reports/cv/predictions.csv"
    path.write_text(path.read_text("utf-8").replace("pd", "control"), encoding="utf-8")
    one = found("workspace", project)
    assert "predictions.csv is not the file that was written with run.json of stage cv" in one.absent["cv"]
    assert set(one.judged) == {DEVELOPMENT, HOLDOUT}
    (project / "reports/final/run.json").write_text("{}", encoding="utf-8")
    with pytest.raises(
        ComparisonError, match=r"workspace .*: none of its results can be read\n.*\n.*an earlier release's"
    ):
        found("workspace", project)


def test_a_run_gives_what_its_stage_judged_and_the_parameters_that_it_logged(project: Path) -> None:
    write_results(project, "cv", "final")
    cv, final = (found(send(project, stage), project) for stage in ("cv", "final"))
    assert (set(cv.judged), set(final.judged)) == ({OUT_OF_FOLD}, {DEVELOPMENT, HOLDOUT})
    assert cv.params["classifier.dropout"] == str(params().classifier.dropout)
    for judged_set, judged in (cv.judged | final.judged).items():
        assert judged.table is not None
        on_disk = read_table(project / "reports" / judged_set.stage / judged_set.file)
        assert judged.table.equals(on_disk[list(judged.table)])
    comparison, pairs = compare(cv, found("workspace", project), holdout=False)
    assert pairs[OUT_OF_FOLD].notes == ("A and B say exactly the same of every subject.",)
    assert comparison.differing == {}


def test_runs_that_hold_no_result_are_refused_by_what_they_are(project: Path, recorded: Recorded) -> None:
    write_results(project, "cv")
    run_id = send(project, "cv")
    child = recorded.children(run_id)[0].info.run_id
    with pytest.raises(ComparisonError, match=f"run {child} is one part of run {run_id}; compare that one"):
        found(child, project)
    other = recorded.client.create_run("1", tags={"datspect.stage": "tune"}).info.run_id
    with pytest.raises(ComparisonError, match=r"is of stage tune; only runs of cv and final can be compared"):
        found(other, project)
    with pytest.raises(ComparisonError, match=r"this MLflow has no run 0{32}; check MLFLOW_TRACKING_URI"):
        found("0" * 32, project)


def test_a_run_whose_rows_stayed_elsewhere_has_its_recorded_measures(project: Path) -> None:
    write_results(project, "cv")
    run_id = send(project, "cv")
    next((project / "mlruns").rglob("predictions.csv")).unlink()
    judged = found(run_id, project).judged[OUT_OF_FOLD]
    assert judged.table is None
    assert f"run {run_id} has no predictions.csv in MLflow" in judged.missing
    assert "tracking.share_subject_level" in judged.missing
    expected = read_json(project / "reports/cv/metrics.json")["out_of_fold"]
    assert judged.measures == pytest.approx(expected)


def test_a_version_is_the_run_that_it_comes_from(project: Path, registry: Registry) -> None:
    write_results(project, "final")
    run_id = send(project, "final")
    tags = {"datspect.test_set": "the test set"}
    registry.connection.client.create_model_version(NAME, source=project.as_uri(), run_id=run_id, tags=tags)
    for name in ("1", "version:1"):
        one = found(name, project)
        assert (set(one.judged), one.test_set) == ({DEVELOPMENT, HOLDOUT}, "the test set")
        assert one.title == f"version 1 of datspect, run {run_id}"
    with pytest.raises(ComparisonError, match=r"datspect has no version champion; .* or write rev:champion"):
        found("champion", project)
    registry.connection.client.create_model_version(NAME, source=project.as_uri())
    with pytest.raises(ComparisonError, match="version 2 has no run in this MLflow; run datspect relog"):
        found("2", project)


def test_a_commit_gives_the_results_that_its_lock_names(project: Path) -> None:
    new_repository(project)
    write_results(project, "cv", "final")
    first = commit_results(project, "cv", "final")
    write_results(project, "cv", worse=True)
    commit_results(project, "cv", "final")
    run(project, "git", "tag", "worse")
    for name in (first, f"rev:{first[:8]}", "main~1", "rev:worse~1"):
        one = found(name, project)
        assert set(one.judged) == {OUT_OF_FOLD, DEVELOPMENT, HOLDOUT}
        assert one.title.endswith(f", commit {first[:9]}")
    comparison, _ = compare(found("main~1", project), found("worse", project), holdout=False)
    differences = comparison.sets[0].differences
    assert differences is not None
    assert differences["accuracy_difference"] != 0
    assert comparison.sets[1].differences is not None
    assert comparison.sets[1].differences["accuracy_difference"] == 0


def test_parameters_of_a_commit_are_those_that_its_results_were_made_with(project: Path) -> None:
    new_repository(project)
    write_results(project, "cv")
    commit_results(project, "cv", made_with={"training": {"epochs": 60}, "augment.draws": 16})
    one = found("main", project)
    assert one.params["training.epochs"] == "60"
    assert one.remarks == (
        "main: params.yaml was changed after its results were made; shown is what they were made with "
        "(training.epochs).",
    )


def test_what_is_not_in_the_cache_is_named_with_what_to_do(project: Path) -> None:
    new_repository(project)
    write_results(project, "cv", "final")
    commit_name = commit_results(project, "cv", "final")
    for name in ("run.json", "predictions.csv"):
        forget(project, commit_name, f"reports/cv/{name}")
    one = found("main", project)
    assert set(one.judged) == {DEVELOPMENT, HOLDOUT}
    assert one.absent["cv"] == (
        f"not in DVC's cache: reports/cv/run.json reports/cv/predictions.csv. Check commit {commit_name[:9]} out, and "
        "dvc fetch them from a DVC remote (an experiment: dvc exp pull) or make them again with dvc repro"
    )
    forget(project, commit_name, "reports/final/run.json")
    with pytest.raises(ComparisonError, match=r"main \(revision main, commit \w{9}\): none of its results can be read"):
        found("main", project)


def test_stages_made_with_different_values_are_said(project: Path) -> None:
    write_results(project, "cv", "final")
    stages = {stage: {"params": {"params.yaml": {"training.epochs": n}}} for stage, n in (("cv", 500), ("final", 60))}
    (project / "dvc.lock").write_text(json.dumps({"stages": stages}), encoding="utf-8")
    one = found("workspace", project)
    assert one.params["training.epochs"] == "500"
    assert one.remarks == (
        "workspace: stages cv and final were made with different values; shown are those of cv (training.epochs).",
    )
    for text, problem in (("[", "not valid YAML"), ("- a", "no keys in it, but list")):
        (project / "dvc.lock").write_text(text, encoding="utf-8")
        with pytest.raises(ComparisonError, match=f"dvc.lock of workspace: {problem}"):
            found("workspace", project)


def test_names_and_commits_without_results_are_refused(project: Path) -> None:
    new_repository(project)
    commit(project, "no results yet")
    with pytest.raises(ComparisonError, match=r"main: its commit \w{9} has no dvc.lock, so it names no results"):
        found("main", project)
    with pytest.raises(ComparisonError, match=r"elsewhere: no DVC experiment, branch, tag or commit .* or workspace"):
        found("elsewhere", project)
    with pytest.raises(ComparisonError, match="--output: no DVC experiment"):
        found("--output", project)
    (project / "dvc.lock").write_text("- no lock", encoding="utf-8")
    commit(project, "a broken lock")
    with pytest.raises(ComparisonError, match=r"dvc.lock of main: not a lock file of DVC"):
        found("main", project)


def test_of_experiments_of_one_name_that_of_this_commit_is_taken(project: Path) -> None:
    new_repository(project)
    write_results(project, "cv")
    here = commit_results(project, "cv")
    first, second = f"refs/exps/{'a' * 2}/{'a' * 38}/try", f"refs/exps/{'b' * 2}/{'b' * 38}/try"
    run(project, "git", "update-ref", first, here)
    assert found("try", project).title == f"DVC experiment try, commit {here[:9]}"
    run(project, "git", "update-ref", second, here)
    with pytest.raises(ComparisonError, match=f"try: 2 DVC experiments have this name; write one of rev:{here[:9]}"):
        found("try", project)
    run(project, "git", "update-ref", f"refs/exps/{here[:2]}/{here[2:]}/try", here)
    assert found("try", project).title == f"DVC experiment try, commit {here[:9]}"


DVC_STAGES = """
stages:
  cv:
    cmd: python make.py
    deps: [make.py, made]
    params: [training.epochs]
    outs: [reports/cv/run.json, reports/cv/predictions.csv]
"""
MAKE = """
import pathlib, re, shutil
epochs = re.search(r"epochs: (\\d+)", pathlib.Path("params.yaml").read_text())[1]
for name in ("run.json", "predictions.csv"):
    shutil.copy(f"made/{epochs}/{name}", f"reports/cv/{name}")
"""


@pytest.mark.slow
def test_real_experiments_of_dvc_are_found_by_their_name(project: Path) -> None:
    """A stage that gives another prepared result for each number of epochs."""
    write_results(project, "cv")
    reports = project / "reports/cv"
    n_epochs = params().training.epochs
    (project / "made").mkdir()
    reports.rename(project / "made" / str(n_epochs))
    write_results(project, "cv")
    turn_answers(reports)
    reports.rename(project / "made/60")
    reports.mkdir()
    (reports / ".gitignore").write_text("*.json\n*.csv\n", encoding="utf-8")
    (project / "dvc.yaml").write_text(DVC_STAGES, encoding="utf-8")
    (project / "make.py").write_text(MAKE, encoding="utf-8")
    (project / ".gitignore").write_text("/mlflow.db*\n/models\n/splits.csv\n", encoding="utf-8")
    run(project, "git", "init", "--quiet", "--initial-branch", "main")
    run(project, "git", "config", "user.name", "x")
    run(project, "git", "config", "user.email", "x@example.org")
    dvc = (sys.executable, "-m", "dvc")
    run(project, *dvc, "init", "-q")
    run(project, *dvc, "repro", "-q")
    commit(project, "results")
    run(project, *dvc, "exp", "run", "-q", "-n", "short", "-S", "training.epochs=60")
    comparison, pairs = compare(found("short", project), found("HEAD", project), holdout=False)
    assert comparison.differing == {"training.epochs": ("60", str(n_epochs))}
    assert comparison.titles[0].startswith("DVC experiment short, commit ")
    assert OUT_OF_FOLD in pairs
    assert comparison.sets[0].differences is not None
    assert comparison.sets[0].differences["loss_difference"] != 0
    # What the experiment left in the workspace is the experiment.
    assert compare(found("short", project), found("workspace", project), holdout=False)[0].differing == {}
    elsewhere = project.parent / "a cache"
    (project / ".dvc/cache").rename(elsewhere)
    with pytest.raises(DatspectError, match=r"not in DVC's cache: reports/cv/run.json reports/cv/predictions.csv"):
        found("short", project)
    run(project, *dvc, "cache", "dir", "--local", str(elsewhere))
    cache_folder.cache_clear()  # DVC is asked once per process
    assert found("short", project).judged[OUT_OF_FOLD].table is not None
