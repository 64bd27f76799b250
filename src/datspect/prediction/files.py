"""Write and read a predictor: the whole model, a record in JSON and arrays in NPZ; nothing is pickled."""

import hashlib
import shutil
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from datspect.arrays import FloatArray
from datspect.cohort.kind import CohortKind
from datspect.cohort.scope import Scope
from datspect.errors import WeightsError
from datspect.evaluation.calibration import Calibration
from datspect.evaluation.doubt import Doubt
from datspect.evaluation.normal_range import Controls
from datspect.evaluation.regression import Regression
from datspect.evaluation.typicality import Typicality
from datspect.evaluation.withholding import Withholding
from datspect.io.atomic import replacing
from datspect.io.digests import file_digest
from datspect.io.records import read_json, write_json
from datspect.params.data import PreprocessParams
from datspect.params.judging import PredictionParams
from datspect.params.striatum import Model

FOLDER_NAME = "predictor"
"""The name of a predictor's folder on disk and among the artifacts of a version."""
MODEL_NAME, PARTS_NAME, ARRAYS_NAME = "model.keras", "predictor.json", "predictor.npz"
FILES = (MODEL_NAME, PARTS_NAME, ARRAYS_NAME)
"""All files that a prediction needs, in the order of `predictor_digest`."""

_FORMATS: dict[Model, int] = {"paper": 5, "striatum": 6}
"""What this release writes and reads. Earlier releases refuse it: they would answer what is to be withheld."""
_EARLIER = (3, 4)
"""Formats of predictors that know no limits beyond which a scan is withheld."""


@dataclass(frozen=True, eq=False)
class PredictorParts:
    """What judges the whole model's answers; all of it was fitted on the training role.

    model : what the whole model sees of a volume: the paper's image, or slabs of the striatum
    preprocess : how a volume becomes an image
    prediction : the rules in force
    cohort_kind : phantom or real
    n_train, n_pd : number of subjects that the model learnt from, and of those with PD among them
    calibration : fitted on the out-of-fold predictions of the development heads
    regression : the answer of the binding ratios, columns as `ordered_sides` gives them
    doubt : when the two leave an answer inconclusive
    measures : what the rule is worth, out of fold
    ranges : lowest and highest usual value of some measures of a scan
    typicality : of the features
    withholding : the limits beyond which a scan is not answered
    recipe : the one that the model was trained by, "" if it is the paper's
    spread_limit : how far the members of an ensemble usually differ at most; None for a single network
    controls : what the binding ratios of the training role's controls are like; None if they were too few, or if the
        predictor was made before ranges were kept
    normal : mean slabs of the training role's controls, shape (28, 24, 4); None for the paper's model
    """

    preprocess: PreprocessParams
    prediction: PredictionParams
    cohort_kind: str
    n_train: int
    n_pd: int
    calibration: Calibration
    regression: Regression
    doubt: Doubt
    measures: dict[str, float]
    ranges: dict[str, tuple[float, float]]
    typicality: Typicality
    withholding: Withholding
    model: Model = "paper"
    recipe: str = ""
    spread_limit: float | None = None
    normal: FloatArray | None = None
    controls: Controls | None = None

    @property
    def scope(self) -> Scope:
        """What the model's figures are of."""
        return Scope(CohortKind.of(self.cohort_kind), self.recipe)

    @property
    def prevalence(self) -> float:
        """The share of PD for which the calibrated probabilities are right."""
        return self.n_pd / self.n_train


def copy_model(model: Path, folder: Path) -> None:
    """Copy a saved whole model into a predictor's folder."""
    with replacing(folder / MODEL_NAME) as unfinished:
        shutil.copyfile(model, unfinished)


def write_parts(folder: Path, parts: PredictorParts) -> None:
    """Write `PARTS_NAME` and `ARRAYS_NAME`."""
    typicality = parts.typicality
    record = {
        "format": _FORMATS[parts.model],
        **({} if parts.model == "paper" else {"model": parts.model, "spread_limit": parts.spread_limit}),
        "preprocess": parts.preprocess.model_dump(mode="json"),
        "prediction": parts.prediction.model_dump(mode="json"),
        "cohort_kind": parts.cohort_kind,
        "n_train": parts.n_train,
        "n_pd": parts.n_pd,
        "calibration": asdict(parts.calibration),
        "regression": {
            "medians": parts.regression.medians.tolist(),
            "weights": parts.regression.weights.tolist(),
            "intercept": parts.regression.intercept,
        },
        "doubt": asdict(parts.doubt),
        "measures": parts.measures,
        "ranges": parts.ranges,
        "typicality": {"rest_variance": typicality.rest_variance, "limit": typicality.limit},
        "withholding": asdict(parts.withholding),
        **({"recipe": parts.recipe} if parts.recipe else {}),
        **({} if parts.controls is None else {"controls": parts.controls.record}),
    }
    arrays: dict[str, NDArray[Any]] = {
        "typicality_mean": typicality.mean,
        "typicality_directions": typicality.directions,
        "typicality_variances": typicality.variances,
    }
    if parts.normal is not None:
        arrays["normal"] = parts.normal
    write_json(folder / PARTS_NAME, record)
    with replacing(folder / ARRAYS_NAME) as unfinished, unfinished.open("wb") as file:
        np.savez(file, allow_pickle=False, **{name: np.asarray(each, np.float32) for name, each in arrays.items()})


def read_parts(folder: Path) -> PredictorParts:
    """Read what `write_parts` wrote.

    Raises
    ------
    CohortError : the record is missing or not JSON.
    WeightsError : the arrays are missing, or a file is not what `write_parts` of this release writes.
    """
    record = read_json(folder / PARTS_NAME)
    found = record.get("format") if isinstance(record, dict) else None
    if found in _EARLIER:
        raise WeightsError(
            f"{folder}: a predictor from before scans could be withheld (format {found}), which answers whatever it is "
            "given; make it anew with dvc repro predictor, or read it with the release that wrote it"
        )
    if found not in (known := list(_FORMATS.values())):
        raise WeightsError(
            f"{folder}: not a predictor that this release reads (format {found}, expected {known[0]} or {known[1]}); "
            "make it anew with dvc repro, or read it with the release that wrote it"
        )
    try:
        with np.load(folder / ARRAYS_NAME, allow_pickle=False) as file:
            return _parts(record, {name: file[name] for name in file.files})
    except FileNotFoundError:
        raise WeightsError(f"{folder / ARRAYS_NAME}: no such file") from None
    except (OSError, EOFError, KeyError, TypeError, ValueError, ValidationError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{folder}: not a predictor that this release reads ({type(error).__name__})") from error


def predictor_digest(folder: Path) -> str:
    """Return a name that changes with any byte of a predictor's files: hexadecimal SHA-256 of their digests.

    Raises
    ------
    WeightsError : a file is missing.
    """
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise WeightsError(f"{folder}: no predictor, {', '.join(missing)} missing; run dvc repro")
    return hashlib.sha256("".join(file_digest(folder / name) for name in FILES).encode()).hexdigest()


def _parts(record: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> PredictorParts:
    regression, doubt = record["regression"], record["doubt"]
    model: Model = record.get("model", "paper")
    if record["format"] != _FORMATS[model]:
        raise ValueError(f"format {record['format']} of model {model}")
    return PredictorParts(
        # A predictor from before images could be smoothed says nothing of it.
        preprocess=PreprocessParams.model_validate({"smooth_fwhm_mm": None} | record["preprocess"]),
        prediction=PredictionParams.model_validate(record["prediction"]),
        cohort_kind=record["cohort_kind"],
        n_train=record["n_train"],
        n_pd=record["n_pd"],
        calibration=Calibration(**record["calibration"]),
        regression=Regression(
            np.array(regression["medians"]), np.array(regression["weights"]), float(regression["intercept"])
        ),
        doubt=Doubt(tuple(doubt["weights"]), doubt["intercept"], doubt["limit"]),
        measures=record["measures"],
        ranges={name: (low, high) for name, (low, high) in record["ranges"].items()},
        typicality=Typicality(
            mean=arrays["typicality_mean"],
            directions=arrays["typicality_directions"],
            variances=arrays["typicality_variances"],
            **record["typicality"],
        ),
        withholding=Withholding(
            {name: (low, high) for name, (low, high) in record["withholding"]["ranges"].items()},
            record["withholding"]["at_most"],
        ),
        model=model,
        recipe=record.get("recipe", ""),
        spread_limit=record.get("spread_limit"),
        normal=arrays["normal"] if model == "striatum" else None,
        # A predictor from before ranges of controls were kept has none.
        controls=Controls.of(record["controls"]) if "controls" in record else None,
    )
