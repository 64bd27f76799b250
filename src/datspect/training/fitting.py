"""Fits every fold of a stage: heads as one stack on the bank, or each fold with networks of its own."""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from datspect.arrays import FloatArray
from datspect.errors import CohortError
from datspect.imaging.slabs import SLABS_SHAPE
from datspect.io.arrays import read_array
from datspect.modeling.backbone import build_backbone, layer_arrays, set_layer_arrays
from datspect.modeling.classifier import build_classifier
from datspect.modeling.ensemble import SlabMaterial, fit_ensemble
from datspect.modeling.finetuning import Material, fit_fold
from datspect.modeling.heads import FittedHead, Head
from datspect.modeling.model_files import read_weights
from datspect.modeling.network import NetworkPlan, trained_layers
from datspect.modeling.whole_ensemble import build_ensemble
from datspect.params.fitting import FittingParams
from datspect.params.running import ExecutorParams
from datspect.running.arithmetic import release_convolutions
from datspect.running.executors import completed, share_gpus
from datspect.running.progress import progress
from datspect.training import crossval
from datspect.training.curves import Curves
from datspect.training.data import TrainingData
from datspect.training.fold_files import FileCheckpoints, read_fold, write_fold

UNFINISHED = ".unfinished"
"""Folder beside those of the models; finished folds of a result lie there until the whole is done."""

log = logging.getLogger("datspect.folds")


@dataclass(frozen=True)
class Sources:
    """Where images and backbone lie."""

    images: Path
    backbone_folder: Path


def fit_folds(
    stage: str,
    heads: Sequence[Head],
    data: TrainingData,
    sources: Sources,
    params: FittingParams,
    kept: "Kept",
    curves: Curves,
) -> list[FittedHead]:
    """Fit all heads, each as if alone; `curves` grow with every epoch.

    Finished folds that were trained each by itself stay in `kept`, so that a start after a crash fits only the others.
    """
    if not params.by_fold:
        return crossval.train(
            heads, data.bank, data.targets, params.training.batch_size, stage, curves.add_epoch_of_stack
        )
    if params.model == "paper":
        release_convolutions()
    share_gpus(params.executor)
    kept.forget_others()
    fitted = kept.finished(heads)
    missing = [head for head in heads if head.name not in fitted]
    if fitted:
        log.info("%s: %d of %d folds are finished from an earlier start", stage, len(fitted), len(heads))
    for earlier in fitted.values():
        curves.finish(earlier)
    if missing:
        material = slabs_of(data, params) if params.model == "striatum" else material_of(data, sources, params)
        fitted |= fit_networks(stage, missing, material, params.executor, kept, curves)
    return [fitted[head.name] for head in heads]


@dataclass(frozen=True)
class Kept:
    """Folds of one result that are finished, in files; `key` changes with code, parameters, data and split."""

    folder: Path
    key: str

    @classmethod
    def beside(cls, models_folder: Path, result_id: str) -> "Kept":
        """Return the kept folds of the stage that writes its models to `models_folder`."""
        return cls(models_folder.parent / UNFINISHED / models_folder.name, f"{result_id}-{keras.backend.backend()}")

    def path(self, name: str) -> Path:
        """Return the file of a finished fold."""
        return self.folder / self.key / f"{name}.npz"

    def checkpoint(self, name: str) -> Path:
        """Return the file of an unfinished fold."""
        return self.folder / self.key / "checkpoints" / f"{name}.npz"

    def finished(self, heads: Sequence[Head]) -> dict[str, FittedHead]:
        """Return the finished ones among `heads`, by name."""
        return {head.name: read_fold(self.path(head.name)) for head in heads if self.path(head.name).is_file()}

    def keep(self, fitted: FittedHead) -> None:
        """Write a finished fold and remove its checkpoint."""
        write_fold(self.path(fitted.name), fitted)
        self.checkpoint(fitted.name).unlink(missing_ok=True)

    def forget_others(self) -> None:
        """Remove what belongs to other results of the stage."""
        for other in self.folder.glob("*"):
            if other.name != self.key:
                shutil.rmtree(other)

    def forget(self) -> None:
        """Remove everything, since the result is whole."""
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True)
class _Piece:
    head: Head
    checkpoint: Path
    minutes: float


class WholeModels:
    """Builds whole models, backbone and head: images come in, probabilities go out."""

    def __init__(self, sources: Sources, params: FittingParams) -> None:
        shape = read_array(sources.images, memory_mapped=True).shape[1:3]
        self._backbone = build_backbone(params.backbone.architecture, shape)
        read_weights(sources.backbone_folder / "backbone.weights.h5", self._backbone)
        self._arrays = layer_arrays(self._backbone)
        self._dropout = params.classifier.dropout

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Return the shape of one image: rows, columns, channels."""
        return tuple(self._backbone.input_shape[1:])

    def build(self, fitted: FittedHead) -> keras.Model:
        """Return the model of a head with the layers that were trained with it; building the next one changes it."""
        arrays = [(name, fitted.layers.get(name, frozen)) for name, frozen in self._arrays]
        set_layer_arrays(self._backbone, arrays)
        return build_classifier(self._backbone, fitted.weights, self._dropout)


class WholeEnsembles:
    """Builds whole ensembles: slabs come in, probabilities go out."""

    image_shape = SLABS_SHAPE

    def __init__(self, params: FittingParams) -> None:
        self._dropout = params.classifier.dropout

    def build(self, fitted: FittedHead) -> keras.Model:
        """Return the model of an ensemble."""
        return build_ensemble(fitted, self._dropout)


def fit_networks(
    what: str,
    heads: Sequence[Head],
    material: Material | SlabMaterial,
    executor: ExecutorParams,
    kept: Kept,
    curves: Curves | None = None,
) -> dict[str, FittedHead]:
    """Fine-tune a network or fit an ensemble for each of `heads`, with a progress line named `what`.

    Return the fitted folds by name; each is in `kept` as soon as it is done. `curves` grow with every epoch, wherever
    it is done.
    """
    curves = curves or Curves(heads)
    pieces = [_Piece(head, kept.checkpoint(head.name), executor.checkpoint_minutes) for head in heads]
    fitted: dict[str, FittedHead] = {}
    n_epochs = len(heads[0].learning_rates)
    bar: tqdm[None] = progress(None, total=len(heads) * n_epochs, what=f"{what}: {len(heads)} folds", unit="epochs")
    done = np.zeros(len(heads), int)

    def move(number: int, n_done: int) -> None:
        done[number] = n_done
        bar.update(int(done.sum()) - bar.n)

    def report(number: int, epochs: int | tuple[int, Sequence[Sequence[float]]]) -> None:
        if isinstance(epochs, int):  # the fold has begun
            return
        n_before, sums = epochs
        curves.add(heads[number].name, n_before, np.asarray(sums, np.float32))
        move(number, n_before + len(sums))

    with bar:
        by_threads = isinstance(material, SlabMaterial)  # an ensemble trains its members side by side
        for number, result in completed(_fit, material, pieces, executor, report, fills_cores=by_threads):
            move(number, n_epochs)
            kept.keep(result)
            curves.finish(result)
            fitted[result.name] = result
    return fitted


def _fit(material: Material | SlabMaterial, piece: _Piece, report: Any) -> FittedHead:
    """Fit one fold, in whichever process this runs, and report the sums of each epoch, as `Curves.add` takes them."""

    def watch(n_before: int, sums: FloatArray) -> None:
        report((n_before, sums.tolist()))

    checkpoints = FileCheckpoints(piece.checkpoint, piece.minutes)
    if isinstance(material, SlabMaterial):
        return fit_ensemble(piece.head, material, checkpoints, watch)
    return fit_fold(piece.head, material, checkpoints=checkpoints, watch=watch)


def slabs_of(data: TrainingData, params: FittingParams) -> SlabMaterial:
    """Return what all folds of small networks share.

    Raises
    ------
    CohortError : the bank holds no slabs.
    """
    if data.lowered is None or data.lowered.shape != (len(data.bank) - 1, len(data.targets)):
        raise CohortError("the bank holds no slabs; run stage features with model: striatum (dvc repro)")
    return SlabMaterial(data.bank, data.targets, data.lowered, params.striatum, params.training.batch_size)


def material_of(data: TrainingData, sources: Sources, params: FittingParams) -> Material:
    """Return what all folds of a fine-tuning share."""
    images = np.asarray(read_array(sources.images), np.float32)
    backbone = build_backbone(params.backbone.architecture, images.shape[1:3])
    read_weights(sources.backbone_folder / "backbone.weights.h5", backbone)
    n_layers = len(trained_layers(backbone, params.backbone.trainable))
    precision = params.finetuning.precision
    log.info(
        "fine-tuning %d layers of %s (trainable: %s) in %s",
        n_layers, backbone.name, params.backbone.trainable, precision,
    )  # fmt: skip
    return Material(
        images=images,
        labels=data.targets,
        backbone=layer_arrays(backbone),
        plan=NetworkPlan(
            architecture=params.backbone.architecture,
            image_shape=images.shape[1:3],
            trainable=params.backbone.trainable,
            batch_norm=params.finetuning.batch_norm,
            precision=precision,
        ),
        augment=params.augment,
        batch_size=params.training.batch_size,
        warmup_epochs=params.finetuning.warmup_epochs,
    )
