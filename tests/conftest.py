"""Fixtures that several test packages share."""

import datspect  # noqa: F401  (before NumPy: it holds the instruction set)

# isort: split
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings
from tests.sharing import built_once
from tests.tracking.projects import Recorded, migrate_database, new_project

from datspect.cohort.kind import CohortKind
from datspect.cohort.table import COLUMNS, Cohort, write_cohort
from datspect.imaging.volume import MNI_SHAPE, Volume, mni_affine
from datspect.io.digests import file_digest
from datspect.io.records import read_json, write_json
from datspect.io.volumes import write_volume
from datspect.params.network import BackboneParams
from datspect.phantom.template import mean_phantom

if TYPE_CHECKING:
    import keras

    from datspect.weights.imagenet import WeightsOrigin

MakeVolume = Callable[..., Volume]

settings.register_profile("suite", deadline=None)  # a busy machine is no failure
settings.load_profile("suite")

STRIATUM_MM = {"caudate": (13.0, 12.0, 4.0), "putamen": (27.0, 0.0, 0.0)}
"""Centres in MNI space, mirrored in x; the stored volumes lie 4 voxels (8 mm) higher."""

LONGEST = (
    "pipeline/test_graph.py",  # builds the graph; until it stands, the other worker is busy with the next
    "pipeline/test_finetuned_graph.py",
    "pipeline/test_experiments.py",
    "tuning/test_whole_study.py",
    "pipeline/test_clean_clone.py",
    "pipeline/test_striatum_graph.py",
    "pipeline/test_release.py",
    "docs/test_run.py",
    "stages/test_outliving.py",
    "modeling/test_finetuning.py",
    "stages/test_finetuned.py",
    "release/test_serving.py",
)
"""Files of tests in the order in which workers take them; all others follow."""

ALONE = "DATSPECT_TEST_IN_A_PROCESS_OF_ITS_OWN"


def pytest_configure() -> None:
    """Take back signals that whoever started the suite told it to ignore (nohup, a background job): programs of tests
    would inherit that, and tests send them."""
    for name, handler in (("SIGHUP", signal.SIG_DFL), ("SIGINT", signal.default_int_handler)):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test marked `own_process` by a pytest of its own: the suite's process has used oneDNN before."""
    if pyfuncitem.get_closest_marker("own_process") is None or ALONE in os.environ:
        return None
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib"]
    done = subprocess.run(
        [*command, pyfuncitem.nodeid],
        cwd=pyfuncitem.config.rootpath,
        env=os.environ | {ALONE: "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return True


HELD = {name: value for name, value in os.environ.items() if name == "ONEDNN_MAX_CPU_ISA"}


@pytest.fixture(autouse=True)
def instruction_set_held() -> None:
    """Processes that a test starts compute as this one does, whatever an earlier test has let go of."""
    os.environ.update(HELD)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def make_volume(rng: np.random.Generator) -> MakeVolume:
    """A volume on the stored MNI grid (LAS): a warm brain in an ordinary head, four hot balls for the striatum."""

    def make(*, caudate: float = 3.0, putamen: float = 2.0, shift_mm: float = 8.0) -> Volume:
        affine = mni_affine()
        x, y, z = (
            (affine[axis, axis] * np.arange(size) + affine[axis, 3]).reshape([-1 if a == axis else 1 for a in range(3)])
            for axis, size in enumerate(MNI_SHAPE)
        )
        z = z - shift_mm
        around = 1000 * np.clip(mean_phantom(shift_mm / 2).data[::-1], 0.02, 1.0)
        data = np.where((x / 68) ** 2 + ((y + 18) / 88) ** 2 + ((z - 5) / 70) ** 2 < 1, 1000.0, around)
        for name, ratio in (("caudate", caudate), ("putamen", putamen)):
            x0, y0, z0 = STRIATUM_MM[name]
            ball = (np.abs(x) - x0) ** 2 + (y - y0) ** 2 + (z - z0) ** 2 < 8.0**2
            data[ball] = 1000.0 * (ratio + 1)
        data += rng.integers(0, 20, MNI_SHAPE)
        return Volume(data, affine)

    return make


@pytest.fixture
def tiny_cohort(tmp_path: Path, make_volume: MakeVolume) -> Path:
    """A cohort folder of three controls and three people with Parkinson's disease."""
    folder = tmp_path / "cohort"
    (folder / "volumes").mkdir(parents=True)
    rows = []
    for number in range(6):
        label = ("control", "pd")[number % 2]
        path = folder / "volumes" / f"S{number:02d}.nii"
        strength = 1.0 if label == "control" else 0.4
        write_volume(path, make_volume(caudate=3 * strength, putamen=2 * strength**2))
        demographics = ("female" if number < 3 else "male", 55.5 + number, "site1", "BL")
        relative = path.relative_to(folder).as_posix()
        rows.append((f"S{number:02d}", f"P{number:02d}", label, *demographics, relative, file_digest(path)))
    write_cohort(Cohort(folder, CohortKind.PHANTOM, pd.DataFrame(rows, columns=list(COLUMNS))))
    return folder


def backbone_params(**changes: Any) -> BackboneParams:
    values: dict[str, Any] = {
        "architecture": "MobileNetV2",
        "weights": None,
        "trainable": "none",
        "seed": 1,
        "precision": "float32",
        "download_seconds": 30.0,
    }
    return BackboneParams(**(values | changes))


@pytest.fixture(name="backbone_params")
def backbone_params_fixture() -> Callable[..., BackboneParams]:
    return backbone_params


@pytest.fixture
def empty_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository root as the current folder, without a database of MLflow."""
    return new_project(tmp_path, monkeypatch)


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of MLflow, to copy: to migrate a new one takes seconds."""
    return built_once(tmp_path_factory, "database", migrate_database) / "mlflow.db"


@pytest.fixture
def project(empty_project: Path, migrated_database: Path) -> Path:
    """The same with a database."""
    shutil.copyfile(migrated_database, empty_project / "mlflow.db")
    return empty_project


@pytest.fixture
def recorded(project: Path) -> Recorded:
    """What the project's database holds."""
    return Recorded(project)


@pytest.fixture(scope="session")
def pretrained_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ImageNet weights of InceptionV3 from wherever this machine gets them, and their origin."""
    return built_once(tmp_path_factory, "weights", _fetch_weights)


def _fetch_weights(folder: Path) -> None:
    from datspect.modeling.backbone import build_backbone  # here, since Keras takes seconds
    from datspect.modeling.model_files import write_weights
    from datspect.weights.imagenet import set_weights

    backbone = build_backbone("InceptionV3", (109, 91))
    origin = set_weights(backbone, backbone_params(architecture="InceptionV3", weights="imagenet"))
    write_weights(folder / "backbone.weights.h5", backbone)
    write_json(folder / "origin.json", asdict(origin))


@pytest.fixture(scope="session")
def pretrained(pretrained_weights: Path) -> "tuple[keras.Model, WeightsOrigin]":
    """InceptionV3 with ImageNet weights, and their origin."""
    from datspect.modeling.backbone import build_backbone
    from datspect.modeling.model_files import read_weights
    from datspect.weights.imagenet import WeightsOrigin

    backbone = build_backbone("InceptionV3", (109, 91))
    read_weights(pretrained_weights / "backbone.weights.h5", backbone)
    return backbone, WeightsOrigin(**read_json(pretrained_weights / "origin.json"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Side by side, what takes longest must not begin last."""
    rank = {file: number for number, file in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get("/".join(item.path.parts[-2:]), len(rank)))
