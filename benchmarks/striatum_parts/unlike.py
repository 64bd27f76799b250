"""Part `unlike`: disease that looks unlike the cohort's, answered by the final predictors of both recipes.

Healthy subjects whom no model has seen, of the phantom that the models were trained on, are scanned with binding
lowered alike everywhere, in one putamen, or in both with the caudates spared. It is true binding that is lowered,
before any camera.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datspect.arrays import FloatArray
from datspect.cohort.table import CONTROL, PD
from datspect.evaluation.intervals import wilson_interval
from datspect.imaging.volume import MNI_SHAPE, Volume, mni_affine
from datspect.io.scan_reading import ReadScan
from datspect.params.data import PhantomParams
from datspect.params.whole import load_params
from datspect.phantom.binding import MEASURED
from datspect.phantom.cohort import Laboratory, build_laboratory, simulate
from datspect.phantom.recovery import Recovery
from datspect.prediction.predictor import Answer, Predictor, PreparedScan
from datspect.reporting.markdown import markdown_table
from datspect.running.pool import unordered
from datspect.running.progress import progress
from measuring import Goal
from striatum_parts.readers import PAPER, STRIATUM
from striatum_parts.workplace import DEFAULT_SEED, TITLE, Workplace, measured, run_stage

FIRST_INDEX = 100_000
"""Far beyond those of any cohort: nobody has trained on these subjects."""
LOSSES: Mapping[str, tuple[float, float, float]] = {
    "nothing": (1.0, 1.0, 1.0),
    "all alike at 0.8": (0.8, 0.8, 0.8),
    "all alike at 0.6": (0.6, 0.6, 0.6),
    "all alike at 0.4": (0.4, 0.4, 0.4),
    "all alike at 0.25": (0.25, 0.25, 0.25),
    "one putamen at 0.4": (1.0, 0.4, 1.0),
    "both putamina at 0.4, caudates spared": (1.0, 0.4, 0.4),
}
"""What is left of the binding of (both caudates, putamen of one side, putamen of the other)."""
ILL = ("all alike at 0.4", "all alike at 0.25", "one putamen at 0.4", "both putamina at 0.4, caudates spared")
OLD = "all alike at 0.8"
CALLED_PD, OF_THE_OLD = 0.95, 0.05
BETWEEN: Mapping[str, tuple[tuple[str, ...], tuple[float, float]]] = {
    "all alike": (
        ("nothing", "all alike at 0.8", "all alike at 0.6", "all alike at 0.4", "all alike at 0.25"),
        (0.65, 0.45),
    ),
    "both putamina": (("nothing", "both putamina at 0.4, caudates spared"), (0.7, 0.55)),
    "one putamen": (("nothing", "one putamen at 0.4"), (0.7, 0.6)),
}
"""Between which means a loss is interpolated, and where a network trained on some 1,700 clinical scans is uncertain."""
_LEFT = {name: min(left) for name, left in LOSSES.items()}


@dataclass(frozen=True)
class Lowered(Recovery):
    """A recovery whose subjects have lost binding; `left`: the share that is left, shape (6,), as `MEASURED` has it."""

    left: FloatArray

    def true_binding(self, measured: FloatArray) -> FloatArray:
        """Return what is left of the true binding."""
        return super().true_binding(measured) * self.left


def left_by_region(loss: tuple[float, float, float], worse: str) -> FloatArray:
    """Return what is left in the order of `MEASURED`, shape (6,), if `worse` is the side of the second number.

    >>> left_by_region((1.0, 0.4, 0.9), "left").tolist()
    [1.0, 1.0, 0.4, 0.9, 0.4, 0.9]
    """
    caudates, one, other = loss
    return np.array(
        [caudates if name.startswith("caudate") else one if name.endswith(worse) else other for name in MEASURED]
    )


def one_sided(loss: tuple[float, float, float]) -> bool:
    """Return whether a loss is of one side alone."""
    return loss[1] != loss[2]


def healthy(params: PhantomParams) -> PhantomParams:
    """Return the phantom without controls who bind as PD do."""
    return params.model_copy(update={"discordant_control": 0.0})


def lowered_laboratory(laboratory: Laboratory, loss: tuple[float, float, float], worse: str) -> Laboratory:
    """Return a laboratory whose subjects have lost binding."""
    recovery = laboratory.recovery
    return replace(laboratory, recovery=Lowered(recovery.matrix, recovery.offset, left_by_region(loss, worse)))


@dataclass(frozen=True)
class _Scan:
    """A scan: what was lost, the number of its subject, and what each predictor needs of it.

    in_units : float32, the stored volume over the mean of its reference
    """

    loss: str
    number: int
    misregistered: bool
    in_units: FloatArray
    prepared: Mapping[str, PreparedScan]


def _scan(laboratory: Laboratory, predictors: Mapping[str, Predictor], item: tuple[str, int]) -> _Scan:
    loss, number = item
    lowered = lowered_laboratory(laboratory, LOSSES[loss], ("left", "right")[number % 2])
    simulation = simulate(lowered, CONTROL, FIRST_INDEX + number)
    in_units = (simulation.data / simulation.data[laboratory.regions.reference].mean()).astype(np.float32)
    if one_sided(LOSSES[loss]) and number % 2:
        in_units = in_units[::-1]  # the loss of all is on the left, so that a mean can be taken
    prepared = {
        name: replace(predictor.prepare(_as_read(simulation.data)), volume=None)
        for name, predictor in predictors.items()
    }
    return _Scan(loss, number, bool(simulation.anatomy.is_misregistered), in_units, prepared)


def measure(place: Workplace, n_each: int) -> dict[str, Any]:
    """Simulate the scans, answer them by both predictors, and read both on means of scans."""
    known = place.known("unlike")
    if known and known["n_each"] == n_each:
        return known
    folders = {STRIATUM: final_predictor(place), PAPER: place.graph / "models/predictor"}
    predictors = {name: Predictor.read(folder) for name, folder in folders.items() if folder.is_dir()}
    params = healthy(load_params(place.params_file(DEFAULT_SEED, STRIATUM)).phantom)
    answers, means = _answers(predictors, build_laboratory(params), n_each)
    figures = {
        "n_each": n_each,
        "answers": answers,
        "crossings": {name: crossings(one, means) for name, one in predictors.items()},
    }
    return place.keep("unlike", figures)


def _answers(
    predictors: Mapping[str, Predictor], laboratory: Laboratory, n_each: int
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, FloatArray]]:
    """Return what each predictor says of each scan, and the mean of each loss over the reference, as stored."""
    items = [(loss, number) for number in range(n_each) for loss in LOSSES]
    scans = unordered(partial(_scan, laboratory, predictors), items)
    found, means = [], {loss: np.zeros(MNI_SHAPE) for loss in LOSSES}
    for scan in progress(scans, total=len(items), what="unlike", unit="scans"):
        means[scan.loss] += scan.in_units / n_each
        found.append(replace(scan, in_units=np.zeros(0)))
    answers = {
        name: [
            {"loss": scan.loss, "number": scan.number, "misregistered": scan.misregistered, **_shown(answer)}
            for scan, answer in zip(found, predictor.answers([one.prepared[name] for one in found]), strict=True)
        ]
        for name, predictor in predictors.items()
    }
    return answers, means


def _as_read(data: NDArray[Any]) -> ReadScan:
    """Return a stored scan as if it had been read from a file."""
    return ReadScan(Volume(np.asarray(data, np.int16), mni_affine()), "header", "mni", 1.0)


def _shown(answer: Answer) -> dict[str, Any]:
    return {
        "probability": round(answer.probability, 4),
        "ratio_probability": round(answer.ratio_probability, 4),
        "prediction": answer.prediction,
        "inconclusive": answer.inconclusive,
        "unlike": list(answer.unlike),
    }


def final_predictor(place: Workplace) -> Path:
    """Return the folder of the striatum predictor on the default phantom, made by stages `final` and `predictor`."""
    folder = place.folder(DEFAULT_SEED)
    models, reports, predictor = (folder / STRIATUM / name for name in ("final", "reports", "predictor"))
    features, images, splits = (
        place.features(DEFAULT_SEED, STRIATUM),
        folder / "data/images",
        folder / "data/splits.csv",
    )
    params = place.params_file(DEFAULT_SEED, STRIATUM)
    if not (reports / "final/run.json").is_file():
        with measured(place, f"final-{DEFAULT_SEED}-{STRIATUM}"):
            run_stage("final", images, features, place.backbone(), splits, models, reports / "final", params=params)
    if not (reports / "predictor/metrics.json").is_file():
        paths = (images, features, splits, models, reports / "final", predictor, reports / "predictor")
        run_stage("predictor", *paths, params=params)
    return predictor


def crossings(predictor: Predictor, means: Mapping[str, FloatArray]) -> dict[str, Any]:
    """Return P(PD) of means of scans by what is left of the binding, and where it crosses 0.5.

    Means between those that were scanned are interpolated: activity is linear in binding.
    """
    found = {}
    for name, (steps, _) in BETWEEN.items():
        left = [_LEFT[step] for step in steps]
        curve = {}
        for factor in np.round(np.arange(1.0, min(left) - 0.001, -0.05), 2):
            mean = np.array([np.interp(factor, left[::-1], weights) for weights in np.eye(len(left))[:, ::-1]])
            volume = np.tensordot(mean, np.stack([means[step] for step in steps]), 1)
            answer = predictor.answers([predictor.prepare(_as_read(np.rint(volume * 1000)))])[0]
            curve[float(factor)] = round(answer.probability, 4)
        found[name] = {"curve": curve, "crosses": crossing(curve)}
    return found


def crossing(curve: Mapping[float, float]) -> float | None:
    """Return the factor at which a curve of P by factor first reaches 0.5, coming from 1; None if it never does.

    >>> crossing({1.0: 0.0, 0.6: 0.25, 0.5: 0.75})
    0.55
    """
    factors = sorted(curve, reverse=True)
    for above, below in pairwise(factors):
        if curve[above] < 0.5 <= curve[below]:
            share = (0.5 - curve[above]) / (curve[below] - curve[above])
            return round(above + share * (below - above), 3)
    return None


def parts(record: Mapping[str, Any]) -> list[str]:
    """Return the answers by loss and model, and where probabilities cross 0.5."""
    head = ["binding left", "model", "called PD", "for sure", "control for sure", "inconclusive", "unlike", "median P"]
    rows = [head]
    for loss in LOSSES:
        for name, answers in record["answers"].items():
            mine = [one for one in answers if one["loss"] == loss]
            rows.append([loss, name, *_shares(mine)])
    curves = [["mean of controls", "model", "P crosses 0.5 at", "clinical network uncertain", "at 0.8", "at 0.4"]]
    for case, (_, (high, low)) in BETWEEN.items():
        for name, found in record["crossings"].items():
            curve = {float(key): value for key, value in found[case]["curve"].items()}
            at = found[case]["crosses"]
            shown = "never" if at is None else f"{at:.2f}"
            curves.append([case, name, shown, f"{high} to {low}", f"{curve[0.8]:.3f}", f"{curve[0.4]:.3f}"])
    return [
        f"{record['n_each']} healthy phantoms whom neither model was trained on, with so much of their true binding "
        f"left; called by the calibrated probability ({TITLE}):",
        markdown_table(rows, 2),
        f"The mean of these {record['n_each']} scans, lowered evenly, as one scan:",
        markdown_table(curves, 2),
    ]


def _shares(answers: Sequence[Mapping[str, Any]]) -> list[str]:
    n = len(answers)
    n_pd = sum(one["prediction"] == PD for one in answers)
    low, high = wilson_interval(n_pd, n)
    inconclusive = sum(one["inconclusive"] for one in answers)
    unlike = sum(bool(one["unlike"]) for one in answers)
    return [
        f"{n_pd} of {n}, {n_pd / n:.3f} ({low:.3f} to {high:.3f})",
        str(len(sure(answers, PD))),
        str(len(sure(answers, CONTROL))),
        str(inconclusive),
        str(unlike),
        f"{np.median([one['probability'] for one in answers]):.3f}",
    ]


def sure(answers: Sequence[Mapping[str, Any]], label: str) -> list[Mapping[str, Any]]:
    """Return the answers that say `label` and are not inconclusive."""
    return [one for one in answers if one["prediction"] == label and not one["inconclusive"]]


def goals(record: Mapping[str, Any]) -> list[Goal]:
    """Return what the striatum predictor had to show."""
    answers = record["answers"][STRIATUM]
    of_loss = {loss: [one for one in answers if one["loss"] == loss] for loss in LOSSES}
    found = [goal for loss in ILL for goal in _of_the_ill(loss, of_loss[loss])]
    old = of_loss[OLD]
    n_sure = len(sure(old, PD))
    limit = f"{n_sure} of these answers is not inconclusive" if n_sure == 1 else f"{n_sure} are not inconclusive"
    share = _share_of_pd(old)
    found.append(Goal(f"{OLD}: called PD", f"at most {OF_THE_OLD:.0%}", f"{share:.1%}", share <= OF_THE_OLD, limit))
    for case, (_, (high, low)) in BETWEEN.items():
        at = record["crossings"][STRIATUM][case]["crosses"]
        met, name = at is not None and low <= at <= high, f"mean of controls, {case}: P crosses 0.5"
        found.append(Goal(name, f"{high} to {low}", f"{at}", met, "the training has no example of that kind"))
    return found


def _of_the_ill(loss: str, answers: Sequence[Mapping[str, Any]]) -> list[Goal]:
    missed, share = sure(answers, CONTROL), _share_of_pd(answers)
    off = sum(one["misregistered"] for one in missed)
    limit = f"of these {len(missed)}, {off} are scans whose registration failed"
    return [
        Goal(f"{loss}: called control for sure", "0", str(len(missed)), not missed, limit),
        Goal(f"{loss}: called PD", f"at least {CALLED_PD:.0%}", f"{share:.1%}", share >= CALLED_PD, "see above"),
    ]


def _share_of_pd(answers: Sequence[Mapping[str, Any]]) -> float:
    return sum(one["prediction"] == PD for one in answers) / len(answers)
