"""A params.yaml for a stage to read, and what the stages before training leave, made up."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from datspect.io.arrays import write_array
from datspect.io.records import write_json
from datspect.io.tables import write_table
from datspect.modeling.backbone import build_backbone, set_random_weights
from datspect.modeling.model_files import write_weights
from datspect.stages import cv, final, grouped, predictor

ROOT = Path(__file__).parents[2]
WriteParams = Callable[..., Path]
N = 24
SHAPE = (36, 32)


def write_params_to(folder: Path, **sections: dict[str, object]) -> Path:
    """Write the project's params.yaml with some sections changed, for a cohort that is not the phantom."""
    params = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["cohort"]["path"] = "data/other"
    for section, changes in sections.items():
        params[section] |= changes
    path = folder / "params.yaml"
    YAML().dump(params, path)
    return path


@pytest.fixture
def write_params(tmp_path: Path) -> WriteParams:
    return partial(write_params_to, tmp_path)


@dataclass(frozen=True)
class Inputs:
    """Folders as the stages before would have left them."""

    root: Path
    params: Path

    def change(self, **sections: dict[str, object]) -> None:
        """Change parameters."""
        values = YAML(typ="safe", pure=True).load(self.params.read_text("utf-8"))
        for section, changes in sections.items():
            values[section] |= changes
        YAML().dump(values, self.params)

    def cv(self, name: str) -> Path:
        reports = self.root / name
        cv.main(
            self.root / "images", self.root / "features", self.root / "backbone", self.root / "splits.csv",
            self.root / "models" / name, reports, self.params,
        )  # fmt: skip
        return reports

    def final(self, name: str) -> Path:
        reports = self.root / name
        final.main(
            self.root / "images", self.root / "features", self.root / "backbone", self.root / "splits.csv",
            self.root / "models" / name, reports, self.params,
        )  # fmt: skip
        return reports

    def grouped(self, random: str, name: str) -> Path:
        reports = self.root / name
        grouped.main(
            self.root / "images", self.root / "features", self.root / "backbone", self.root / "splits.csv",
            self.root / "cameras.csv", self.root / random, self.root / "models" / name, reports, self.params,
        )  # fmt: skip
        return reports

    def grouped_beside_made_up_folds(self) -> pd.DataFrame:
        """Train the folds grouped by site, beside random ones that trained nothing; return their predictions."""
        self.change(split={"group": "site"})
        splits = pd.read_csv(self.root / "splits.csv")
        write_table(self.root / "made_up_cv" / "predictions.csv", splits.assign(probability=0.5))
        return pd.read_csv(self.grouped("made_up_cv", "grouped") / "predictions.csv")

    def predictor(self, final: str, name: str) -> Path:
        reports = self.root / name
        predictor.main(
            self.root / "images", self.root / "features", self.root / "splits.csv", self.root / "models" / final,
            self.root / final, self.root / "models" / name, reports, self.params,
        )  # fmt: skip
        return reports

    def copied(self, folder: Path) -> "Inputs":
        """The same in another folder."""
        shutil.copytree(self.root, folder, dirs_exist_ok=True)
        return Inputs(folder, folder / self.params.name)

    @contextmanager
    def tracked(self) -> Iterator[None]:
        """MLflow records what the stages do in a database beside them."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{self.root / 'mlflow.db'}")
            patch.setenv("DVC_ROOT", str(self.root))
            yield


@pytest.fixture(scope="session")
def made_up(tmp_path_factory: pytest.TempPathFactory, migrated_database: Path) -> Inputs:
    """Inputs to copy: a network takes seconds to build."""
    root, rng = tmp_path_factory.mktemp("made-up"), np.random.default_rng(7)
    shutil.copyfile(migrated_database, root / "mlflow.db")
    params = write_params_to(
        root,
        backbone={"architecture": "MobileNetV2"},
        classifier={"width": 8},
        training={
            "epochs": 3,
            "learning_rate": {"initial": 1e-2, "final": 1e-3, "schedule": "step", "drops": 1},
        },
    )
    scan_ids = [f"S{k:02d}" for k in range(N)]
    labels = ["pd" if k % 3 else "control" for k in range(N)]
    subjects = pd.DataFrame({"scan_id": scan_ids, "subject_id": [f"P{k:02d}" for k in range(N)], "label": labels})
    splits = subjects.assign(
        fold=np.arange(N) // 3 % 4 + 1,
        role=["test" if k < 6 else "train" for k in range(N)],
        dev_fold=[0 if k < 6 else (k // 3) % 2 + 1 for k in range(N)],
    )
    backbone = build_backbone("MobileNetV2", SHAPE)
    set_random_weights(backbone, 1)
    images = rng.random((N, *SHAPE, 3)).astype(np.float32)
    clean = backbone.predict(images, verbose=0)
    write_weights(root / "backbone" / "backbone.weights.h5", backbone)
    write_array(root / "images" / "images.npy", images)
    write_table(root / "images" / "subjects.csv", subjects)
    write_json(root / "images" / "cohort.json", {"kind": "phantom", "n_scans": N, "digest": "d" * 64})
    quality = subjects[["scan_id"]].assign(peak_slice=np.arange(N) % 3 + 40, striatal_contrast=rng.random(N) + 20)
    binding = {f"sbr_{part}_{side}": rng.random(N) + 1 for part in ("caudate", "putamen") for side in ("left", "right")}
    appearance = {
        "unevenness": 0.13 + np.arange(N) % 5 / 100,
        "air": np.arange(N) % 4 / 100,
        "grain": 0.05 + np.arange(N) % 6 / 1000,
    }
    write_table(root / "images" / "quality.csv", quality.assign(**binding, **appearance))
    write_table(root / "splits.csv", splits.iloc[::-1])
    sites = [f"site{k % 5}" for k in range(N)]
    cameras = subjects.assign(signature="resolution 1", group=sites, grouped_fold=np.arange(N) % 5 + 1)
    write_table(root / "cameras.csv", cameras.iloc[::-1])
    (root / "features").mkdir()
    bank = np.stack([clean, clean * 0.98, clean * 1.02]).astype(np.float16)
    np.save(root / "features" / "bank.npy", bank)
    record = {"backbone_source": "random", "backbone_tensor_digest": "e" * 64, "precision": "float32", "draws": 2}
    write_json(root / "features" / "features.json", record)
    return Inputs(root, params)


@pytest.fixture
def inputs(made_up: Inputs, tmp_path: Path) -> Iterator[Inputs]:
    copy = made_up.copied(tmp_path)
    with copy.tracked():
        yield copy
