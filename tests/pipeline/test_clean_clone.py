"""A clean clone rebuilds the results byte for byte, whatever is killed on the way, and dvc.lock tells it."""

import subprocess
import time
from pathlib import Path

import psutil
import pytest
from ruamel.yaml import YAML

from .conftest import STAGES, Graph, stages_run

pytestmark = pytest.mark.long

KILLED = ("phantom", "features", "cv", "final")
"""Files of its own make, many files, folds with their runs in MLflow, a whole model."""


def test_a_clean_clone_of_which_stages_are_killed_ends_in_the_same_results(tiny_graph: Graph, tmp_path: Path) -> None:
    clone = Graph(tmp_path / "clone")
    subprocess.run(["git", "clone", "--quiet", str(tiny_graph.folder), str(clone.folder)], check=True)
    clone.run("dvc", "init", "-q", "-f")
    before = locked(clone)
    for number, stage in enumerate(KILLED):
        process = clone.start("dvc", "repro")
        victim = _wait_for_stage(process, stage)
        time.sleep(1.5 + number)
        assert victim.is_running()
        # In turn the whole tree as a power cut would, DVC first, before it hears of its stage; and the stage alone.
        victims = [victim] if number % 2 else [process, *psutil.Process(process.pid).children(recursive=True)]
        for one in victims:
            _kill(one)
        process.communicate(timeout=60)
    assert stages_run(clone.repro()) == list(STAGES[STAGES.index("final") :])
    assert clone.metrics() == tiny_graph.metrics()
    for stage in ("cv", "final", "predictor", "baselines"):
        table = f"reports/{stage}/predictions.csv"
        assert (clone.folder / table).read_bytes() == (tiny_graph.folder / table).read_bytes()
    # All that is new are the records of the runs, and the report, which names the runs.
    records = {f"{stage}: outs reports/{stage}/run.json" for stage in ("cv", "final")}
    of_report = {f"report: deps reports/{stage}/run.json" for stage in ("cv", "final")}
    of_report |= {f"report: outs reports/report.{form}" for form in ("md", "html")}
    assert differing(before, locked(clone)) == records | of_report
    assert clone.git("status", "--porcelain", "data/phantom/dvc.lock") == ""


def locked(graph: Graph) -> dict[str, dict[str, object]]:
    """Stage to what dvc.lock says of it: the command, parameters, and every digest by its path."""
    stages = YAML(typ="safe").load((graph.folder / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    return {
        name: {
            "cmd": stage["cmd"],
            "params": stage.get("params"),
            **{f"{kind} {one['path']}": one["md5"] for kind in ("deps", "outs") for one in stage.get(kind, [])},
        }
        for name, stage in stages.items()
    }


def differing(first: dict[str, dict[str, object]], second: dict[str, dict[str, object]]) -> set[str]:
    assert {name: list(entries) for name, entries in first.items()} == {
        name: list(entries) for name, entries in second.items()
    }
    return {f"{name}: {key}" for name, entries in first.items() for key in entries if entries[key] != second[name][key]}


def _wait_for_stage(dvc: "subprocess.Popen[str]", stage: str) -> psutil.Process:
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        if dvc.poll() is not None:
            raise AssertionError(f"DVC ended before stage {stage} began:\n{dvc.communicate()[0]}")
        for child in psutil.Process(dvc.pid).children(recursive=True):
            try:
                if f"datspect.stages.{stage}" in child.cmdline():
                    return child
            except psutil.Error:
                continue
        time.sleep(0.05)
    dvc.kill()
    raise AssertionError(f"stage {stage} did not start:\n{dvc.communicate()[0]}")


def _kill(process: "psutil.Process | subprocess.Popen[str]") -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return
