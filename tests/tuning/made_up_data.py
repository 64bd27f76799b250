"""Make up what the stages before a study leave: a feature bank of subjects whose classes differ a little."""

import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pandas as pd
from ruamel.yaml import YAML

from datspect.imaging.regions import structure, structure_fractions
from datspect.imaging.striatal_box import BOX_SHAPE, box_affine
from datspect.io.arrays import write_array
from datspect.io.records import write_json
from datspect.io.tables import read_table, write_table
from datspect.stages import features
from datspect.training.data import TrainingInputs
from datspect.tuning.quiet import quiet_optuna
from datspect.tuning.storage import open_storage

ROOT = Path(__file__).parents[2]
N_SUBJECTS, N_TEST, N_FEATURES, N_DRAWS = 48, 12, 24, 3

SMALL_TUNE: dict[str, Any] = {"trials": 4, "nested_trials": 2, "check_epochs": 2, "storage": "sqlite:///optuna.db"}
SMALL_SPACE = {
    "dropout": {"low": 0.0, "high": 0.8, "scale": "linear"},
    "width": {"low": 4, "high": 8, "step": 4, "scale": "linear"},
    "initial": {"low": 1e-3, "high": 1e-1, "scale": "log"},
    "final": {"low": 1e-5, "high": 1e-3, "scale": "log"},
    "schedule": ["step", "cosine", "exponential", "constant"],
    "drops": {"low": 1, "high": 2, "step": 1, "scale": "linear"},
}
SMALL_TRAINING = {
    "epochs": 6,
    "learning_rate": {"initial": 1e-2, "final": 1e-4, "schedule": "step", "drops": 2},
}


def write_inputs(folder: Path, *, spoil_test: bool = False) -> TrainingInputs:
    """Write images, features and splits below `folder`; every second subject has Parkinson's disease.

    With `spoil_test` the features of the test subjects are NaN and their labels nonsense.
    """
    rng = np.random.default_rng(11)
    numbers = np.arange(N_SUBJECTS)
    is_test = numbers % 4 == 0
    in_training = numbers[~is_test]
    labels = np.where(rng.permutation(N_SUBJECTS) % 2, "pd", "control").astype(object)
    bank = rng.normal(size=(N_DRAWS + 1, N_SUBJECTS, N_FEATURES)) * 0.3 + rng.normal(size=(N_SUBJECTS, N_FEATURES))
    bank[:, labels == "pd", :4] += 1.0
    dev_folds = np.zeros(N_SUBJECTS, np.int64)
    dev_folds[in_training] = _folds(labels[in_training], 3)
    if spoil_test:
        bank[:, is_test] = np.nan
        labels[is_test] = "neither"
    scans = pd.DataFrame(
        {"scan_id": [f"S{k:02d}" for k in numbers], "subject_id": [f"P{k:02d}" for k in numbers], "label": labels}
    )
    splits = scans.assign(fold=numbers % 3 + 1, role=np.where(is_test, "test", "train"), dev_fold=dev_folds)
    inputs = TrainingInputs.within(folder / "images", folder / "features", folder / "splits.csv")
    write_table(inputs.subjects, scans)
    write_table(inputs.splits, splits)
    write_json(inputs.cohort, {"kind": "phantom", "n": N_SUBJECTS, "digest": "d" * 64})
    inputs.bank.parent.mkdir(parents=True, exist_ok=True)
    np.save(inputs.bank, np.where(bank < 0, 0, bank).astype(np.float16))  # NaN stays NaN
    record = {
        "backbone_source": "random",
        "backbone_tensor_digest": "e" * 64,
        "precision": "float32",
        "draws": N_DRAWS,
        "sha256_by_draw": ["f" * 64] * (N_DRAWS + 1),
    }
    write_json(inputs.bank_record, record)
    return inputs


def write_slab_inputs(folder: Path, params: Path) -> TrainingInputs:
    """Write what `write_inputs` does, with boxes whose putamina bind less in PD and the bank of slabs of `params`."""
    inputs = write_inputs(folder)
    labels = read_table(inputs.subjects, ["label"])["label"]
    putamina = sum(
        structure_fractions(structure("putamen", side), BOX_SHAPE, box_affine()) for side in ("left", "right")
    )
    noise = np.random.default_rng(3).normal(0, 0.05, (N_SUBJECTS, *BOX_SHAPE))
    binding = np.where(labels == "pd", 1.0, 3.0)[:, None, None, None]
    write_array(inputs.boxes, (1 + binding * putamina + noise).astype(np.float16))
    features.main(inputs.boxes.parent, folder / "backbone", inputs.bank.parent, params)
    return inputs


def write_params(folder: Path, **tune: Any) -> Path:
    """Write the project's params.yaml made small; `tune` changes the section of that name."""
    params = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["cohort"]["path"] = "data/other"
    params["classifier"] |= {"width": 8, "dropout": 0.5}
    params["training"] |= SMALL_TRAINING
    params["parameters_from"] = None
    params["tune"] |= {**SMALL_TUNE, "space": params["tune"]["space"] | {"paper": SMALL_SPACE}, **tune}
    path = folder / "params.yaml"
    YAML().dump(params, path)
    return path


def add_studies(folder: Path) -> str:
    """Copy an empty database of studies to `folder`, since its tables take seconds, and return its address."""
    shutil.copyfile(_empty_studies(), folder / "optuna.db")
    return f"sqlite:///{folder / 'optuna.db'}"


@cache
def _empty_studies() -> Path:
    path = Path(mkdtemp(prefix="datspect-test-")) / "optuna.db"
    with quiet_optuna():
        open_storage(f"sqlite:///{path}").engine.dispose()
    return path


def _folds(labels: np.ndarray[Any, Any], n_folds: int) -> np.ndarray[Any, Any]:
    folds = np.zeros(len(labels), np.int64)
    for label in ("control", "pd"):
        members = np.flatnonzero(labels == label)
        folds[members] = np.arange(len(members)) % n_folds + 1
    return folds
