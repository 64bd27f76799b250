"""Where the benchmark works: a scratch folder with a cohort a phantom seed, banks and small JSON results.

Everything is made by the stages of the graph, each of them only where its files are not there yet.
"""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from datspect.cohort.kind import CohortKind
from datspect.io.records import read_json, write_json
from datspect.params.base import read_params
from datspect.params.fitting import FittingParams
from datspect.params.whole import Params
from datspect.training.data import TrainingData, TrainingInputs, read_training_data
from measuring import BenchmarkError, machine, measured_by

DEFAULT_SEED = 2019
SEEDS = (DEFAULT_SEED, 2020, 2021, 2022, 2023)
"""Of the phantom; the first is that of params.yaml."""
TITLE = CohortKind.PHANTOM.caption
_BESIDE = ("truth.csv", "contact_sheet.png")
COHORT, BACKBONE = Path("data/phantom/cohort"), Path("models/backbone")


@dataclass(frozen=True)
class Workplace:
    """The scratch folder, and `graph`: a working tree in which `dvc repro` has run the paper's recipe.

    params.yaml and recipes/ are those of the folder in which the benchmark is started.
    """

    scratch: Path
    graph: Path

    def folder(self, seed: int) -> Path:
        """Return the folder of the cohort of a phantom seed."""
        return self.scratch / f"seed-{seed}"

    def cohort(self, seed: int) -> Path:
        """Return the cohort folder: the graph's own for its seed, else one that is simulated here."""
        own = self.graph / COHORT
        if seed == DEFAULT_SEED and (own / "participants.tsv").is_file():
            return own
        return self.folder(seed) / COHORT

    def images(self, seed: int) -> Path:
        """Return the folder of images, boxes and tables of a seed; they are made if they are not there."""
        folder, params = self.folder(seed), self.params_file(seed, "striatum")
        images, splits = folder / "data/images", folder / "data/splits.csv"
        if not (images / "truth.csv").is_file():  # the last file of the stage
            cohort = self.cohort(seed)
            if not (cohort / "participants.tsv").is_file():
                run_stage("phantom", cohort, *(folder / "data/phantom" / name for name in _BESIDE), params=params)
            run_stage("preprocess", cohort, images, params=params)
        if not splits.is_file():
            run_stage("split", images / "subjects.csv", splits, params=params)
        return images

    def params_file(self, seed: int, recipe: str) -> Path:
        """Write params.yaml with a recipe and a phantom seed, and return its path."""
        values = with_recipe(read_yaml(Path("params.yaml")), recipe)
        values["phantom"]["seed"] = seed
        path = self.folder(seed) / f"{recipe}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8") as file:
            YAML().dump(values, file)
        return path

    def params(self, seed: int, recipe: str) -> FittingParams:
        """Return what the stages that fit folds read of a recipe."""
        return read_params(FittingParams, self.params_file(seed, recipe))

    def features(self, seed: int, recipe: str) -> Path:
        """Return the folder with the bank of a recipe, which is made if it is not there, its cost noted beside it."""
        folder = self.folder(seed) / recipe / "features"
        if not (folder / "features.json").is_file():  # the last file of the stage
            images = self.images(seed)
            with measured(self, f"features-{seed}-{recipe}"):
                run_stage("features", images, self.backbone(), folder, params=self.params_file(seed, recipe))
        return folder

    def backbone(self) -> Path:
        """Return the folder of the ImageNet network.

        Raises
        ------
        BenchmarkError : the graph has not made it.
        """
        folder = self.graph / BACKBONE
        if not (folder / "backbone.json").is_file():
            raise BenchmarkError(f"{folder} holds no backbone; run make repro, or name a tree that has it by --graph")
        return folder

    def data(self, seed: int, recipe: str) -> TrainingData:
        """Return what the training stages learn from."""
        features, folder = self.features(seed, recipe), self.folder(seed)
        return read_training_data(TrainingInputs.within(folder / "data/images", features, folder / "data/splits.csv"))

    def result(self, name: str) -> Path:
        """Return the path of a result."""
        return self.scratch / "results" / f"{name}.json"

    def keep(self, name: str, figures: Mapping[str, Any]) -> dict[str, Any]:
        """Write figures with where and how they were measured, and return them."""
        how = measured_by().replace(str(self.scratch), "SCRATCH").replace(str(self.graph), "GRAPH")
        record = {**figures, "measured_by": how.replace(f"{Path.cwd()}/", ""), "machine": machine()}
        write_json(self.result(name), record)
        return record

    def known(self, name: str) -> dict[str, Any] | None:
        """Return a result, if it is there."""
        path = self.result(name)
        return read_json(path) if path.is_file() else None


@contextmanager
def measured(place: Workplace, name: str) -> Iterator[None]:
    """Keep the wall-clock and processor seconds of what is done within, and how busy the machine was."""
    started, used, load = time.perf_counter(), cpu_seconds(), os.getloadavg()[0]
    yield
    found = {
        "seconds": round(time.perf_counter() - started, 1),
        "cpu_seconds": round(cpu_seconds() - used, 1),
        "load_before": round(load, 1),
        "load_after": round(os.getloadavg()[0], 1),
    }
    place.keep(f"cost-{name}", found)


def run_stage(name: str, *paths: Path, params: Path) -> None:
    """Run a stage of the graph as DVC does, in a process of its own.

    Raises
    ------
    subprocess.CalledProcessError : it failed.
    """
    command = [sys.executable, "-m", f"datspect.stages.{name}", *map(str, paths), "--params-path", str(params)]
    subprocess.run(command, check=True)


def cpu_seconds() -> float:
    """Return the processor time of this process and of those of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def with_recipe(values: Mapping[str, Any], recipe: str) -> dict[str, Any]:
    """Return the plain values of params.yaml with those of a recipe, checked."""
    merged = merge(values, read_yaml(Path("recipes") / f"{recipe}.yaml"))
    Params.model_validate(merged)
    return merged


def merge(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values` with `changes`, section by section."""
    return {**values} | {
        key: merge(values[key], change) if isinstance(change, Mapping) else change for key, change in changes.items()
    }


def read_yaml(path: Path) -> dict[str, Any]:
    """Return plain values."""
    values: dict[str, Any] = YAML(typ="safe", pure=True).load(path.read_text("utf-8"))
    return values
