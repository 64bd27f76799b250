"""The way of a model to its users: repro, register, promote, an experiment, gate, change back, serve, roll back."""

import base64
import hashlib
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.release.made_up_cache import damage
from tests.tracking.servers import free_port

from datspect.release.dvc_lock import content_md5

from .conftest import Graph, copied, stages_run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def graph(with_experiment: Graph, tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """A copy to change."""
    return copied(with_experiment, tmp_path_factory.mktemp("release") / "project")


def store(graph: Graph) -> Any:
    import mlflow

    return mlflow.MlflowClient(f"sqlite:///{graph.folder / 'mlflow.db'}")


def alias(graph: Graph, name: str) -> str | None:
    number = store(graph).get_registered_model("datspect").aliases.get(name)
    return None if number is None else str(number)


def version(graph: Graph, number: str) -> Any:
    return store(graph).get_model_version("datspect", number)


def test_a_model_is_registered_once_and_says_where_it_comes_from(graph: Graph) -> None:
    assert "version 1 of datspect registered (PHANTOM cohort)" in graph.run("datspect", "register")
    code, output = graph.command("register")
    assert (code, "version 1 of datspect was registered before" in output) == (0, True), output
    tags = version(graph, "1").tags
    run = json.loads((graph.folder / "reports/final/run.json").read_text("utf-8"))
    assert tags["datspect.git_commit"] == graph.git("rev-parse", "HEAD~2")
    assert tags["datspect.git_changed"] == ""
    assert tags["datspect.cohort_kind"] == "phantom"
    assert tags["datspect.data_sha256"] == run["cohort"]["digest"]
    assert tags["dev.accuracy"].count("(") == 1  # with its interval
    assert version(graph, "1").run_id == run["mlflow"]["run_id"]
    subjects = pd.read_csv(graph.folder / "data/images/subjects.csv")["subject_id"]
    for text in (json.dumps(dict(tags)), *(path.read_text("utf-8") for path in artifacts(graph, "lineage.json"))):
        assert not any(subject in text for subject in subjects)


def artifacts(graph: Graph, name: str) -> Iterator[Path]:
    found = list((graph.folder / "mlruns").rglob(name))
    assert found
    yield from found


def looks_in(output: str) -> int:
    """How often the test set was looked at, as a promotion says; registering the version was one look."""
    found = re.search(r"(\d+) times, this one included", output)
    assert found, output
    return int(found[1])


def test_nothing_moves_on_a_dry_run_and_the_first_champion_needs_no_comparison(graph: Graph) -> None:
    code, output = graph.command("promote", "--dry-run")
    assert code == 0, output
    assert "PHANTOM" in output
    assert alias(graph, "champion") is None
    before = looks_in(output)
    code, output = graph.command("promote")
    assert code == 0, output
    assert alias(graph, "champion") == "1"
    assert looks_in(output) == before + 1
    protocols = sorted((graph.folder / "reports/promotions").glob("*.json"))
    assert [json.loads(path.read_text("utf-8"))["moved"] for path in protocols] == [False, True]


def test_the_challenger_must_be_committed_and_pass_and_going_back_restores_the_first(
    graph: Graph, tiny_graph: Graph
) -> None:
    graph.run("dvc", "exp", "apply", "dropless")
    assert graph.metrics() != tiny_graph.metrics()
    code, output = graph.command("register")
    assert (code, "version 2" in output) == (0, True), output
    code, output = graph.command("promote")
    assert code == 1
    assert "REFUSED, and --force would not help: files changed at training; results in a committed dvc.lock" in output
    assert "commit, then dvc repro --force -s final && dvc repro && datspect register" in output
    graph.commit("the experiment")
    graph.run("dvc", "repro", "--force", "-s", "final")
    assert stages_run(graph.repro()) == ["report"]
    code, output = graph.command("register")
    assert (code, "version 3 of datspect registered" in output) == (0, True), output
    code, output = graph.command("promote")
    assert "REFUSED, and --force would not help: results in a committed dvc.lock" in output
    graph.commit("its results")
    graph.set_params(promotion={"min_sensitivity": 1.0})
    code, output = graph.command("promote")
    assert (code, "NOT promoted: sensitivity, lower bound" in output) == (1, True), output
    assert alias(graph, "champion") == "1"
    code, output = graph.command("promote", "--force")
    assert code == 1
    assert "need --reason" in output
    graph.set_params(promotion={"min_sensitivity": 0.0})
    code, output = graph.command("promote")
    assert code == 0, output
    assert "out of fold on the training role" in output
    assert (alias(graph, "champion"), alias(graph, "previous")) == ("3", "1")
    graph.set_params(classifier={"dropout": 0.5})
    assert stages_run(graph.repro()) == []
    assert graph.metrics() == tiny_graph.metrics()
    code, output = graph.command("register")
    assert (code, "version 1 of datspect was registered before" in output) == (0, True), output
    assert alias(graph, "challenger") == "1"


def test_two_promotions_at_once_move_the_aliases_once(graph: Graph) -> None:
    started = [graph.start("datspect", "promote") for _ in range(2)]
    outputs = [process.communicate(timeout=300)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0], outputs
    assert sum("version 1 is the champion now" in output for output in outputs) == 1
    assert sum("version 1 is the champion already" in output for output in outputs) == 1
    assert (alias(graph, "champion"), alias(graph, "previous")) == ("1", "3")
    code, output = graph.command("promote", "3", "--force", "--reason", "the story goes on with it")
    assert code == 0, output
    assert version(graph, "3").tags["datspect.promotion_reason"] == "the story goes on with it"


def test_an_output_that_is_not_the_locked_one_is_not_registered(graph: Graph) -> None:
    path = graph.folder / "models/predictor/predictor.json"
    before = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(before.replace(b"0.9", b"0.8", 1))
    code, output = graph.command("register")
    path.write_bytes(before)
    assert code == 1
    assert "not on disk as dvc.lock says: models/predictor" in output
    assert "Traceback" not in output


def test_damage_in_the_cache_that_dvc_does_not_see_is_seen(graph: Graph) -> None:
    """Version 1 is in the workspace, and version 3 is the champion."""
    path = "models/final/model.keras"
    expected = content_md5(graph.folder / path)
    cached = graph.folder / ".dvc/cache/files/md5" / expected[:2] / expected[2:]
    whole = cached.read_bytes()
    assert graph.command("verify")[0] == 0
    damage(cached)
    (graph.folder / path).unlink()
    graph.run("dvc", "checkout", "-q")
    assert stages_run(graph.repro()) == []
    code, output = graph.command("verify")
    assert (code, f"damaged in the cache: {path}, expected {expected}" in output) == (1, True), output
    assert f"changed in the workspace: {path}, expected {expected}" in output
    assert "dvc repro --force -s " in output
    code, output = graph.command("promote", "1", "--dry-run")
    assert (code, "REFUSED, and --force would not help: outputs as dvc.lock says" in output) == (1, True), output
    code, output = graph.command("trace", "1", "--check")
    assert (code, f"damaged in the cache: {path}" in output) == (1, True), output
    for file in (cached, graph.folder / path):
        mode = file.stat().st_mode
        file.chmod(0o644)
        file.write_bytes(whole)
        file.chmod(mode)
    assert graph.command("verify")[0] == 0


def test_roll_back_exchanges_champion_and_previous(graph: Graph) -> None:
    code, output = graph.command("rollback", "--reason", "the second one disappointed")
    assert code == 0, output
    assert (alias(graph, "champion"), alias(graph, "previous")) == ("1", "3")
    assert "disappointed" in version(graph, "1").tags["datspect.rolled_back_to"]


@pytest.fixture(scope="module")
def served(graph: Graph) -> Iterator[str]:
    """Address of `datspect serve` on the champion."""
    port = free_port()
    process = graph.start("datspect", "serve", "champion", "--port", str(port))
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while not answers(address):
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.5)
        yield address
    finally:
        process.terminate()
        process.communicate(timeout=60)


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/ping", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def ask(address: str, body: bytes, kind: str = "application/json") -> tuple[int, str]:
    request = urllib.request.Request(f"{address}/invocations", body, {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def scans(contents: list[bytes]) -> bytes:
    records = [{"nifti": base64.b64encode(each).decode(), "scan_id": f"n{k}"} for k, each in enumerate(contents)]
    return json.dumps({"dataframe_records": records}).encode()


def test_the_served_answers_are_those_of_the_pipeline_for_the_whole_test_set(graph: Graph, served: str) -> None:
    stored = pd.read_csv(graph.folder / "reports/predictor/predictions.csv")
    cohort = pd.read_csv(graph.folder / "data/phantom/cohort/participants.tsv", sep="\t").set_index("scan_id")
    files = [graph.folder / "data/phantom/cohort" / cohort.loc[scan, "path"] for scan in stored["scan_id"]]
    status, text = ask(served, scans([path.read_bytes() for path in files]))
    assert status == 200, text
    answered = pd.DataFrame(json.loads(text)["predictions"])
    assert answered["withheld"].tolist() == stored["withheld"].fillna("").tolist()
    unjudged = [json.loads(each) if each else {} for each in answered["unjudged"]]
    for column in ("model_probability", "probability", "prediction"):
        assert not answered[column][answered["withheld"] != ""].any()  # no class and no number in the main columns
        said = [each.get(column, value) for each, value in zip(unjudged, answered[column], strict=True)]
        if column == "prediction":
            assert said == stored[column].tolist()
        else:
            assert np.abs(np.array(said) - stored[column]).max() < 1e-4
    assert answered["inconclusive"].astype(int).tolist() == stored["inconclusive"].tolist()
    assert answered["scan_id"].tolist() == [f"n{k}" for k in range(len(files))]


def test_bodies_that_are_no_scans_are_refused_and_the_server_lives_on(graph: Graph, served: str) -> None:
    scan = next((graph.folder / "data/phantom/cohort/volumes").glob("*.nii")).read_bytes()
    refused = {
        "truncated": scans([scan[: len(scan) // 2]]),
        "no image": scans([b"hello"]),
        "empty": scans([b""]),
        "huge": scans([bytes(40 << 20)]),
        "wrong type": json.dumps({"dataframe_records": [{"nifti": 5}]}).encode(),
        "no column": json.dumps({"dataframe_records": [{"image": "x"}]}).encode(),
        "no JSON": b"{",
        "not base64": json.dumps({"dataframe_records": [{"nifti": "*" * 99}]}).encode(),
    }
    for what, body in refused.items():
        status, text = ask(served, body)
        assert 400 <= status < 500, (what, status, text)
        assert len(text) > 10, what
        assert "nibabel" not in text, what
    assert ask(served, scans([scan]))[0] == 200


def test_a_version_names_the_commit_and_the_predictions_that_a_clean_clone_ends_in(
    graph: Graph, tiny_graph: Graph
) -> None:
    """That it ends in them: test_clean_clone.py."""
    code, output = graph.command("trace", "1", "--check")
    assert code == 0, output
    assert "holds      model in the registry" in output
    (lock_commit,) = (line.split()[-1] for line in output.splitlines() if "commit of dvc.lock" in line)
    assert lock_commit == tiny_graph.git("rev-parse", "HEAD")
    predictions = (tiny_graph.folder / "reports/predictor/predictions.csv").read_bytes()
    digest = hashlib.md5(predictions, usedforsecurity=False).hexdigest()
    assert version(graph, "1").tags["dvc.reports/predictor/predictions.csv"] == digest


def test_a_version_that_is_not_whole_any_more_fails_its_check(graph: Graph) -> None:
    (record,) = {path for path in artifacts(graph, "predictor.json") if version_of(graph, path) == "2"}
    before = record.read_bytes()
    record.write_bytes(before.replace(b"0.9", b"0.8", 1))
    code, output = graph.command("trace", "2", "--check")
    record.write_bytes(before)
    assert code == 1
    assert "FAILED     model in the registry" in output


def version_of(graph: Graph, path: Path) -> str:
    for number in ("1", "2"):
        if version(graph, number).source.removeprefix("models:/") in path.parts:
            return number
    return ""
