"""The graph with the striatum's recipe, as an experiment, by MLflow, through a kill -9, and on to its model's users."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest

from datspect.io.records import read_json
from datspect.training.bank import read_bank

from .conftest import MEASURED, STAGES, Graph, repository, stages_run

pytestmark = pytest.mark.slow

SMALL_RECIPE = """\
model: striatum
classifier: {width: 4, dropout: 0.0}
training:
  epochs: 8
  batch_size: 8
  learning_rate: {initial: 1.0e-2, final: 1.0e-4, schedule: one_cycle, drops: 1}
striatum:
  maps: 3
  members: 2
  alter: {draws: 2}
"""
AHEAD = ("phantom", "preprocess", "split", "cameras")
"""Stages that do not know which model comes after them."""


@pytest.fixture(scope="module")
def striatal(tiny_graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """The tiny graph with a small recipe of the striatum in force, run by MLflow after an experiment, and committed."""
    graph = repository(tiny_graph, tmp_path_factory.mktemp("striatal") / "project")
    (graph.folder / "recipes" / "striatum.yaml").write_text(SMALL_RECIPE, "utf-8")
    graph.commit("a small recipe")
    code, overrides = graph.command("recipe", "striatum", "--as-overrides")
    assert code == 0, overrides
    output = graph.run("dvc", "exp", "run", "--temp", "-n", "slabs", *overrides.split(), "features")
    assert stages_run(output) == ["backbone", "features"]
    code, said = graph.command("recipe", "striatum")
    assert code == 0, said
    graph.commit("the small recipe is in force")
    ran = stages_run(graph.run("mlflow", "run", ".", "-e", "repro", "--env-manager", "local"))
    assert ran == [
        stage for stage in STAGES if stage not in (*AHEAD, "backbone", "features")
    ]  # the experiment made two
    graph.commit("its results")
    return graph


def metrics(graph: Graph, stage: str) -> dict[str, Any]:
    return dict(read_json(graph.folder / "reports" / stage / "metrics.json"))


def test_no_imagenet_network_is_made_and_the_bank_holds_slabs(striatal: Graph) -> None:
    assert [path.name for path in (striatal.folder / "models/backbone").iterdir()] == ["backbone.json"]
    bank = read_bank(striatal.folder / "data/features/bank.npy")
    assert bank.shape == (3, 24, 28 * 24 * 4)
    assert np.isfinite(bank.astype(np.float32)).all()
    finding = metrics(striatal, "checks")["checks"]["feature_overlap"]["finding"]
    assert finding == "the slabs of 24 unaltered scans differ from subject to subject"


def test_every_file_of_figures_names_recipe_and_cohort(striatal: Graph) -> None:
    assert striatal.command("recipe")[1].startswith("in force: striatum\n")
    for stage in (*MEASURED, "other_groups"):
        found = metrics(striatal, stage)
        assert (found["cohort_kind"], found["recipe"]) == ("phantom", "striatum"), stage
    headline = read_json(striatal.folder / "reports/metrics.json")
    assert (headline["cohort"], headline["recipe"]) == ("phantom", "striatum")
    assert read_json(striatal.folder / "models/predictor/predictor.json")["recipe"] == "striatum"
    title = striatal.command("tables")[1].splitlines()[0]
    assert "PHANTOM" in title
    assert "recipe striatum" in title


def test_the_papers_graph_names_no_recipe(tiny_graph: Graph) -> None:
    for path in [*(tiny_graph.folder / "reports").rglob("*.json"), *(tiny_graph.folder / "reports").glob("report.*")]:
        if path.name != "run.json":
            assert "recipe" not in path.read_text("utf-8"), path.name


def test_figures_follow_from_predictions_and_the_saved_model_agrees_with_its_readings(striatal: Graph) -> None:
    table = pd.read_csv(striatal.folder / "reports/cv/predictions.csv")
    assert len(table) == table["subject_id"].nunique() == 24
    right = ((table["probability"] >= 0.5) == (table["label"] == "pd")).mean()
    assert metrics(striatal, "cv")["out_of_fold"]["accuracy"] == pytest.approx(right)
    assert metrics(striatal, "final")["bank_difference_max"] < 1e-4
    final = pd.read_csv(striatal.folder / "reports/final/predictions.csv")
    judged = pd.read_csv(striatal.folder / "reports/predictor/predictions.csv")
    np.testing.assert_allclose(judged["model_probability"], final["probability"], atol=1e-6)
    answers = pd.read_csv(striatal.folder / "reports/other_groups/predictions.csv")
    assert sorted(answers["label"]) == ["atypical", "atypical", "swedd"]
    assert answers["probability"].between(0, 1).all()


def test_the_report_tells_of_slabs_and_small_networks_and_of_no_other(striatal: Graph) -> None:
    markdown = (striatal.folder / "reports/report.md").read_text("utf-8")
    page = (striatal.folder / "reports/report.html").read_text("utf-8")
    assert markdown.splitlines()[0].startswith("# PHANTOM cohort, simulated; recipe striatum: ")
    assert (
        '<div class="banner" role="note">PHANTOM cohort: simulated scans, not patients · recipe striatum</div>' in page
    )
    assert "four slabs of 12 mm around both striata: an ensemble of 2 small networks" in markdown
    assert "| regression on slabs " in markdown
    assert "| an ensemble" not in markdown
    for untrue in ("regression on features", "kept frozen", "MobileNet", "each head", "three slices", "final head"):
        assert untrue not in markdown, untrue
    assert "InceptionV3" not in "\n".join(line for line in markdown.splitlines() if "InceptionV3, ImageNet" not in line)


def test_mlflow_names_the_recipe_in_runs_of_their_own_and_has_a_child_for_every_fold(striatal: Graph) -> None:
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{striatal.folder / 'mlflow.db'}")
    for stage, n_children in (("cv", 3), ("final", 0)):
        record = read_json(striatal.folder / "reports" / stage / "run.json")
        run = client.get_run(record["mlflow"]["run_id"])
        assert run.info.run_name == f"{stage} · striatum · {record['git']['commit'][:7]}"
        assert run.info.status == "FINISHED"
        assert run.data.tags["datspect.recipe"] == "striatum"
        assert "recipe striatum" in run.data.tags["mlflow.note.content"].splitlines()[0]
        children = client.search_runs([run.info.experiment_id], f"tags.mlflow.parentRunId = '{run.info.run_id}'")
        assert len(children) == n_children
        launcher = client.get_run(run.data.tags["datspect.launched_by"])
        assert run.data.metrics
        assert launcher.info.run_id != run.info.run_id
        assert (launcher.info.status, launcher.data.metrics) == ("FINISHED", {})
        for child in children:
            points = client.get_metric_history(child.info.run_id, "epoch/validation_loss")
            assert sorted(point.step for point in points) == list(range(1, 9))
    code, output = striatal.command("relog")
    assert code == 0, output


def test_its_comparison_with_the_papers_says_which_is_which(striatal: Graph) -> None:
    code, output = striatal.command("compare", "HEAD~2", "workspace")
    assert code == 0, output
    (ours,) = [line for line in output.splitlines() if line.strip().startswith("B ")]
    (theirs,) = [line for line in output.splitlines() if line.strip().startswith("A ")]
    assert "recipe striatum" in ours
    assert "recipe" not in theirs


def test_its_results_are_reproduced_by_themselves_alone(striatal: Graph) -> None:
    folder = striatal.folder / "reports/reference"
    shutil.rmtree(folder, ignore_errors=True)
    code, output = striatal.command("reproduced", "--renew")
    assert code == 0, output
    code, output = striatal.command("reproduced")
    assert code == 0, output
    assert "the same to the last bit" in output
    assert "recipe striatum" in output.splitlines()[0]
    about = read_json(folder / "reference.json")
    assert not [name for name in about["parameters"] if name.startswith(("backbone.", "augment."))]
    assert "striatum.members" in about["parameters"]
    shutil.rmtree(folder)


def test_its_model_is_registered_promoted_and_answers(striatal: Graph) -> None:
    code, output = striatal.command("register")
    assert code == 0, output
    assert "registered (PHANTOM cohort; recipe striatum)" in output
    (card,) = [path.read_text("utf-8") for path in (striatal.folder / "mlruns").rglob("card.html")]
    assert "recipe striatum" in card
    assert "2 small convolutional networks" in card
    assert "three slices" not in card
    code, output = striatal.command("promote")
    assert code == 0, output
    assert "PHANTOM cohort; recipe striatum" in output
    assert "is the champion now" in output
    table = pd.read_csv(striatal.folder / "reports/predictor/predictions.csv").set_index("scan_id")
    scans = pd.read_csv(striatal.folder / "data/phantom/cohort/participants.tsv", sep="\t").set_index("scan_id")
    scan_id = str(table.index[0])
    path = striatal.folder / "data/phantom/cohort" / str(scans["path"][scan_id])
    code, output = striatal.command("predict", str(path), "--format", "json")
    assert code == 0, output
    answer, _ = json.JSONDecoder().raw_decode(output[output.index("[\n") :])
    assert answer[0]["probability"] == pytest.approx(table["probability"][scan_id], abs=1e-4)


def kill_at_a_checkpoint(graph: Graph) -> None:
    """Start stage cv and end it amid a fold, DVC and all, as a power cut would."""
    process = graph.start("dvc", "repro", "cv")
    deadline = time.monotonic() + 600
    while not list(graph.folder.glob("models/.unfinished/cv/*/checkpoints/fold-*.npz")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for one in [process, *psutil.Process(process.pid).children(recursive=True)]:
        try:
            one.kill()
        except psutil.NoSuchProcess:
            continue
    process.communicate(timeout=60)


def results_of_cv(folder: Path) -> dict[str, bytes]:
    names = ("reports/cv/predictions.csv", "reports/cv/history.csv", "reports/cv/metrics.json", "models/cv/fold-01.npz")
    return {name: (folder / name).read_bytes() for name in names}


@pytest.mark.long
def test_a_kill_amid_a_fold_changes_no_byte(striatal: Graph) -> None:
    striatal.set_params(training={"epochs": 40, "seed": 5}, executor={"checkpoint_minutes": 1e-6})
    kill_at_a_checkpoint(striatal)
    assert list(striatal.folder.glob("models/.unfinished/cv/*/checkpoints/fold-*.npz"))
    striatal.prepare()
    striatal.run("dvc", "repro", "cv")
    after_the_kill = results_of_cv(striatal.folder)
    assert b"striatum, changed" in after_the_kill["reports/cv/metrics.json"]
    assert not list(striatal.folder.glob("models/.unfinished/cv/*"))
    striatal.run("dvc", "repro", "-f", "-s", "cv")
    assert results_of_cv(striatal.folder) == after_the_kill
