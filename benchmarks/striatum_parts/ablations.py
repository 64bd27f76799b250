"""Parts `ablations` and `learning`: one change of the network at a time, and fewer or more subjects to learn from.

Only the training role of the default phantom is seen, its development folds joined by pairs into five. All ablations
have fewer epochs than the recipe, so that there can be many; each is compared with the same base.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from typing import Any
from unittest.mock import patch

import datspect  # noqa: F401 - first, since TensorFlow reads what the package sets while it is loaded

# isort: split
import numpy as np
from keras import ops
from numpy.typing import NDArray

from datspect.arrays import BoolArray, FloatArray, IntArray
from datspect.evaluation.comparison import compare_out_of_fold
from datspect.imaging import slabs as slabs_module
from datspect.imaging import volume_augmentation
from datspect.imaging.slabs import SLAB_EDGES_MM, SLABS_SHAPE, peaks, slabs
from datspect.imaging.volume_augmentation import altered_views, draw_alterations
from datspect.io.arrays import read_array
from datspect.modeling import striatal_network
from datspect.modeling.compilation import compiled
from datspect.modeling.ensemble import fit_ensemble, member_log_odds
from datspect.modeling.heads import Head
from datspect.params.fitting import FittingParams
from datspect.params.striatum import AlterParams
from datspect.reporting.markdown import markdown_table
from datspect.reporting.paper_tables import with_interval
from datspect.training import crossval
from datspect.training.data import TrainingData
from datspect.training.fitting import slabs_of
from datspect.training.splitting import NO_FOLD
from striatum_parts.readers import RATIOS, STRIATUM, binding, measures, read_by_regression, said
from striatum_parts.workplace import DEFAULT_SEED, TITLE, Workplace

RECIPE = "epochs-40"
"""The variant that is the recipe itself."""
BASE = {"members": 3, "epochs": 20}
N_JOINED = 5
_SLICES_MM = (-1.0, 5.0)
"""What slices 40 to 42 of the default phantom hold along z, MNI mm."""


@dataclass(frozen=True)
class Variant:
    """One change.

    training, classifier, striatum, alter : values of these sections that differ
    slices : whether the slabs are the three slices of the paper
    own_peak, uptake : whether the network is given this scale alone
    unordered : whether it keeps left and right apart
    unaltered : whether it is trained on the scans as they are
    """

    title: str
    training: Mapping[str, Any] = field(default_factory=dict)
    classifier: Mapping[str, Any] = field(default_factory=dict)
    striatum: Mapping[str, Any] = field(default_factory=dict)
    alter: Mapping[str, Any] = field(default_factory=dict)
    slices: bool = False
    own_peak: bool = False
    uptake: bool = False
    unordered: bool = False
    unaltered: bool = False


VARIANTS = {
    "base": Variant("the recipe, 3 members, 20 epochs"),
    "one": Variant("1 member", striatum={"members": 1}),
    "five": Variant("5 members", striatum={"members": 5}),
    "epochs-12": Variant("12 epochs", training={"epochs": 12}),
    RECIPE: Variant("40 epochs (the recipe)", training={"epochs": 40}),
    "peak": Variant("scale: own peak alone", own_peak=True),
    "uptake": Variant("scale: uptake units alone", uptake=True),
    "sides": Variant("sides: left and right kept apart", unordered=True),
    "slices": Variant("the paper's three slices in place of the slabs", slices=True),
    "unaltered": Variant("no augmentation", unaltered=True),
    "still": Variant("no shifts, turns and sizes", alter={"shift_mm": 0.0, "turn_degrees": 0.0, "scale": 0.0}),
    "sharp": Variant("no blur and noise", alter={"blur_mm": 0.0, "noise": 0.0}),
    "whole": Variant("no controls with lowered binding", alter={"lowered_share": 0.0}),
    "maps-6": Variant("half as many maps (6)", striatum={"maps": 6}),
    "maps-24": Variant("twice as many maps (24)", striatum={"maps": 24}),
    "units-32": Variant("twice as many units (32)", classifier={"width": 32}),
}


def development(data: TrainingData) -> IntArray:
    """Return development folds joined by pairs, shape (N,); `NO_FOLD` for the test set."""
    folds = data.splits["dev_fold"].to_numpy(np.int64)
    return np.where(folds == NO_FOLD, NO_FOLD, (folds - 1) % N_JOINED + 1)


# Ablations


def measure(place: Workplace, names: Sequence[str], n_workers: int) -> dict[str, dict[str, Any]]:
    """Fit what has not been fitted yet, `n_workers` variants at a time; return all by name."""
    missing = [name for name in names if place.known(f"ablation-{name}") is None]
    place.data(DEFAULT_SEED, STRIATUM)
    side_by_side(n_workers, _fit_variant, [(place, name) for name in missing])
    return {name: record for name in VARIANTS if (record := place.known(f"ablation-{name}"))}


def side_by_side(n_workers: int, work: Callable[..., None], arguments: Sequence[tuple[Any, ...]]) -> None:
    """Call `work` with each of `arguments` in processes of one thread."""
    if not arguments:
        return
    context = get_context("spawn")
    with ProcessPoolExecutor(n_workers, context, _on_one_thread, max_tasks_per_child=None) as pool:
        for future in [pool.submit(work, *each) for each in arguments]:
            future.result()


def _on_one_thread() -> None:
    os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"


def _fit_variant(place: Workplace, name: str) -> None:
    variant = VARIANTS[name]
    params = changed(place.params(DEFAULT_SEED, STRIATUM), variant)
    data = place.data(DEFAULT_SEED, STRIATUM)
    folds = development(data)
    with in_force(variant):
        data = seen(data, variant, params, place)
        heads = crossval.dev_heads(folds, params.classifier, params.training)
        log_odds = _log_odds(heads, data, params)
    rows = folds != NO_FOLD
    place.keep(
        f"ablation-{name}",
        {"labels": data.targets[rows].tolist(), "log_odds": np.round(log_odds[rows], 5).tolist()},
    )


def _log_odds(heads: Sequence[Head], data: TrainingData, params: FittingParams) -> FloatArray:
    material, scores = slabs_of(data, params), np.full(len(data.targets), np.nan)
    for head in heads:
        scores[head.validation_rows] = member_log_odds(fit_ensemble(head, material)).mean(axis=0)[head.validation_rows]
    return scores


def changed(params: FittingParams, variant: Variant) -> FittingParams:
    """Return the recipe, as short as the base, with the variant's change."""
    striatum = params.striatum.model_copy(update={"members": BASE["members"], **variant.striatum})
    alter = AlterParams.model_validate(striatum.alter.model_dump() | variant.alter)
    return params.model_copy(
        update={
            "training": params.training.model_copy(update={"epochs": BASE["epochs"], **variant.training}),
            "classifier": params.classifier.model_copy(update=variant.classifier),
            "striatum": striatum.model_copy(update={"alter": alter}),
        }
    )


@contextmanager
def in_force(variant: Variant) -> Iterator[None]:
    """Change the network or the slabs themselves within; nothing compiled before is used."""
    with ExitStack() as changes:
        if variant.unordered:
            changes.enter_context(patch.object(striatal_network, "readings", apart))
        if variant.uptake:
            changes.enter_context(patch.object(striatal_network, "both_scales", uptake_alone))
        if variant.slices:
            edges = (*SLAB_EDGES_MM[:2], np.linspace(*_SLICES_MM, SLABS_SHAPE[2] + 1))
            for module in (slabs_module, volume_augmentation):
                changes.enter_context(patch.object(module, "SLAB_EDGES_MM", edges))
        _forget()
        yield
    _forget()


def _forget() -> None:
    compiled.cache_clear()
    volume_augmentation._root.cache_clear()


def apart(weights: list[Any], views: Any) -> Any:
    """Return the units of the left, then those of the right side, in place of the larger and the smaller."""
    channels, middle = striatal_network.both_scales(views), SLABS_SHAPE[0] // 2
    left, right = channels[:, :middle], ops.flip(channels[:, middle:], axis=1)
    units = striatal_network._units(weights, ops.concatenate([left, right], axis=0))
    return ops.concatenate(ops.split(units, 2, axis=0), axis=-1)


def uptake_alone(views: Any) -> Any:
    """Return slabs in uptake units twice, in place of both scales."""
    units = (views - striatal_network.UPTAKE_MIDDLE) / striatal_network.UPTAKE_SPREAD
    return ops.concatenate([units, units], axis=-1)


def seen(data: TrainingData, variant: Variant, params: FittingParams, place: Workplace) -> TrainingData:
    """Return what the network learns from: the bank as it is, or one with the variant's change."""
    if variant.unaltered:
        return replace(data, bank=data.bank[[0, 0]], lowered=np.zeros((1, len(data.targets)), bool))
    if variant.own_peak:
        return replace(data, bank=over_own_peak(data.bank))
    if variant.alter or variant.slices:
        boxes = read_array(place.images(DEFAULT_SEED) / "striatal_box.npy", memory_mapped=True)
        bank, lowered = altered_bank(boxes, params.striatum.alter, data.targets == 0)
        return replace(data, bank=bank, lowered=lowered)
    return data


def over_own_peak(bank: NDArray[np.float16]) -> NDArray[np.float16]:
    """Return every view over its own peak, so that both scales tell the same; the usual peak is 3 times the brain's."""
    return np.stack([(3 * draw / peaks(draw)[:, None]).astype(np.float16) for draw in bank.astype(np.float32)])


def altered_bank(
    boxes: FloatArray, params: AlterParams, is_control: BoolArray
) -> tuple[NDArray[np.float16], BoolArray]:
    """Return a bank as stage `features` makes it, and whose binding is lowered."""
    alterations = draw_alterations(params, is_control)
    n, size = len(boxes), int(np.prod(SLABS_SHAPE))
    clean = [slabs(boxes[start : start + 64]).reshape(-1, size) for start in range(0, n, 64)]
    views = [block.reshape(-1, size).astype(np.float16) for block in altered_views(boxes, alterations, params)]
    bank = np.concatenate([np.concatenate(clean).astype(np.float16), *views]).reshape(-1, n, size)
    return bank, alterations.lowered


def parts(records: Mapping[str, Mapping[str, Any]], place: Workplace) -> list[str]:
    """Return the table of changes, and the regression on measured binding on the same folds."""
    base = records["base"]
    labels = np.array(base["labels"])
    rows = [["change", "accuracy", "ROC AUC", "log loss", "slope", "log loss minus the base's"]]
    for name, record in records.items():
        rows.append(_row(VARIANTS[name].title, labels, record["log_odds"], base["log_odds"]))
    rows.append(_row("regression on measured binding", labels, ratios(place), base["log_odds"]))
    return [
        f"{len(labels)} subjects of the training role, {N_JOINED} folds of development folds joined by pairs, out of "
        f"fold; the difference is paired, with its 95 % interval ({TITLE}, seed {DEFAULT_SEED}).",
        markdown_table(rows),
    ]


def ratios(place: Workplace) -> list[float]:
    """Return the log odds of the regression on measured binding on the same folds."""
    data = place.data(DEFAULT_SEED, STRIATUM)
    folds = development(data)
    rows = folds != NO_FOLD
    columns = binding(place.images(DEFAULT_SEED), data.splits["scan_id"])[RATIOS]
    return [float(value) for value in read_by_regression(columns[rows], data.targets[rows], folds[rows])]


def _row(title: str, labels: IntArray, log_odds: Sequence[float], base: Sequence[float]) -> list[str]:
    found = measures(labels, np.array(log_odds))
    against = compare_out_of_fold(labels, said(np.array(log_odds)), said(np.array(base)))
    shown = [f"{found[name]:.3f}" for name in ("accuracy", "roc_auc", "loss")]
    difference = "" if log_odds is base else with_interval(against, "loss_difference", signed=True)
    return [title, *shown, f"{found['calibration_slope']:.2f}", difference]
