"""Read every kind of weights file that the backbone may start from; nothing in it is unpickled or run."""

import warnings
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from datspect.errors import WeightsError
from datspect.modeling.backbone import LayerArrays, layer_arrays, set_layer_arrays


def set_weights_from_file(model: keras.Model, path: Path) -> None:
    """Give `model` the weights of a file; layers of the file after the model's last one are left out.

    Parameters
    ----------
    path : a Keras 3 `.weights.h5` of the same model; an `.h5` of Keras 1 or 2, either weights alone (as the Keras
        applications have them) or a whole model; or a whole model as `.keras`

    Raises
    ------
    WeightsError : the file is missing, unreadable, of another kind, or of another architecture.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such file")
    try:
        if path.suffix == ".keras":
            set_layer_arrays(model, _read_keras(path))
        elif _is_layered(path):
            set_layer_arrays(model, read_layered_h5(path))
        else:
            _load_keras_3_weights(model, path)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


def read_layered_h5(path: Path) -> LayerArrays:
    """Return the arrays of an HDF5 file of Keras 1 or 2: a group for each layer, in the order of its `layer_names`.

    Layers without weights are left out.

    Raises
    ------
    WeightsError : the file is of another kind, or damaged.
    """
    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)
            layers = [(name, root[name]) for name in _names(root, "layer_names")]
            arrays = [(name, [np.asarray(group[w]) for w in _names(group, "weight_names")]) for name, group in layers]
    except (OSError, KeyError, ValueError) as error:
        raise WeightsError(f"not a readable HDF5 file of layers ({error})") from error
    return [(name, of_layer) for name, of_layer in arrays if of_layer]


def _is_layered(path: Path) -> bool:
    try:
        with h5py.File(path, "r") as file:
            return "model_weights" in file or any(name.startswith("layer_names") for name in file.attrs)
    except OSError as error:
        raise WeightsError(f"not a readable HDF5 file ({error}); expected .weights.h5, .h5 or .keras") from error


def _names(group: Any, attribute: str) -> list[str]:
    """Return a list of names from one attribute, or from numbered ones where it is too long for one."""
    if attribute in group.attrs:
        parts = [group.attrs[attribute]]
    else:
        n_parts = sum(name.startswith(attribute) for name in group.attrs)
        parts = [group.attrs[f"{attribute}{k}"] for k in range(n_parts)]
    return [name.decode() if isinstance(name, bytes) else str(name) for part in parts for name in part]


def _read_keras(path: Path) -> LayerArrays:
    try:
        return layer_arrays(keras.saving.load_model(path, compile=False, safe_mode=True))
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise WeightsError(f"not a Keras model that loads in safe mode ({_first_line(error)})") from error


def _load_keras_3_weights(model: keras.Model, path: Path) -> None:
    try:
        with warnings.catch_warnings():
            # Keras only warns when it finds no weights for a layer, and leaves the layer random.
            warnings.simplefilter("error", UserWarning)
            model.load_weights(path)
    except (OSError, KeyError, ValueError, UserWarning) as error:
        raise WeightsError(f"does not fit {model.name} ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
