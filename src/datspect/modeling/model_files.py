"""Write weights and models to files and read them back; nothing in a file is unpickled or run."""

import zipfile
from pathlib import Path

import keras

from datspect.errors import WeightsError
from datspect.io.atomic import replacing
from datspect.modeling.weight_files import set_weights_from_file


def write_weights(path: Path, model: keras.Model) -> None:
    """Write a model's weights; `path` ends in .weights.h5."""
    with replacing(path) as unfinished:
        model.save_weights(unfinished)


def read_weights(path: Path, model: keras.Model) -> None:
    """Give `model` the weights that `write_weights` wrote from a model of the same architecture.

    Raises
    ------
    WeightsError : the file is missing, unreadable, or of another architecture.
    """
    set_weights_from_file(model, path)


def write_model(path: Path, model: keras.Model) -> None:
    """Write a whole model, layers and weights; `path` ends in .keras."""
    with replacing(path) as unfinished:
        model.save(unfinished)


def read_model(path: Path) -> keras.Model:
    """Read a whole model in safe mode; it is not compiled.

    Raises
    ------
    WeightsError : the file is missing, no Keras model, or one that safe mode refuses.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such file")
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{path}: not a Keras model that loads in safe mode ({error})") from error
