"""The way of a model to its users: repro, register, promote, change, gate, change back, serve, roll back."""

import base64
import hashlib
import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.tracking.servers import free_port

from .conftest import Graph, new_graph

pytestmark = pytest.mark.slow

LENIENT = {
    "min_roc_auc": 0.0,
    "min_sensitivity": 0.0,
    "min_specificity": 0.0,
    "max_calibration_error": 1.0,
    "loss_margin": 9.0,
    "roc_auc_margin": 1.0,
    "min_common_subjects": 2,
}
"""Three epochs on 24 phantoms show nothing: the story is about the way, not about the figures."""


def git(graph: Graph, *arguments: str) -> str:
    command = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *arguments]
    return subprocess.run(command, cwd=graph.folder, capture_output=True, text=True, check=True).stdout.strip()


def commit(graph: Graph, message: str) -> str:
    git(graph, "add", "--all")
    git(graph, "commit", "--quiet", "--allow-empty", "-m", message)
    return git(graph, "rev-parse", "HEAD")


def command(graph: Graph, *arguments: str) -> tuple[int, str]:
    process = graph.start("datspect", *arguments)
    output, _ = process.communicate(timeout=300)
    return process.returncode, output


@pytest.fixture(scope="module")
def graph(tiny_graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """The tiny graph in a repository of its own, committed, run, and its results committed."""
    weights = tiny_graph.folder / "models/backbone/backbone.weights.h5"
    folder = tmp_path_factory.mktemp("release") / "project"
    graph = new_graph(folder, backbone={"weights": str(weights)}, promotion=LENIENT)
    (folder / ".gitignore").write_text("/mlruns/\n/mlflow.db*\n__pycache__/\n/.dvc/\n", encoding="utf-8")
    git(graph, "init", "--quiet")
    graph.run("dvc", "config", "core.no_scm", "false")
    commit(graph, "the project")
    graph.repro()
    commit(graph, "its results")
    return graph


def alias(graph: Graph, name: str) -> str | None:
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{graph.folder / 'mlflow.db'}")
    number = client.get_registered_model("datspect").aliases.get(name)
    return None if number is None else str(number)


def version(graph: Graph, number: str) -> Any:
    import mlflow

    return mlflow.MlflowClient(f"sqlite:///{graph.folder / 'mlflow.db'}").get_model_version("datspect", number)


def test_a_model_is_registered_once_and_says_where_it_comes_from(graph: Graph) -> None:
    code, output = command(graph, "register")
    assert (code, "version 1 of datspect registered (PHANTOM cohort)" in output) == (0, True), output
    code, output = command(graph, "register")
    assert (code, "version 1 of datspect was registered before" in output) == (0, True), output
    tags = version(graph, "1").tags
    run = json.loads((graph.folder / "reports/final/run.json").read_text("utf-8"))
    assert tags["datspect.git_commit"] == git(graph, "rev-parse", "HEAD~1")
    assert tags["datspect.git_changed"] == ""
    assert tags["datspect.cohort_kind"] == "phantom"
    assert tags["datspect.data_sha256"] == run["cohort"]["digest"]
    assert tags["holdout.accuracy"].count("(") == 1  # with its interval
    assert version(graph, "1").run_id == run["mlflow"]["run_id"]
    subjects = pd.read_csv(graph.folder / "data/images/subjects.csv")["subject_id"]
    for text in (json.dumps(dict(tags)), *(path.read_text("utf-8") for path in artifacts(graph, "lineage.json"))):
        assert not any(subject in text for subject in subjects)


def artifacts(graph: Graph, name: str) -> Iterator[Path]:
    found = list((graph.folder / "mlruns").rglob(name))
    assert found
    yield from found


def test_nothing_moves_on_a_dry_run_and_the_first_champion_needs_no_comparison(graph: Graph) -> None:
    code, output = command(graph, "promote", "--dry-run")
    assert code == 0, output
    assert "PHANTOM" in output
    assert alias(graph, "champion") is None
    code, output = command(graph, "promote")
    assert code == 0, output
    assert alias(graph, "champion") == "1"
    assert "2 times for promotion" in output
    protocols = sorted((graph.folder / "reports/promotions").glob("*.json"))
    assert [json.loads(path.read_text("utf-8"))["moved"] for path in protocols] == [False, True]


def test_a_change_makes_a_challenger_that_must_be_committed_and_pass_and_going_back_restores_the_first(
    graph: Graph,
) -> None:
    graph.set_params(classifier={"dropout": 0.1})
    commit(graph, "another dropout")
    graph.repro()
    code, output = command(graph, "register")
    assert (code, "version 2" in output) == (0, True), output
    code, output = command(graph, "promote")
    assert code == 1
    assert "REFUSED, and --force would not help: results in a committed dvc.lock" in output
    commit(graph, "its results")
    graph.set_params(promotion={"min_sensitivity": 1.0})
    code, output = command(graph, "promote")
    assert (code, "NOT promoted: sensitivity, lower bound" in output) == (1, True), output
    assert alias(graph, "champion") == "1"
    code, output = command(graph, "promote", "--force")
    assert code == 1
    assert "need --reason" in output
    graph.set_params(promotion={"min_sensitivity": 0.0})
    code, output = command(graph, "promote")
    assert code == 0, output
    assert "out of fold on the training role" in output
    assert (alias(graph, "champion"), alias(graph, "previous")) == ("2", "1")
    graph.set_params(classifier={"dropout": 0.5})
    graph.repro()
    code, output = command(graph, "register")
    assert (code, "version 1 of datspect was registered before" in output) == (0, True), output
    assert alias(graph, "challenger") == "1"


def test_two_promotions_at_once_move_the_aliases_once(graph: Graph) -> None:
    started = [graph.start("datspect", "promote") for _ in range(2)]
    outputs = [process.communicate(timeout=300)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0], outputs
    assert sum("version 1 is the champion now" in output for output in outputs) == 1
    assert sum("version 1 is the champion already" in output for output in outputs) == 1
    assert (alias(graph, "champion"), alias(graph, "previous")) == ("1", "2")
    code, output = command(graph, "promote", "2", "--force", "--reason", "the story goes on with it")
    assert code == 0, output
    assert version(graph, "2").tags["datspect.promotion_reason"] == "the story goes on with it"


def test_an_output_that_is_not_the_locked_one_is_not_registered(graph: Graph) -> None:
    path = graph.folder / "models/predictor/predictor.json"
    before = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(before.replace(b"0.9", b"0.8", 1))
    code, output = command(graph, "register")
    path.write_bytes(before)
    assert code == 1
    assert "not on disk as dvc.lock says: models/predictor" in output
    assert "Traceback" not in output


def test_roll_back_exchanges_champion_and_previous(graph: Graph) -> None:
    code, output = command(graph, "rollback", "--reason", "the second one disappointed")
    assert code == 0, output
    assert (alias(graph, "champion"), alias(graph, "previous")) == ("1", "2")
    assert "disappointed" in version(graph, "1").tags["datspect.rolled_back_to"]


@pytest.fixture(scope="module")
def served(graph: Graph) -> Iterator[str]:
    """Address of `mlflow models serve` on the champion."""
    port = free_port()
    process = graph.start(
        "mlflow", "models", "serve", "-m", "models:/datspect@champion", "--env-manager", "local", "--port", str(port),
        "--host", "127.0.0.1",
    )  # fmt: skip
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
    for column in ("model_probability", "probability"):
        assert (answered[column] - stored[column]).abs().max() < 1e-4
    assert answered["prediction"].tolist() == stored["prediction"].tolist()
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


def test_a_version_is_rebuilt_in_a_clean_clone_with_the_same_predictions(graph: Graph, tmp_path: Path) -> None:
    code, output = command(graph, "trace", "1", "--check")
    assert code == 0, output
    assert "holds      model in the registry" in output
    tags = version(graph, "1").tags
    lock_commit = next(line.split()[-1] for line in output.splitlines() if "commit of dvc.lock" in line)
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(graph.folder), str(clone)], check=True)
    subprocess.run(["git", "-C", str(clone), "checkout", "--quiet", lock_commit], check=True)
    rebuilt = Graph(clone)
    rebuilt.run("dvc", "init", "-q", "-f")
    rebuilt.run("dvc", "repro", "predictor")
    again = (clone / "reports/predictor/predictions.csv").read_bytes()
    assert hashlib.md5(again, usedforsecurity=False).hexdigest() == tags["dvc.reports/predictor/predictions.csv"]


def test_with_another_split_they_are_compared_on_subjects_that_the_champion_never_trained_on(graph: Graph) -> None:
    graph.set_params(split={"seed": 5})
    commit(graph, "another split")
    graph.repro()
    commit(graph, "its results")
    code, output = command(graph, "register")
    assert code == 0, output
    number = alias(graph, "challenger")
    code, output = command(graph, "promote", "--dry-run")
    champion = json.loads(next(artifacts_of(graph, alias(graph, "champion"), "lineage.json")).read_text("utf-8"))
    challenger = json.loads(next(artifacts_of(graph, number, "lineage.json")).read_text("utf-8"))
    n_common = len(set(challenger["test"]) - set(champion["train"]))
    assert n_common < len(challenger["test"])  # else the split has not changed
    if "REFUSED" in output:  # so few that one class may be missing
        assert f"only {n_common} of the challenger's" in output
    else:
        assert f"on {n_common} subjects" in output
    graph.set_params(promotion={"min_common_subjects": 100})
    code, output = command(graph, "promote")
    assert (code, "REFUSED, and --force would not help: subjects to compare on" in output) == (1, True), output
    code, output = command(graph, "promote", "--new-lineage", "--reason", "a new cohort begins")
    assert code == 0, output
    assert alias(graph, "champion") == number


def artifacts_of(graph: Graph, number: str | None, name: str) -> Iterator[Path]:
    assert number is not None
    yield from (path for path in artifacts(graph, name) if version_of(graph, path) == number)


def test_a_version_that_is_not_whole_any_more_fails_its_check(graph: Graph) -> None:
    (record,) = {path for path in artifacts(graph, "predictor.json") if version_of(graph, path) == "2"}
    before = record.read_bytes()
    record.write_bytes(before.replace(b"0.9", b"0.8", 1))
    code, output = command(graph, "trace", "2", "--check")
    record.write_bytes(before)
    assert code == 1
    assert "FAILED     model in the registry" in output


def version_of(graph: Graph, path: Path) -> str:
    for number in ("1", "2", "3"):
        if version(graph, number).source.removeprefix("models:/") in path.parts:
            return number
    return ""
