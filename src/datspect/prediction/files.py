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

from datspect.errors import WeightsError
from datspect.evaluation.calibration import Band, Calibration
from datspect.evaluation.typicality import Typicality
from datspect.io.atomic import replacing
from datspect.io.digests import file_digest
from datspect.io.records import read_json, write_json
from datspect.modeling.heads import HeadWeights
from datspect.params.data import PreprocessParams
from datspect.params.judging import PredictionParams

FOLDER_NAME = "predictor"
"""The name of a predictor's folder on disk and among the artifacts of a version."""
MODEL_NAME, PARTS_NAME, ARRAYS_NAME = "model.keras", "predictor.json", "predictor.npz"
FILES = (MODEL_NAME, PARTS_NAME, ARRAYS_NAME)
"""All files that a prediction needs, in the order of `predictor_digest`."""

_FORMAT = 2


@dataclass(frozen=True, eq=False)
class PredictorParts:
    """What judges the whole model's answers; all of it was fitted on the training role.

    preprocess : how a volume becomes an image
    prediction : the rules in force
    cohort_kind : phantom or real
    n_train, n_pd : number of subjects that the model learnt from, and of those with PD among them
    calibration, band : fitted on the out-of-fold predictions of the development heads
    measures : coverage and accuracy of these predictions
    ranges : lowest and highest usual value of some measures of a scan
    typicality : of the features
    heads : those of the development folds; none if each fold had a network of its own
    """

    preprocess: PreprocessParams
    prediction: PredictionParams
    cohort_kind: str
    n_train: int
    n_pd: int
    calibration: Calibration
    band: Band
    measures: dict[str, float]
    ranges: dict[str, tuple[float, float]]
    typicality: Typicality
    heads: list[HeadWeights]

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
        "format": _FORMAT,
        "preprocess": parts.preprocess.model_dump(mode="json"),
        "prediction": parts.prediction.model_dump(mode="json"),
        "cohort_kind": parts.cohort_kind,
        "n_train": parts.n_train,
        "n_pd": parts.n_pd,
        "n_heads": len(parts.heads),
        "calibration": asdict(parts.calibration),
        "band": asdict(parts.band),
        "measures": parts.measures,
        "ranges": parts.ranges,
        "typicality": {"rest_variance": typicality.rest_variance, "limit": typicality.limit},
    }
    arrays: dict[str, NDArray[Any]] = {
        "typicality_mean": typicality.mean,
        "typicality_directions": typicality.directions,
        "typicality_variances": typicality.variances,
        "head_kernels": np.array([head.kernel for head in parts.heads]),
        "head_biases": np.array([head.bias for head in parts.heads]),
        "head_output_kernels": np.array([head.output_kernel for head in parts.heads]),
        "head_output_biases": np.array([head.output_bias for head in parts.heads]),
    }
    write_json(folder / PARTS_NAME, record)
    with replacing(folder / ARRAYS_NAME) as unfinished, unfinished.open("wb") as file:
        np.savez(file, allow_pickle=False, **{name: np.asarray(each, np.float32) for name, each in arrays.items()})


def read_parts(folder: Path) -> PredictorParts:
    """Read what `write_parts` wrote.

    Raises
    ------
    CohortError : the record is missing or not JSON.
    WeightsError : the arrays are missing, or a file is not what `write_parts` writes.
    """
    record = read_json(folder / PARTS_NAME)
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
    if record["format"] != _FORMAT:
        raise ValueError(f"format {record['format']}")
    heads = zip(
        *(arrays[f"head_{name}"] for name in ("kernels", "biases", "output_kernels", "output_biases")), strict=True
    )
    return PredictorParts(
        preprocess=PreprocessParams.model_validate(record["preprocess"]),
        prediction=PredictionParams.model_validate(record["prediction"]),
        cohort_kind=record["cohort_kind"],
        n_train=record["n_train"],
        n_pd=record["n_pd"],
        calibration=Calibration(**record["calibration"]),
        band=Band(**record["band"]),
        measures=record["measures"],
        ranges={name: (low, high) for name, (low, high) in record["ranges"].items()},
        typicality=Typicality(
            mean=arrays["typicality_mean"],
            directions=arrays["typicality_directions"],
            variances=arrays["typicality_variances"],
            **record["typicality"],
        ),
        heads=[HeadWeights(kernel, bias, output, float(last)) for kernel, bias, output, last in heads],
    )
