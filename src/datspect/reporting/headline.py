"""Choose the few measures that experiments are compared by: out of fold, on development folds, and of baselines."""

import math
from collections.abc import Iterable, Iterator
from typing import Any

from datspect.reporting.inputs import Inputs, JsonObject
from datspect.reporting.paper_tables import CEILING, READER, STACK

_WITH_BOUNDS = ("accuracy", "roc_auc")
_WITHOUT_BOUNDS = ("loss", "sensitivity", "specificity", "calibration_slope", "calibration_intercept")
_OF_DEVELOPMENT = ("accuracy", "roc_auc", "loss")
_OF_READER = ("accuracy", "roc_auc", "loss")
_BESIDE = (STACK, CEILING)


def headline_measures(inputs: Inputs) -> dict[str, Any]:
    """Return what `dvc exp show` and `dvc metrics diff` show: at most 25 values by short names such as `cv.accuracy`.

    Nothing in it comes from the test set, which is no place to choose an experiment by. A measure that a run does not
    have, or that is not finite, is left out.
    """
    development = inputs.final_metrics.get("dev_out_of_fold", {})
    baselines = inputs.baseline_metrics["out_of_fold"]
    reader = baselines.get(READER, {})
    found = [
        *_named("cv", inputs.cv_metrics["out_of_fold"], [*_bounded(_WITH_BOUNDS), *_WITHOUT_BOUNDS]),
        *_named("dev", development, _OF_DEVELOPMENT),
        *_named(f"baseline.{READER}", reader, _OF_READER),
        *(pair for name in _BESIDE for pair in _named(f"baseline.{name}", baselines.get(name, {}), ["roc_auc"])),
        *_named(f"cv_minus_{READER}", _lead(reader), _bounded(("loss",))),
    ]
    recipe = {"recipe": inputs.scope.recipe} if inputs.scope.recipe else {}
    return {"cohort": inputs.kind.value, **recipe, **dict(found)}


def _bounded(names: Iterable[str]) -> list[str]:
    return [f"{name}{bound}" for name in names for bound in ("", "_low", "_high")]


def _lead(reader: JsonObject) -> dict[str, Any]:
    """Return the network's measures less those of the reader of binding ratios, by the names of the measures."""
    return {name.replace("_difference", ""): value for name, value in reader.get("network_minus_this", {}).items()}


def _named(place: str, measures: JsonObject, names: Iterable[str]) -> Iterator[tuple[str, float]]:
    """Yield those of `names` that are there as `place.name`; the loss is called log_loss, as in a study."""
    for name in names:
        value = measures.get(name)
        if value is not None and math.isfinite(value):
            yield f"{place}.{name.replace('loss', 'log_loss')}", value
