"""DVC's experiments as docs/experiments.md tells them: run beside the work tree, compared by a few figures, applied."""

import csv
import io
import json
import shutil
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ruamel.yaml import YAML

from datspect.importing.pseudonyms import KEY_VARIABLE
from datspect.io.records import read_json
from datspect.prediction.files import FILES

from .conftest import Graph, copied, repository, stages_run

pytestmark = pytest.mark.slow

MOST_MEASURES = 25
FILES_DROPPED = ("--drop", "^(src|data|models|reports)/")


@pytest.fixture(scope="module")
def compared(with_experiment: Graph, tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """The tiny graph with an experiment that was run in a folder of its own; a copy to change."""
    return copied(with_experiment, tmp_path_factory.mktemp("experiments") / "project")


def shown(graph: Graph, *options: str) -> list[dict[str, str]]:
    """The rows of `dvc exp show`."""
    return list(csv.DictReader(io.StringIO(graph.run("dvc", "exp", "show", "--csv", *options))))


def test_it_leaves_the_work_tree_alone_and_records_its_runs_in_the_first_database(compared: Graph) -> None:
    import mlflow

    assert compared.git("status", "--porcelain") == ""
    client = mlflow.MlflowClient(f"sqlite:///{compared.folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("datspect")
    runs = client.search_runs(
        [experiment.experiment_id], "tags.`datspect.stage` = 'cv' and params.`classifier.dropout` = '0.2'"
    )
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert parent.info.status == "FINISHED"
    assert parent.info.artifact_uri.startswith(f"file://{compared.folder}/mlruns")
    assert not list((compared.folder / ".dvc/tmp/exps").rglob("params.yaml"))


def test_the_table_has_few_columns_and_what_was_changed(compared: Graph) -> None:
    measures = read_json(compared.folder / "reports/metrics.json")
    everything, *_ = shown(compared)
    assert set(measures) <= set(everything)
    assert len(measures) <= MOST_MEASURES
    rows = shown(compared, "--only-changed", *FILES_DROPPED)
    (row,) = [row for row in rows if row["Experiment"] == "dropless"]
    assert row["classifier.dropout"] == "0.2"
    changed = set(row) & set(measures)
    assert "cv.log_loss" in changed
    assert set(row) - changed <= {
        "Experiment",
        "rev",
        "typ",
        "Created",
        "parent",
        "State",
        "Executor",
        "classifier.dropout",
    }


def test_differences_are_those_of_the_measures_and_of_the_parameter(compared: Graph) -> None:
    params = json.loads(compared.run("dvc", "params", "diff", "HEAD", "dropless", "--json"))
    (changed,) = params["params.yaml"].items()
    assert changed == ("classifier.dropout", {"old": 0.5, "new": 0.2, "diff": pytest.approx(-0.3)})
    metrics = json.loads(compared.run("dvc", "metrics", "diff", "HEAD", "dropless", "--json", "--all"))
    assert set(metrics) == {"reports/metrics.json"}
    differences = metrics["reports/metrics.json"]
    assert 0 < len(differences) <= MOST_MEASURES
    before = read_json(compared.folder / "reports/metrics.json")
    assert differences["cv.log_loss"]["old"] == before["cv.log_loss"]
    assert not [name for name in differences if "holdout" in name]


def test_the_page_of_plots_has_both_revisions_in_every_picture(compared: Graph) -> None:
    plots = json.loads(compared.run("dvc", "plots", "diff", "HEAD", "dropless", "--json", "--split"))["data"]
    drawn = {name: pictures for name, pictures in plots.items() if pictures[0]["type"] == "vega"}
    assert set(drawn) == {"loss", "accuracy", "roc", "precision-recall", "confusion"}
    for name, (picture,) in drawn.items():
        assert picture["revisions"] == ["HEAD", "dropless"], name
        assert "cohort data/phantom/cohort" in json.dumps(picture["anchor_definitions"]), name
    compared.run("dvc", "plots", "diff", "HEAD", "dropless", "-o", "page")
    assert "ROC curve out of fold" in (compared.folder / "page/index.html").read_text("utf-8")
    shutil.rmtree(compared.folder / "page")


def test_the_artifact_is_the_model_that_predicts(compared: Graph) -> None:
    pipeline = YAML(typ="safe", pure=True).load((compared.folder / "dvc.yaml").read_text("utf-8"))
    ((name, artifact),) = pipeline["artifacts"].items()
    assert artifact["type"] == "model"
    model = compared.folder / artifact["path"]
    assert {path.name for path in model.iterdir()} == set(FILES)
    compared.git("tag", "-a", "datspect@v1.0.0", "-m", "made up")
    compared.run("dvc", "artifacts", "get", ".", name, "-o", "fetched")
    for file in FILES:
        assert (compared.folder / "fetched" / file).read_bytes() == (model / file).read_bytes()
    shutil.rmtree(compared.folder / "fetched")


def test_an_applied_experiment_is_what_the_work_tree_then_holds(compared: Graph) -> None:
    of_head = read_json(compared.folder / "reports/metrics.json")
    differences = json.loads(compared.run("dvc", "metrics", "diff", "HEAD", "dropless", "--json", "--all"))
    compared.run("dvc", "exp", "apply", "dropless")
    params = YAML(typ="safe", pure=True).load((compared.folder / "params.yaml").read_text("utf-8"))
    assert params["classifier"]["dropout"] == 0.2
    applied = read_json(compared.folder / "reports/metrics.json")
    assert applied != of_head
    assert applied["cv.log_loss"] == differences["reports/metrics.json"]["cv.log_loss"]["new"]
    assert stages_run(compared.repro()) == []


@pytest.mark.long
def test_experiments_that_were_put_aside_run_in_the_background(tiny_graph: Graph, tmp_path: Path) -> None:
    graph = repository(tiny_graph, tmp_path / "project", "mlruns")
    for seed in (1, 2):
        graph.run("dvc", "exp", "run", "--queue", "-n", f"seed-{seed}", "-S", f"split.seed={seed}", "split")
    graph.run("dvc", "queue", "start", "-j", "1")
    try:
        wait_for(lambda: graph.run("dvc", "queue", "status").count("Success") == 2)
    finally:
        graph.run("dvc", "queue", "stop", "--kill")
    rows = {row["Experiment"]: row for row in shown(graph, "--only-changed")}
    assert {rows[f"seed-{seed}"]["split.seed"] for seed in (1, 2)} == {"1", "2"}
    assert graph.git("status", "--porcelain") == ""
    # In the work tree itself, its files become those of the experiment.
    before = (graph.folder / "data/splits.csv").read_bytes()
    assert stages_run(graph.run("dvc", "exp", "run", "-n", "here", "-S", "split.seed=3", "split")) == ["split"]
    assert (graph.folder / "data/splits.csv").read_bytes() != before
    assert "params.yaml" in graph.git("status", "--porcelain")


def wait_for(condition: Any, seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(1)


@pytest.fixture
def imported(tiny_graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Graph:
    """A cohort that was imported into the repository and made into images."""
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path / "key" / "pseudonym.key"))
    graph = repository(tiny_graph, tmp_path / "project", "mlruns")
    scans = pd.read_csv(graph.folder / "data/phantom/cohort/participants.tsv", sep="\t")
    download = tmp_path / "download"
    download.mkdir()
    for _, scan in scans.iterrows():
        shutil.copy(graph.folder / "data/phantom/cohort" / scan["path"], download / f"{scan['subject_id']}.nii")
    table = scans[["subject_id", "label", "sex", "age"]].rename(columns={"subject_id": "participant_id"})
    table.to_csv(tmp_path / "participants.tsv", sep="\t", index=False)
    arguments = ("--participants", str(tmp_path / "participants.tsv"), "--to", "data/mine")
    said = graph.run("datspect", "import", "nifti", str(download), *arguments)
    assert "dvc exp run --temp --copy-paths data/mine" in said
    graph.set_params(cohort={"path": "data/mine"})
    graph.run("dvc", "repro", "preprocess")
    graph.commit("images of the imported cohort")
    return graph


@pytest.mark.long
def test_an_imported_cohort_goes_with_an_experiment_and_into_a_worktree(imported: Graph, tmp_path: Path) -> None:
    experiment = ("dvc", "exp", "run", "--temp", "-S", "preprocess.intensity=nonspecific_ratio")
    alone = imported.start(*experiment, "preprocess")
    said, _ = alone.communicate(timeout=120)
    assert alone.returncode != 0
    assert "No such file or directory" in said  # DVC's own words, as docs/experiments.md quotes them
    assert "data/mine" in said
    imported.run(*experiment, "-n", "ratio", "--copy-paths", "data/mine", "preprocess")
    assert not list((imported.folder / ".dvc/tmp/exps").rglob("*.nii"))
    (row,) = [row for row in shown(imported, "--only-changed") if row["Experiment"] == "ratio"]
    assert row["preprocess.intensity"] == "nonspecific_ratio"
    assert imported.git("show", f"{row['rev']}:dvc.lock") != imported.git("show", "HEAD:dvc.lock")
    assert "mine" not in imported.git("ls-tree", "-r", "--name-only", row["rev"])

    other = Graph(tmp_path / "worktree")
    imported.git("worktree", "add", str(other.folder))
    other.run("dvc", "cache", "dir", "--local", str(imported.folder / ".dvc/cache"))
    other.run("dvc", "checkout")
    (other.folder / "data").mkdir(exist_ok=True)
    (other.folder / "data/mine").symlink_to(imported.folder / "data/mine")
    exclude = Path(other.git("rev-parse", "--git-path", "info/exclude"))
    with exclude.open("a", encoding="utf-8") as file:
        file.write("/data/mine\n")
    assert stages_run(other.run("dvc", "repro", "preprocess")) == []
    other.set_params(preprocess={"intensity": "nonspecific_ratio"})
    other.run("dvc", "repro", "preprocess")
    assert "data/mine" not in other.git("status", "--porcelain", "--untracked-files=all")
