"""The bundle of this Python in a bare environment without an index: all of `run.sh`, at a small scale."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from benchmarks.gpu_bundle.wheels import LOCKS, locked

from datspect.io.arrays import write_array
from datspect.io.records import write_json
from datspect.io.tables import write_table
from datspect.params.whole import load_params
from datspect.stages import backbone, split

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[3]
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
N, SHAPE = 24, (34, 33)

BARE = (
    "jax", "jaxlib", "ml-dtypes", "opt-einsum", "numpy", "scipy", "h5py", "scikit-learn", "joblib", "narwhals",
    "threadpoolctl", "matplotlib", "contourpy", "cycler", "fonttools", "kiwisolver", "packaging", "pillow", "pyparsing",
    "python-dateutil", "six",
)  # fmt: skip
"""What the bundle leaves to the machine, with what that needs: no Keras, no pandas, no MLflow."""


def made_up_results(folder: Path) -> None:
    """Parameters, images of 8 bits, splits and a small network's random weights, as the stages leave them."""
    params = load_params(ROOT / "params.yaml").model_dump(mode="json")
    params["backbone"] |= {"architecture": "MobileNetV2", "weights": None}
    params["classifier"]["width"] = 8
    params["split"] |= {"n_folds": 4, "n_dev_folds": 4}
    folder.mkdir()
    (folder / "params.yaml").write_text(json.dumps(params), encoding="utf-8")
    labels = np.resize(["pd", "pd", "control"], N)
    rows, columns = np.indices(SHAPE)
    brightness = np.where(labels == "pd", 120, 200)
    spots = np.exp(-((rows - 17) ** 2 + (np.abs(columns - 16) - 6) ** 2) / 20)
    noise = np.random.default_rng(0).integers(0, 40, (N, *SHAPE, 3))
    images = (brightness[:, None, None, None] * spots[None, ..., None]).astype(int) + noise
    ids = [f"S{number:02d}" for number in range(N)]
    subjects = pd.DataFrame({"scan_id": ids, "subject_id": ids, "label": labels})
    write_array(folder / "data/images/images.npy", images.astype(np.float32) / np.float32(255))
    write_table(folder / "data/images/subjects.csv", subjects)
    write_json(folder / "data/images/cohort.json", {"kind": "phantom", "n": N, "digest": "0" * 64})
    split.main(folder / "data/images/subjects.csv", folder / "data/splits.csv", folder / "params.yaml")
    backbone.main(folder / "models/backbone", folder / "params.yaml")


def bare_environment(folder: Path) -> Path:
    """A virtual environment of `BARE` alone, of the locked versions; gives its Python."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    lock = folder / "bare.txt"
    lock.write_text(locked(BARE, [(ROOT / "requirements" / name).read_text(encoding="utf-8") for name in LOCKS]))
    python = folder / "bin" / "python"
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python]
    subprocess.run([*command, "--require-hashes", "--no-deps", "-r", lock], check=True)
    return python


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What run.sh leaves in its output folder."""
    folder = tmp_path_factory.mktemp("gpu")
    made_up_results(folder / "made_up")
    bundle, out = folder / "bundle", folder / "out"
    packing = [ROOT / "scripts" / "gpu-bundle", "--python", PYTHON, "--effort", "0", "--into", bundle]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment["PYTHONPATH"] = str(ROOT / "src")
    subprocess.run([*packing, "--results", folder / "made_up"], check=True, env=environment)
    shutil.rmtree(folder / "made_up")
    assert sum(file.stat().st_size for file in bundle.rglob("*")) < 50_000_000
    alone = {
        "PATH": os.defpath, "HOME": str(folder), "PYTHON": str(bare_environment(folder / "bare")), "SCALE": "small",
        "OUT": str(out), "PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://localhost:9/",
    }  # fmt: skip
    done = subprocess.run(["sh", bundle / "run.sh"], env=alone, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return out


@pytest.fixture(scope="module")
def training(results: Path) -> dict[str, Any]:
    return read(results / "training.json")


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_few_small_files_come_back(results: Path) -> None:
    files = list(results.iterdir())
    assert {"device.json", "rate.json", "training.json", "step.json", "mlflow.db", "summary.json"} <= {
        file.name for file in files
    }
    assert len(files) <= 8
    assert max(file.stat().st_size for file in files) < 16_000_000
    parts = read(results / "summary.json")["parts"]
    assert [(name, part["status"]) for name, part in parts.items()] == [
        ("device", 0), ("rate", 0), ("training", 0), ("step", 0),
    ]  # fmt: skip


def test_the_device_and_its_peaks_are_known(results: Path) -> None:
    found = read(results / "device.json")
    assert found["device"]["platform"] == "cpu"
    assert set(found["peak_gflops"]) == {"float32", "tf32", "bfloat16"}
    assert min(found["peak_gflops"].values()) > 0


def test_the_rate_is_measured_alone_and_side_by_side(results: Path) -> None:
    rate = read(results / "rate.json")["rate"]
    assert [(row["batch"], row["at_once"]) for row in rate["rows"]] == [(4, 1), (4, 2)]
    assert rate["not_measured"] == []
    for row in rate["rows"]:
        assert row["images_per_second"] > 0
        assert 0 < row["share_of_peak"] < 1
        # 10 folds of 500 epochs; a short run takes 16 images
        assert row["protocol_hours"] * 3600 * row["images_per_second"] == pytest.approx(10 * 500 * 16)


def test_mlflow_has_parameters_metrics_and_system_metrics_of_the_run(training: dict[str, Any]) -> None:
    run = training["mlflow"]["run"]
    assert (run["name"], run["status"]) == ("cv", "FINISHED")
    assert run["params"]["backbone.trainable"] == "all"
    assert run["params"]["training.epochs"] == "4"
    assert run["tags"]["datspect.backend"] == "jax"
    for name, value in training["metrics"]["out_of_fold"].items():
        assert run["metrics"][f"out_of_fold/{name}"] == pytest.approx(value)
    assert {"system/cpu_utilization_percentage", "system/system_memory_usage_megabytes"} <= set(run["system"])


def test_mlflow_has_curves_metrics_and_a_model_of_each_fold(training: dict[str, Any]) -> None:
    folds = training["mlflow"]["folds"]
    assert sorted(fold["name"] for fold in folds) == ["fold-01", "fold-02"]
    for fold in folds:
        assert fold["status"] == "FINISHED"
        assert {len(curve) for curve in fold["curves"].values()} == {4}
        curves = {"train_loss", "train_accuracy", "validation_loss", "validation_accuracy"}
        for name in curves:
            assert fold["curves"][f"epoch/{name}"][-1] == pytest.approx(fold["metrics"][f"fold/{name}"])
    models = training["mlflow"]["models"]
    assert [model["status"] for model in models] == ["READY", "READY"]
    for model in models:
        assert {"MLmodel", "data/model.keras"} <= set(model["files"])


def test_the_database_comes_back_whole(results: Path, training: dict[str, Any]) -> None:
    with sqlite3.connect(results / "mlflow.db") as database:
        assert database.execute("select count(*) from runs where status = 'FINISHED'").fetchone() == (3,)
    database.close()


def test_the_profile_says_where_the_time_of_a_step_goes(results: Path) -> None:
    found = read(results / "step.json")
    parts = (
        "in_epoch",
        "by_itself",
        "forward_and_head",
        "augmentation",
        "optimizer",
        "other_batch_norm",
        "folds_as_one",
    )
    assert found["not_measured"] == []
    assert min(found[part]["ms"] for part in parts) > 0
    assert found["in_epoch"]["ms"] > found["augmentation"]["ms"]
    assert found["folds_as_one"]["n_folds"] == 2
    step = found["in_epoch"]
    for rows in (step["instructions"], step["time"]):
        ways = {(row["kind"], row["way"]) for row in rows}
        assert {("DepthwiseConv2D", "forward"), ("DepthwiseConv2D", "back"), ("optimizer", "update")} <= ways
    assert sum(row["n"] for row in step["instructions"]) == step["n_instructions"]
    assert step["busy_ms"] > 0
    assert any(row["map_rows"] for row in step["time"])
