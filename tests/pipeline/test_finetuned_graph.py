"""An imported cohort in a graph that fine-tunes: it names nobody anywhere, outlives a kill -9, trains on JAX too."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import psutil
import pytest
from tests.importing.made_up_images import FIRST_IMAGE, FIRST_SUBJECT, forbidden, image_bytes
from tests.importing.names_in_files import contents, texts_in
from tests.importing.ppmi_download import Download, full_download

from datspect.importing.pseudonyms import KEY_VARIABLE, read_or_create_key
from datspect.training.bank import read_bank

from .conftest import SMALL_NETWORK, STAGES, Graph, copied, new_graph, stages_run

pytestmark = pytest.mark.slow

N_PLAIN = 6
N_EPOCHS = 20


@dataclass(frozen=True)
class Story:
    """A made-up PPMI download, imported and taken through the graph, of which DVC was killed in stage cv."""

    graph: Graph
    download: Download
    kept: set[str]
    """Folds that were finished when it was killed."""
    said: str


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("finetuned")
    download = full_download(N_PLAIN, FIRST_SUBJECT, FIRST_IMAGE)
    download.write(folder / "secret-place", image_bytes)
    graph = new_graph(
        folder / "project",
        cohort={"path": "data/ppmi"},
        preprocess={"on_bad_scan": "exclude", "z_offset_voxels": 3.0, "input_size": [48, 40]},
        backbone=SMALL_NETWORK | {"trainable": "Conv_1"},
        finetuning={"precision": "float32"},
        training={"epochs": N_EPOCHS},
        executor={"workers": 2},
    )
    tables = [part for path in download.tables for part in ("--csv", str(path))]
    groups = ["--groups", "PD,Control,SWEDD"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY_VARIABLE, str(folder / "key" / "pseudonym.key"))
        said = graph.run("datspect", "import", "ppmi", *map(str, download.roots), *tables, "--to", "data/ppmi", *groups)
        graph.prepare()
        kill_dvc_once_a_fold_is_finished(graph)
        kept = {path.stem for path in graph.folder.glob("models/.unfinished/cv/*/fold-*.npz")}
        graph.prepare()
        said += graph.repro()
        yield Story(graph, download, kept, said)


def kill_dvc_once_a_fold_is_finished(graph: Graph) -> None:
    """Start the graph and end DVC alone, as a scheduler does; stage and workers end by themselves."""
    process = graph.start("dvc", "repro", "cv")
    deadline = time.monotonic() + 600
    while not list(graph.folder.glob("models/.unfinished/cv/*/fold-*.npz")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    below = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate(timeout=60)
    _, alive = psutil.wait_procs(below, timeout=60)
    assert not alive
    assert not list((graph.folder / "models").rglob("*-unfinished-*"))


def out_of_fold(graph: Graph) -> pd.DataFrame:
    return pd.read_csv(graph.folder / "reports/cv/predictions.csv").set_index("scan_id")


def test_a_download_goes_through_the_whole_graph_and_names_nobody(story: Story) -> None:
    graph, download = story.graph, story.download
    code, registered = graph.command("register")
    assert code == 0, registered
    assert "real scans" in registered

    names = read_or_create_key(graph.folder.parent / "key" / "pseudonym.key")
    imported = {who.subject for who in download.chosen(("pd", "control", "swedd")).values() if who.imported}
    excluded = pd.read_csv(graph.folder / "data/images/excluded.csv").set_index("scan_id")["reason"]
    trained = pd.read_csv(graph.folder / "data/images/subjects.csv")["subject_id"]
    assert len(trained) + len(excluded) == len(imported)
    swedd = names.scan(download.subjects["group SWEDD"].imported)
    assert excluded[swedd].startswith("label swedd")
    answered = pd.read_csv(graph.folder / "reports/other_groups/predictions.csv").set_index("scan_id")["label"]
    assert answered.to_dict() == {swedd: "swedd"}
    twins = [download.subjects[trap].imported for trap in ("under another subject too", "same voxels under two ids")]
    for image_id in twins:
        assert "two ids" in excluded[names.scan(image_id)]
    assert len(excluded) == 1 + len(twins)
    report = (graph.folder / "reports/report.md").read_text("utf-8")
    assert "cohort of real scans" in report
    assert "PHANTOM" not in report

    (card,) = (graph.folder / "mlruns").rglob("card.html")
    assert "PHANTOM" not in card.read_text("utf-8")
    assert not [subject for subject in trained if subject in card.read_text("utf-8")]

    # DVC's cache holds again what lies in the work tree.
    outputs = [*{content: (name, content) for name, content in contents(graph.folder)}.values()]
    outputs.append(("terminal", (story.said + registered).encode()))
    assert any(name == "mlflow.db" for name, _ in outputs)
    outputs.append(("names of files", "\n".join(name for name, _ in outputs).encode()))
    found = {(name, text) for name, content in outputs for text in texts_in(content, forbidden(download))}
    assert found == set()


def test_a_kill_costs_unfinished_folds_only_and_changes_nothing(story: Story) -> None:
    import mlflow

    graph = story.graph
    assert 0 < len(story.kept) < 3
    assert f"cv: {len(story.kept)} of 3 folds are finished from an earlier start" in story.said
    assert [path for path in graph.folder.glob("models/.unfinished/*") if path.is_dir()] == []
    bank = json.loads((graph.folder / "data/features/features.json").read_text("utf-8"))
    assert bank["draws"] == 0
    after_the_kill = graph.metrics()

    client = mlflow.MlflowClient(f"sqlite:///{graph.folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("datspect")
    runs = client.search_runs([experiment.experiment_id], "tags.`datspect.stage` = 'cv'")
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert sorted(run.info.status for run in parents) == ["FINISHED", "KILLED"]
    (whole,) = [run for run in parents if run.info.status == "FINISHED"]
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == whole.info.run_id]
    assert sorted(run.info.run_name for run in children) == ["fold-01", "fold-02", "fold-03"]
    for child in children:
        steps = sorted(point.step for point in client.get_metric_history(child.info.run_id, "epoch/train_loss"))
        assert (child.info.status, steps) == ("FINISHED", list(range(1, N_EPOCHS + 1)))

    graph.run("dvc", "repro", "-f", "-s", "cv")
    assert graph.metrics() == after_the_kill
    scan = next((graph.folder / "data/ppmi/volumes").glob("*.nii*"))
    code, output = graph.command("predict", str(scan), "--format", "json")
    assert code == 0, output
    answer, _ = json.JSONDecoder().raw_decode(output[output.index("[\n") :])
    assert 0 <= answer[0]["error_risk"] <= 1
    assert 0 <= answer[0]["probability"] <= 1


@pytest.mark.long
def test_a_graph_that_fine_tunes_runs_on_jax_and_ends_the_same(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = story.graph
    on_tensorflow = out_of_fold(graph)
    graph.set_params(executor={"workers": 1})  # which compiles once
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    ran = stages_run(graph.run("dvc", "repro", "-f", "--downstream", "features"))
    assert ran == list(STAGES[STAGES.index("features") :])
    assert_made_with_jax(graph)
    difference = (out_of_fold(graph)["probability"] - on_tensorflow["probability"]).abs()
    assert (difference < 0.05).mean() >= 0.9


@pytest.mark.long
def test_the_bank_and_the_heads_on_it_are_the_same_on_jax(
    tiny_graph: Graph, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = copied(tiny_graph, tmp_path_factory.mktemp("jax") / "project", ".git", "mlflow.db*", "mlruns")
    graph.prepare()
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    graph.run("dvc", "repro", "-f", "-s", "features", "cv")
    banks = [read_bank(one.folder / "data/features/bank.npy").astype(np.float32) for one in (graph, tiny_graph)]
    np.testing.assert_allclose(banks[0], banks[1], atol=5e-3 * banks[1].max())
    assert_made_with_jax(graph)
    difference = (out_of_fold(graph)["probability"] - out_of_fold(tiny_graph)["probability"]).abs()
    assert (difference < 0.02).mean() >= 0.99


def assert_made_with_jax(graph: Graph) -> None:
    record = json.loads((graph.folder / "reports/cv/run.json").read_text("utf-8"))
    assert any(requirement.startswith("jax==") for requirement in record["requirements"])
