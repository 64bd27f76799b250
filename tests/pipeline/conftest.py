"""The whole graph on 24 full-grid phantoms, with real DVC and real MLflow on SQLite, run once for all workers."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from tests.sharing import built_once
from tests.tracking.projects import clean_environment
from typer.testing import CliRunner

from datspect.__main__ import app
from datspect.errors import DatspectError

ROOT = Path(__file__).parents[2]
STAGES = (
    "phantom",
    "preprocess",
    "split",
    "cameras",
    "backbone",
    "features",
    "checks",
    "cv",
    "grouped",
    "final",
    "predictor",
    "other_groups",
    "robustness",
    "baselines",
    "report",
)
MEASURED = ("checks", "cv", "final", "predictor", "robustness", "baselines")
TINY: dict[str, dict[str, Any]] = {
    "phantom": {
        "n_pd": 16,
        "n_control": 8,
        "n_sites": 3,
        "other_groups": {"swedd": 1, "atypical": 2, "vascular": 1},
    },
    "other_groups": {"answered": ["swedd", "atypical"]},
    "split": {"n_folds": 3, "n_dev_folds": 3},
    "backbone": {"precision": "float32"},  # `auto` may choose otherwise on another backend
    "augment": {"draws": 2},
    "checks": {"permuted_epochs": 2},
    "training": {
        "epochs": 3,
        "batch_size": 16,
        "learning_rate": {"initial": 1e-3, "final": 1e-5, "schedule": "step", "drops": 2},
        "seed": 1,
    },
    # Three epochs on 24 phantoms show nothing: the stories are about the way, not about the figures.
    "promotion": {
        "min_roc_auc": 0.0,
        "min_sensitivity": 0.0,
        "min_specificity": 0.0,
        "max_recalibration_gain": 99.0,
        "loss_margin": 9.0,
        "roc_auc_margin": 1.0,
        "min_common_subjects": 2,
        "robustness": {
            "min_roc_auc": 0.0,
            "min_accuracy": 0.0,
            "excused": [],
            "loss_margin": 9.0,
            "accuracy_margin": 1.0,
        },
    },
    "robustness": {"alterations": ["blur", "noise", "sides"]},
}
SMALL_NETWORK: dict[str, Any] = {"architecture": "MobileNetV2", "weights": None}
PLACES_IN_MLFLOW = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}
"""Tables and their columns with absolute paths."""


@dataclass(frozen=True)
class Graph:
    """A working copy of the project, and the commands that a person would give in it."""

    folder: Path

    def set_params(self, **sections: dict[str, Any]) -> None:
        path = self.folder / "params.yaml"
        yaml = YAML()
        params = yaml.load(path.read_text(encoding="utf-8"))
        for section, changes in sections.items():
            params[section].update(changes)
        yaml.dump(params, path)

    def environment(self) -> dict[str, str]:
        ours = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "DVC_"))}
        path = os.pathsep.join([str(Path(sys.executable).parent), ours.get("PATH", "")])
        return ours | {"PATH": path, "PYTHONPATH": str(self.folder / "src"), "DVC_NO_ANALYTICS": "1"}

    def start(self, *command: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *command: str) -> str:
        process = self.start(*command)
        output, _ = process.communicate(timeout=1500)  # a busy machine is no failure
        assert process.returncode == 0, output
        return output

    def command(self, *arguments: str) -> tuple[int, str]:
        """Exit code and output of `datspect ...`, called in this process: another one would start TensorFlow again."""
        with pytest.MonkeyPatch.context() as patch:
            clean_environment(patch)
            patch.chdir(self.folder)
            result = CliRunner().invoke(app, arguments)
        if isinstance(result.exception, DatspectError):
            return 1, f"{result.output}error: {result.exception}"
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output

    def git(self, *arguments: str) -> str:
        command = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *arguments]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=True).stdout.strip()

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)

    def repro(self) -> str:
        return self.run("dvc", "repro")

    def prepare(self) -> None:
        """What `make repro` does before it."""
        subprocess.run(["sh", ROOT / "scripts/prepare-dvc"], cwd=self.folder, env=self.environment(), check=True)

    def metrics(self) -> dict[str, bytes]:
        return {stage: (self.folder / "reports" / stage / "metrics.json").read_bytes() for stage in MEASURED}


def new_graph(folder: Path, **changes: dict[str, Any]) -> Graph:
    """A copy of the project's tracked shape under `folder`, with the tiny parameters and `changes`."""
    ignore = shutil.ignore_patterns("*.pyc.*", "*.egg-info")  # what is compiled goes along
    shutil.copytree(ROOT / "src", folder / "src", ignore=ignore)
    shutil.copytree(ROOT / "recipes", folder / "recipes")
    for name in ("dvc.yaml", "params.yaml", "MLproject", ".dvcignore", "data/phantom/dvc.yaml"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    graph = Graph(folder)
    graph.set_params(**TINY)
    graph.set_params(**changes)
    graph.run("dvc", "init", "--no-scm", "-q")
    shutil.copytree(ROOT / ".dvc/plots", folder / ".dvc/plots")
    return graph


def stages_run(output: str) -> list[str]:
    """The stages that a `dvc repro` with this output has executed (not restored), in order."""
    return [stage for stage in STAGES if f"Running stage '{stage}'" in output or f"dvc.yaml:{stage}'" in _ran(output)]


def _ran(output: str) -> str:
    return "\n".join(line for line in output.splitlines() if line.startswith("Running stage"))


def copied(graph: Graph, folder: Path, *left_out: str) -> Graph:
    """The graph with its results in a folder of its own, where MLflow now looks for what belongs to its runs."""
    shutil.copytree(graph.folder, folder, ignore=shutil.ignore_patterns("*.pyc.*", *left_out))
    if (folder / "mlflow.db").exists():
        with closing(sqlite3.connect(folder / "mlflow.db")) as connection, connection:
            for table, column in PLACES_IN_MLFLOW.items():
                change = f"UPDATE {table} SET {column} = replace({column}, ?, ?)"
                connection.execute(change, (str(graph.folder), str(folder)))
    return Graph(folder)


def repository(tiny_graph: Graph, folder: Path, *left_out: str) -> Graph:
    """A copy in which git knows what it knows of a clone: DVC's configuration, too."""
    graph = copied(tiny_graph, folder, *left_out)
    (folder / ".dvc/.gitignore").write_text("/config.local\n/tmp\n/cache\n", encoding="utf-8")
    ignored = (folder / ".gitignore").read_text(encoding="utf-8")
    (folder / ".gitignore").write_text(ignored.replace("/.dvc/\n", ""), encoding="utf-8")
    graph.git("config", "user.name", "x")
    graph.git("config", "user.email", "x@example.org")
    graph.commit("what a clone has")
    return graph


@pytest.fixture(scope="session")
def tiny_graph(tmp_path_factory: pytest.TempPathFactory, pretrained_weights: Path) -> Graph:
    """The tiny graph in a repository of its own: committed, run from nothing, its results committed. Not to change."""

    def build(folder: Path) -> None:
        weights = pretrained_weights / "backbone.weights.h5"
        graph = new_graph(folder / "project", backbone={"weights": str(weights)})
        ignored = "/mlruns/\n/mlflow.db*\n__pycache__/\n/.dvc/\n.unfinished/\n"
        (graph.folder / ".gitignore").write_text(ignored, encoding="utf-8")
        graph.git("init", "--quiet")
        graph.run("dvc", "config", "core.no_scm", "false")
        graph.commit("the project")
        assert stages_run(graph.repro()) == list(STAGES)
        graph.commit("its results")

    return Graph(built_once(tmp_path_factory, "graph", build) / "project")


@pytest.fixture(scope="session")
def with_experiment(tmp_path_factory: pytest.TempPathFactory, tiny_graph: Graph) -> Graph:
    """The tiny graph with an experiment, `dropless`, that was run in a folder of its own. Not to change."""

    def build(folder: Path) -> None:
        graph = repository(tiny_graph, folder / "project")
        graph.run("dvc", "exp", "run", "--temp", "-n", "dropless", "-S", "classifier.dropout=0.2")

    return Graph(built_once(tmp_path_factory, "experiment", build) / "project")
