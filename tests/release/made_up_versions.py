"""Versions whose answers are known beforehand, and the images that they are asked about.

The only pixel of an image holds the answer that a version gives to it.
"""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import Model
from scipy.special import expit
from tests.release.repositories import commit_lock

from datspect.evaluation.calibration import Calibration
from datspect.io.records import read_json, write_json
from datspect.io.tables import write_table
from datspect.release.dvc_lock import content_md5
from datspect.release.looks import SALT_TAG
from datspect.release.manifest import MANIFEST_TAG, write_manifest
from datspect.release.membership import subject_digests
from datspect.release.promoting import Side
from datspect.release.registry import NAME, Registry

N = 100
"""Subjects of the training role, and as many of the test set; every other one has the disease."""
OUTPUTS = {"models/predictor": "a" * 32 + ".dir", "data/splits.csv": "b" * 32}
SALT = "00" * 16
HOLDOUT = {"n": 100, "roc_auc_low": 0.95, "sensitivity_low": 0.85, "specificity_low": 0.8, "recalibration_gain": 0.02}
TAGS = {
    "datspect.cohort_kind": "phantom",
    "datspect.git_commit": "c" * 40,
    "datspect.git_changed": "",
    "datspect.data_sha256": "the data",
    "datspect.splits_sha256": "the split",
    "datspect.test_set": "the test set",
    "datspect.panel": "edition 1, seed 1",
    **{f"dvc.{path}": md5 for path, md5 in OUTPUTS.items()},
}
ROWS = ("unaltered", "blur_8", "noise_10")
"""Of the robustness panel."""
MADE_ON = {
    "machine": {"system": "Linux", "architecture": "x86_64", "processor": "a processor"},
    "releases": {"python": "3.11.0", "tensorflow": "2.21.0"},
    "tags": {"datspect.backend": "tensorflow"},
}
"""What run.json says of the platform."""


@dataclass
class MadeUpPredictor:
    """It answers with the pixel of an image, or with what is `known` of a scan, moved by `shift`."""

    shift: float = 0.0
    known: dict[str, float] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    model: str = "paper"

    @property
    def parts(self) -> SimpleNamespace:
        return SimpleNamespace(model=self.model, calibration=Calibration(slope=1.0, intercept=0.0))

    @classmethod
    def read(cls, folder: Path) -> "MadeUpPredictor":
        return cls(**read_json(folder))

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        return images[:, 0, 0, 0] + self.shift

    def prepare(self, scan: str) -> str:
        self.asked.append(scan)
        return scan

    def answers(self, scans: list[str]) -> list[SimpleNamespace]:
        return [SimpleNamespace(probability=self.known[scan]) for scan in scans]


def predictions(role: str, strength: float, seed: int) -> pd.DataFrame:
    """Log odds of `strength` towards the right class, with noise of variance 1."""
    numbers = np.arange(N)
    logits = strength * (2 * (numbers % 2) - 1) + np.random.default_rng(seed).normal(size=N)
    return pd.DataFrame(
        {
            "scan_id": [f"{role}-{number:03d}" for number in numbers],
            "subject_id": [f"SUBJECT-{role}-{number:03d}" for number in numbers],
            "label": np.where(numbers % 2, "pd", "control"),
            "logit": logits,
            "probability": expit(logits),
            "dev_fold": numbers // 2 % 4 + 1,
        }
    )


def add_version(
    registry: Registry,
    folder: Path,
    *,
    strength: float = 2.0,
    shift: float = 0.0,
    trained_on: tuple[str, ...] = (),
    holdout: dict[str, float] | None = None,
    development: pd.DataFrame | None = None,
    tested_on: pd.DataFrame | None = None,
    rows: dict[str, dict[str, float]] | None = None,
    altered: dict[str, np.ndarray] | None = None,
    **tags: str,
) -> Side:
    """A version with a run, as `register` would leave them, and a made-up predictor for its own.

    `rows`: measures of rows of the robustness panel that differ; `altered`: probabilities, shape (N,), by row.
    """
    client, experiment_id = registry.connection.client, registry.connection.experiment_id
    registry.set_model_tag(SALT_TAG, SALT)
    test = predictions("test", 2.0, seed=1) if tested_on is None else tested_on
    run_id = client.create_run(experiment_id).info.run_id
    place = folder / run_id
    write_table(place / "predictions.csv", test)
    write_table(place / "dev_predictions.csv", predictions("dev", strength, 2) if development is None else development)
    write_json(place / "run.json", MADE_ON)
    for name in ("predictions.csv", "dev_predictions.csv", "run.json"):
        client.log_artifact(run_id, str(place / name), "reports")
    write_json(place / "model/metrics.json", {"holdout": HOLDOUT | (holdout or {})})
    write_json(place / "model/lineage.json", {"train": subject_digests(trained_on, SALT), "test": []})
    write_json(place / "model/predictor.json", {"shift": shift})
    write_json(place / "model/robustness.json", {"rows": panel_rows(rows or {})})
    write_table(place / "model/panel.csv", panel(test, altered or {}))
    stored = Model()
    artifacts = {name: {"path": f"{name}.json"} for name in ("metrics", "lineage", "predictor", "robustness")}
    stored.add_flavor("python_function", loader_module="none", artifacts=artifacts | {"panel": {"path": "panel.csv"}})
    stored.save(place / "model/MLmodel")
    manifest = {MANIFEST_TAG: write_manifest(place / "model")}
    changed: dict[str, Any] = {f"datspect.{name}": value for name, value in tags.items()}
    created = client.create_model_version(
        NAME, source=(place / "model").as_uri(), run_id=run_id, tags=TAGS | manifest | changed
    )
    version = registry.version(str(created.version))
    assert version is not None
    return Side(registry, version)


def panel_rows(changed: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    """Measures of the network in every row of the panel, sound but for what is changed."""
    sound = {"roc_auc_low": 0.9, "accuracy_low": 0.8}
    return [{"name": name, "network": sound | changed.get(name, {})} for name in ROWS]


def panel(test: pd.DataFrame, changed: dict[str, np.ndarray]) -> pd.DataFrame:
    """Answers to altered scans: in every row those to the scans as they are, but for what is changed."""
    answers = {name: changed.get(name, test["probability"]) for name in ROWS}
    target = (test["label"] == "pd").astype(int)
    return pd.DataFrame({"scan": [f"digest of {scan}" for scan in test["scan_id"]], "target": target, **answers})


def write_graph(root: Path, test: pd.DataFrame) -> None:
    """Images of the test set and of as many other scans before them, and a commit whose dvc.lock has `OUTPUTS`."""
    scans = pd.DataFrame({"scan_id": [*(f"other-{k}" for k in range(len(test))), *test["scan_id"]]})
    pixels = np.concatenate([np.zeros(len(test)), test["probability"]]).astype(np.float32)
    write_json(root / "data/images/cohort.json", {"digest": TAGS["datspect.data_sha256"]})
    write_table(root / "data/images/subjects.csv", scans)
    np.save(root / "data/images/images.npy", pixels[:, None, None, None])
    commit_lock(root, OUTPUTS | images_in_lock(root))


def images_in_lock(root: Path) -> dict[str, str]:
    """What dvc.lock has to say of the images on disk."""
    paths = [f"data/images/{name}" for name in ("images.npy", "striatal_box.npy", "subjects.csv", "cohort.json")]
    return {path: content_md5(root / path) for path in paths if (root / path).exists()}
