"""Give the backbone its weights: from Keras' host, a package index, a file or, only when asked for, from chance."""

import logging
import os
import shutil
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from datspect.errors import WeightsError
from datspect.io.digests import file_digest
from datspect.modeling.backbone import model_digest, set_layer_arrays, set_random_weights, tensor_digest
from datspect.modeling.weight_files import read_layered_h5, set_weights_from_file
from datspect.params.network import Architecture, BackboneParams
from datspect.weights import fetch
from datspect.weights.downloads import run_while_progressing
from datspect.weights.reach import out_of_reach
from datspect.weights.sources import (
    ANSWER_SECONDS,
    PACKAGE,
    PACKAGE_VERSION,
    SERVER,
    keras_cache_folder,
    keras_file,
)

PACKAGE_FILE = "plantdoc_predictor/models/inceptionv3_v1.h5"
PACKAGE_HEAD_LAYERS = 2
"""Dense layers of another task that follow the base in that file."""

WHEEL_SHA256 = "0b589f8220cfb61df5a5fda59358ccf4975565f87aaff80ec086cbee2418233f"
INCEPTION_V3_DIGEST = "8aae2aac99ebbb567467eeb8d2c317a463dc497c38923dcc31425337ed7d6216"
"""`tensor_digest` of the InceptionV3 base in that package."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WeightsOrigin:
    """Say where weights came from; every run that used them records it."""

    architecture: Architecture
    source: str
    tensor_digest: str
    file_sha256: str | None = None
    wheel_sha256: str | None = None
    equals_known_imagenet: bool | None = None
    """Whether they are the InceptionV3 weights whose digest is known here; None for other architectures."""


def set_weights(backbone: keras.Model, params: BackboneParams) -> WeightsOrigin:
    """Give `backbone` the weights that `backbone.weights` asks for; they are random only if it says null.

    Raises
    ------
    WeightsError : no source had them (the message has each reason), or the file does not fit.
    """
    match params.weights:
        case None:
            log.warning("weights: RANDOM, from seed %d, as backbone.weights: null asks", params.seed)
            set_random_weights(backbone, params.seed)
            found: dict[str, Any] = {"source": f"random, seed {params.seed}"}
        case "imagenet":
            found = _set_imagenet_weights(backbone, params)
        case path:
            set_weights_from_file(backbone, Path(path))
            found = {"source": f"file {Path(path).name}", "file_sha256": file_digest(Path(path))}
    digest = model_digest(backbone)
    log.info("weights: %s from %s, tensor digest %s", params.architecture, found["source"], digest)
    known = None if params.architecture != "InceptionV3" else digest == INCEPTION_V3_DIGEST
    if params.weights == "imagenet" and known is False:
        log.warning("weights: their digest differs from the one known for ImageNet's, %s", INCEPTION_V3_DIGEST)
    return WeightsOrigin(params.architecture, tensor_digest=digest, equals_known_imagenet=known, **found)


def _set_imagenet_weights(backbone: keras.Model, params: BackboneParams) -> dict[str, Any]:
    attempts: list[tuple[str, Callable[[keras.Model, BackboneParams], dict[str, Any]]]] = [
        ("Keras' cache", _from_keras_cache),
        ("Keras' host", _from_keras),
    ]
    if _is_in_package(params):
        attempts.append((f"package index ({PACKAGE} {PACKAGE_VERSION})", _from_package_index))
    reasons = []
    for name, attempt in attempts:
        log.info("weights: trying %s", name)
        started = time.monotonic()
        try:
            found = attempt(backbone, params)
        except WeightsError as error:
            outcome = f"{name}: failed after {time.monotonic() - started:.1f} s: {error}"
            log.info("weights: %s", outcome)
            reasons.append(outcome)
        else:
            log.info("weights: %s: done in %.1f s", name, time.monotonic() - started)
            return found
    raise WeightsError(
        "\n  ".join([f"no ImageNet weights for {params.architecture}:", *reasons])
        + "\nget a weights file on a machine that can, and set backbone.weights to its path: a notop .h5 of the Keras "
        "applications, a .weights.h5 that this stage wrote elsewhere, or a whole .keras model"
    )


def _is_in_package(params: BackboneParams) -> bool:
    return params.architecture == "InceptionV3"


def _from_keras_cache(backbone: keras.Model, params: BackboneParams) -> dict[str, Any]:
    return _set_keras_file(backbone, keras_file(params.architecture).in_cache, params.architecture)


def _from_keras(backbone: keras.Model, params: BackboneParams) -> dict[str, Any]:
    # Where another source follows, a host that is silent is left soon.
    patience = min(ANSWER_SECONDS, params.download_seconds) if _is_in_package(params) else params.download_seconds
    if why := out_of_reach(SERVER, patience):
        raise WeightsError(f"its host cannot be reached: {why}")
    file = keras_file(params.architecture)
    # It has a folder of its own: a download that is killed leaves no half file in Keras' cache.
    with tempfile.TemporaryDirectory(prefix="datspect-keras-") as folder:
        downloaded = Path(folder) / "models" / file.name
        run_while_progressing(
            [sys.executable, "-m", fetch.__name__, file.address, str(downloaded)],
            downloaded.parent,
            stalled_seconds=params.download_seconds,
            environment={},
        )
        found = _set_keras_file(backbone, downloaded, params.architecture)
        _keep_in_keras_cache(downloaded)
    return found


def _from_package_index(backbone: keras.Model, params: BackboneParams) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="datspect-wheel-") as name:
        folder = Path(name)
        wheel = _download_wheel(folder, params.download_seconds)
        wheel_sha256 = file_digest(wheel)
        if wheel_sha256 != WHEEL_SHA256:
            raise WeightsError(f"wheel sha256 is {wheel_sha256}, expected {WHEEL_SHA256}; not used")
        with zipfile.ZipFile(wheel) as archive:
            model_file = Path(archive.extract(PACKAGE_FILE, folder))
        arrays = read_layered_h5(model_file)[:-PACKAGE_HEAD_LAYERS]
    digest = tensor_digest(array for _, of_layer in arrays for array in of_layer)
    if digest != INCEPTION_V3_DIGEST:
        raise WeightsError(f"tensor digest is {digest}, expected {INCEPTION_V3_DIGEST}; not used")
    set_layer_arrays(backbone, arrays)
    return {"source": f"package index, {PACKAGE} {PACKAGE_VERSION}", "wheel_sha256": wheel_sha256}


def _download_wheel(folder: Path, stalled_seconds: float) -> Path:
    temporary, wheels = folder / "unfinished", folder / "wheels"
    temporary.mkdir()
    options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--no-input", "--retries", "2"]
    run_while_progressing(
        [sys.executable, "-m", "pip", "download", *options, "--dest", str(wheels), f"{PACKAGE}=={PACKAGE_VERSION}"],
        folder,
        stalled_seconds=stalled_seconds,
        environment=dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary)),  # pip downloads there: watched
    )
    found = sorted(wheels.glob("*.whl"))
    if len(found) != 1:
        raise WeightsError(f"pip left {len(found)} wheels, expected one")
    return found[0]


def _set_keras_file(backbone: keras.Model, path: Path, architecture: Architecture) -> dict[str, Any]:
    if not path.is_file():
        raise WeightsError(f"no file {path.name}")
    expected_md5 = keras_file(architecture).md5
    if expected_md5 is not None and file_digest(path, "md5") != expected_md5:
        raise WeightsError(f"{path.name} is incomplete or damaged: its MD5 is not {expected_md5}")
    set_layer_arrays(backbone, read_layered_h5(path))
    return {"source": "Keras", "file_sha256": file_digest(path)}


def _keep_in_keras_cache(downloaded: Path) -> None:
    target = keras_cache_folder() / downloaded.name
    unfinished = target.with_name(f".{os.getpid()}-{target.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(downloaded, unfinished)
        unfinished.replace(target)
    except OSError as error:  # the cache is only a convenience: the weights are here
        log.info("weights: not kept in Keras' cache (%s)", error.strerror)
