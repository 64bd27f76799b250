"""Serve the predictor as an MLflow model that takes NIfTI files; it carries this package and no pickle."""

import json
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
from joblib import cpu_count
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

from datspect.errors import PrevalenceError, ScanError
from datspect.io.records import read_json
from datspect.io.scan_reading import read_nifti_bytes
from datspect.params.striatum import Model
from datspect.prediction.files import FOLDER_NAME, PARTS_NAME
from datspect.prediction.predictor import Answer, Predictor, PreparedScan
from datspect.release.request_body import MAX_FILE_BYTES, MAX_SCANS
from datspect.release.turns import Turns
from datspect.tracking import pip_requirements

MEASURES = ("sbr_caudate_left", "sbr_caudate_right", "sbr_putamen_left", "sbr_putamen_right", "feature_distance")
"""Measures of a scan that are sent with the answer."""
MOST_REGISTERED_AT_ONCE = 8
"""The largest scans, of 256 x 256 x 256 voxels, take 300 MB each meanwhile."""

_ENTRY = Path(__file__).parent / "served_model.py"
_PACKAGES = (
    "filelock", "h5py", "jinja2", "joblib", "matplotlib", "mlflow", "nibabel", "nilearn", "pandas", "psutil",
    "pydantic", "pydicom", "ruamel.yaml", "scikit-learn", "scipy", "SimpleITK", "threadpoolctl", "tqdm", "typer",
)  # fmt: skip
"""What this package imports, beside NumPy and, for the paper's model, Keras and its backend."""


class ScanModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Answer scans given in column `nifti` (bytes); an optional column `scan_id` comes back unchanged."""

    def load_context(self, context: Any) -> None:
        """Read the predictor from the model's artifacts."""
        self.predictor = Predictor.read(Path(context.artifacts[FOLDER_NAME]), stays=True)
        self.predictor.warm_up()  # now, not at the first request
        # One core stays free for scans that need no registration, which are answered in a tenth of the time.
        self.turns = Turns(min(MOST_REGISTERED_AT_ONCE, max(1, cpu_count() - 1)))

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:  # noqa: ARG002
        """Return one row per scan; `params` may hold the `prevalence` of PD for which to answer.

        Raises
        ------
        MlflowException : a scan, named by `scan_id` or place, cannot be used, or there is no such prevalence; then no
            scan is answered.
        """
        if len(model_input) > MAX_SCANS:
            raise _refusal(f"{len(model_input)} scans in one request; send at most {MAX_SCANS}")
        names = [str(name) for name in model_input.get("scan_id", pd.Series([""] * len(model_input)))]
        scans = [
            self._prepared(content, name or f"number {place}")
            for place, (content, name) in enumerate(zip(model_input["nifti"], names, strict=True), start=1)
        ]
        try:
            answers = self.predictor.answers(scans, (params or {}).get("prevalence"))
        except PrevalenceError as error:
            raise _refusal(str(error)) from None
        return _with_nulls(pd.DataFrame([_row(name, answer) for name, answer in zip(names, answers, strict=True)]))

    def _prepared(self, content: bytes, name: str) -> PreparedScan:
        if not isinstance(content, bytes | bytearray):
            raise _refusal(f"scan {name}: nifti is no bytes; in JSON send the file in base64")
        if len(content) > MAX_FILE_BYTES:
            raise _refusal(f"scan {name}: the file has {len(content):,} bytes; send at most {MAX_FILE_BYTES:,}")
        try:
            return self.predictor.prepare(read_nifti_bytes(bytes(content)), turn=self.turns)
        except ScanError as error:
            raise _refusal(f"scan {name}: {error}") from None


def write_served_model(
    folder: Path, predictor_folder: Path, *, mlflow_model: Any, extras: Sequence[tuple[str, Path]] = ()
) -> None:
    """Write the model in MLflow's layout; `extras` are names and paths of further artifacts. Links are followed."""
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as temporary:
        # MLflow advises an example; the signature is given, and an example scan would be somebody's.
        warnings.filterwarnings("ignore", message="(?s).*input example was not provided", category=UserWarning)
        mlflow.pyfunc.save_model(
            str(folder),
            python_model=str(_ENTRY),
            artifacts={
                name: str(_without_links(path, Path(temporary) / name))
                for name, path in ((FOLDER_NAME, predictor_folder), *extras)
            },
            code_paths=[str(Path(__file__).parents[1])],
            signature=signature(),
            pip_requirements=requirements(_model_of(predictor_folder)),
            mlflow_model=mlflow_model,
        )


def _without_links(path: Path, folder: Path) -> Path:
    """Return the path of the same without links, copied into `folder` if need be.

    With `cache.type symlink` outputs are links into DVC's cache, and MLflow takes nothing from outside of a folder.
    """
    if not any(each.is_symlink() for each in (path, *path.rglob("*"))):
        return path
    folder.mkdir()
    copy = folder / path.name
    if path.is_dir():
        shutil.copytree(path, copy)
    else:
        shutil.copyfile(path, copy)
    return copy


def signature() -> ModelSignature:
    """Return the columns that go in and come out, and the parameter; without it the prevalence is that of training."""
    inputs = [ColSpec(DataType.binary, "nifti"), ColSpec(DataType.string, "scan_id", required=False)]
    texts, numbers = (
        ("scan_id", "state", "prediction", "withheld", "unjudged", "unlike", "flags", "placed"),
        ("probability", "prevalence", "likelihood_ratio", "model_probability", "ratio_probability", "error_risk"),
    )
    outputs = [
        *(ColSpec(DataType.string, name) for name in texts),
        *(ColSpec(DataType.double, name) for name in (*numbers, *MEASURES)),
        ColSpec(DataType.boolean, "inconclusive"),
    ]
    params = ParamSchema([ParamSpec("prevalence", DataType.double, default=None)])
    return ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs), params=params)


def _model_of(predictor_folder: Path) -> Model:
    """Return the kind of model that a predictor holds; the paper's, whose record names none, unless it says so."""
    model: Model = read_json(predictor_folder / PARTS_NAME).get("model", "paper")
    return model


def requirements(model: Model) -> list[str]:
    """Return the pinned packages that a served model of this kind needs; one of the striatum is read without Keras."""
    computing = [f"numpy=={version('numpy')}"] if model == "striatum" else pip_requirements()
    return [*computing, *(f"{package}=={version(package)}" for package in _PACKAGES)]


def _row(name: str, answer: Answer) -> dict[str, object]:
    """Return a row with the same columns in every state; of a withheld scan what is judged is null, the class is ""."""
    judged = answer.judged
    return {
        "scan_id": name,
        "state": answer.state,
        **(dict.fromkeys(judged) | {"prediction": ""} if answer.withheld else judged),
        "prevalence": answer.prevalence,
        "inconclusive": answer.inconclusive,
        "withheld": "; ".join(answer.withheld),
        "unjudged": json.dumps(judged) if answer.withheld else "",
        "unlike": " ".join(answer.unlike),
        "flags": " ".join(answer.flags),
        "placed": answer.how,
        **{measure: answer.measures[measure] for measure in MEASURES},
    }


def _with_nulls(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows whose missing numbers are None: NaN and infinity, which pandas would have, are no JSON."""
    for name in rows.select_dtypes("number"):
        is_number = np.isfinite(rows[name])
        if not is_number.all():
            rows[name] = rows[name].astype(object).where(is_number, None)
    return rows


def _refusal(message: str) -> MlflowException:
    return MlflowException(message, error_code=INVALID_PARAMETER_VALUE)
