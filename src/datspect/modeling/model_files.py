"""Write weights and models to files and read them back; nothing in a file is unpickled or run."""

import json
import re
import shutil
import tempfile
import zipfile
import zlib
from pathlib import Path

import keras

from datspect.errors import WeightsError
from datspect.io.atomic import replacing
from datspect.modeling.compilation import hold_float32
from datspect.modeling.weight_files import set_weights_from_file

_SHARED = re.compile(rb'(?<="shared_object_id": )\d+')
"""Where Keras says that layers share an object: by its address in memory, which no other process repeats."""

_LONGEST_REASON = 300
"""Characters of what Keras says; it may repeat a whole configuration."""


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
    """Write a whole model, layers and weights; `path` ends in .keras. Equal models give equal bytes."""
    with replacing(path) as unfinished, tempfile.TemporaryDirectory(dir=unfinished.parent) as folder:
        dated = Path(folder) / "dated.keras"
        model.save(dated)
        _write_undated(unfinished, dated)


def _write_undated(path: Path, dated: Path) -> None:
    """Copy a model without what Keras writes into it of one saving: its time, and addresses in memory."""
    with zipfile.ZipFile(dated) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            member = zipfile.ZipInfo(name)  # of 1980
            member.external_attr = 0o600 << 16
            if name == "metadata.json":
                target.writestr(member, json.dumps(json.loads(source.read(name)) | {"date_saved": "not kept"}))
                continue
            if name == "config.json":
                target.writestr(member, _renumbered(source.read(name)))
                continue
            with source.open(name) as read, target.open(member, "w", force_zip64=True) as written:
                shutil.copyfileobj(read, written, 1 << 20)


def _renumbered(config: bytes) -> bytes:
    """Return a model's configuration with shared objects numbered from 1 in their order.

    >>> _renumbered(b'{"shared_object_id": 97}, {"shared_object_id": 45}, {"shared_object_id": 97}')
    b'{"shared_object_id": 1}, {"shared_object_id": 2}, {"shared_object_id": 1}'
    """
    numbers = {address: k for k, address in enumerate(dict.fromkeys(_SHARED.findall(config)), start=1)}
    return _SHARED.sub(lambda found: str(numbers[found[0]]).encode(), config)


def read_model(path: Path) -> keras.Model:
    """Read a whole model in safe mode; it is not compiled, and float32 is float32 wherever it computes.

    Raises
    ------
    WeightsError : the file is missing, no Keras model, or one that safe mode refuses.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such file")
    hold_float32()
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (OSError, KeyError, TypeError, ValueError, RecursionError, zlib.error, zipfile.BadZipFile) as error:
        raise WeightsError(
            f"{path}: not a Keras model that loads in safe mode ({str(error)[:_LONGEST_REASON]})"
        ) from error
