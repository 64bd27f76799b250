"""The whole graph on 24 full-grid phantoms, with real DVC and real MLflow on SQLite, run once a session."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
STAGES = (
    "phantom",
    "preprocess",
    "split",
    "backbone",
    "features",
    "checks",
    "cv",
    "final",
    "predictor",
    "baselines",
    "report",
)
MEASURED = ("checks", "cv", "final", "predictor", "baselines")
TINY: dict[str, dict[str, Any]] = {
    "phantom": {"n_pd": 16, "n_control": 8},
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
}


@dataclass(frozen=True)
class Graph:
    """A working copy of the project, without git, and the commands that a person would give in it."""

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
        output, _ = process.communicate(timeout=600)
        assert process.returncode == 0, output
        return output

    def repro(self) -> str:
        return self.run("dvc", "repro")

    def prepare(self) -> None:
        """What `make repro` does before it."""
        subprocess.run(["sh", ROOT / "scripts/prepare-dvc"], cwd=self.folder, env=self.environment(), check=True)

    def metrics(self) -> dict[str, bytes]:
        return {stage: (self.folder / "reports" / stage / "metrics.json").read_bytes() for stage in MEASURED}


def new_graph(folder: Path, **changes: dict[str, Any]) -> Graph:
    """A copy of the project's tracked shape under `folder`, with the tiny parameters and `changes`."""
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", folder / "src", ignore=ignore)
    for name in ("dvc.yaml", "params.yaml", "MLproject", ".dvcignore", "data/phantom/dvc.yaml"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    graph = Graph(folder)
    graph.set_params(**TINY)
    graph.set_params(**changes)
    graph.run("dvc", "init", "--no-scm", "-q")
    return graph


def stages_run(output: str) -> list[str]:
    """The stages that a `dvc repro` with this output has executed (not restored), in order."""
    return [stage for stage in STAGES if f"Running stage '{stage}'" in output or f"dvc.yaml:{stage}'" in _ran(output)]


def _ran(output: str) -> str:
    return "\n".join(line for line in output.splitlines() if line.startswith("Running stage"))


@pytest.fixture(scope="session")
def tiny_graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """The tiny graph, run from nothing to both tables."""
    graph = new_graph(tmp_path_factory.mktemp("graph") / "project")
    assert stages_run(graph.repro()) == list(STAGES)
    return graph
