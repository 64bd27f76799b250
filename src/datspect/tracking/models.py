"""Write Keras models as MLflow models, with explicit signature and requirements, and without pickle."""

import shutil
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

Shape = tuple[int, ...]

_BACKEND_PACKAGES = {"tensorflow": ("tensorflow-cpu", "tensorflow"), "jax": ("jax",), "torch": ("torch",)}


class SavedModel:
    """A .keras file that stands for a model, so that MLflow gets the very bytes of the stage's output."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def save(self, destination: str) -> None:
        """Copy the file to where MLflow wants it."""
        shutil.copyfile(self.path, destination)


def write_keras_model(
    model: Any,
    folder: Path,
    *,
    mlflow_model: Any,
    input_shape: Shape,
    output_shape: Shape = (1,),
    requirements: Sequence[str] | None = None,
) -> None:
    """Write `model`, or the .keras file that it names, to `folder` in MLflow's layout of a model.

    Parameters
    ----------
    input_shape, output_shape : shapes for one subject, without the batch; both float32
    requirements : pinned packages that the model needs; None for those installed now
    """
    import mlflow.keras

    mlflow.keras.save_model(
        SavedModel(model) if isinstance(model, Path) else model,
        str(folder),
        mlflow_model=mlflow_model,
        signature=_signature(input_shape, output_shape),
        pip_requirements=list(pip_requirements() if requirements is None else requirements),
    )


def pip_requirements() -> list[str]:
    """Return Keras, the backend in use and NumPy, pinned to the installed releases."""
    import keras

    backend = next(package for package in _BACKEND_PACKAGES[keras.backend.backend()] if _release(package))
    return [f"{package}=={_release(package)}" for package in ("keras", backend, "numpy")]


def _signature(input_shape: Shape, output_shape: Shape) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Schema, TensorSpec

    def batches_of(shape: Shape) -> Any:
        return Schema([TensorSpec(np.dtype(np.float32), (-1, *shape))])

    return ModelSignature(inputs=batches_of(input_shape), outputs=batches_of(output_shape))


def _release(package: str) -> str | None:
    """Return the installed version without a local part such as +cu12, which no index knows; None if there is none."""
    try:
        return version(package).partition("+")[0]
    except PackageNotFoundError:
        return None
