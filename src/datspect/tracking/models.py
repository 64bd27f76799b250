"""Keras models as MLflow models: explicit signature and requirements, nothing pickled, nothing inferred."""

import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_BACKEND_PACKAGES = {"tensorflow": ("tensorflow-cpu", "tensorflow"), "jax": ("jax",), "torch": ("torch",)}


class SavedModel:
    """A .keras file in the place of a model: MLflow gets the very bytes of the stage's output."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def save(self, destination: str) -> None:
        """Copy the file to where MLflow wants it."""
        shutil.copyfile(self.path, destination)


def write_keras_model(
    model: Any, folder: Path, *, mlflow_model: Any, example: Array, prediction: Array | None = None
) -> None:
    """Write `model`, or the .keras file it names, to `folder` as MLflow lays a model out.

    Parameters
    ----------
    example : shape (n, ...), what the model takes; gives the signature its input
    prediction : shape (n, ...), what it then gives; asked of the model when None
    """
    import mlflow.keras

    if prediction is None:
        prediction = _prediction(model, example)
    mlflow.keras.save_model(
        SavedModel(model) if isinstance(model, Path) else model,
        str(folder),
        mlflow_model=mlflow_model,
        signature=_signature(example, prediction),
        pip_requirements=pip_requirements(),
    )


def pip_requirements() -> list[str]:
    """Keras, the backend in use and NumPy, pinned to what is installed."""
    import keras

    backend = next(package for package in _BACKEND_PACKAGES[keras.backend.backend()] if _release(package))
    return [f"{package}=={_release(package)}" for package in ("keras", backend, "numpy")]


def _prediction(model: Any, example: Array) -> Array:
    import keras

    if isinstance(model, Path):
        model = keras.saving.load_model(model, compile=False)
    return np.asarray(keras.ops.convert_to_numpy(model(example[:1], training=False)))


def _signature(example: Array, prediction: Array) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Schema, TensorSpec

    def spec(array: Array) -> Any:
        return Schema([TensorSpec(array.dtype, (-1, *array.shape[1:]))])

    return ModelSignature(inputs=spec(example), outputs=spec(prediction))


def _release(package: str) -> str | None:
    """Installed version without a local part such as +cu12, which no index knows; None if not installed."""
    try:
        return version(package).partition("+")[0]
    except PackageNotFoundError:
        return None
