"""Where the backbone's weights come from: Keras, a package index, a file, or, only when asked for, chance."""

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
from datspect.weights import keras_download
from datspect.weights.downloads import run_while_progressing

PACKAGE, PACKAGE_VERSION = "plantdoc-predictor", "0.2.1"
"""A package that carries a whole Keras model on a frozen ImageNet InceptionV3. It is neither installed nor imported."""

PACKAGE_FILE = "plantdoc_predictor/models/inceptionv3_v1.h5"
PACKAGE_HEAD_LAYERS = 2
"""Dense layers of another task that follow the base in that file."""

WHEEL_SHA256 = "0b589f8220cfb61df5a5fda59358ccf4975565f87aaff80ec086cbee2418233f"
INCEPTION_V3_DIGEST = "8aae2aac99ebbb567467eeb8d2c317a463dc497c38923dcc31425337ed7d6216"
"""`tensor_digest` of the InceptionV3 base in that package."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WeightsOrigin:
    """Where weights came from; goes onto every run that used them."""

    architecture: Architecture
    source: str
    tensor_digest: str
    file_sha256: str | None = None
    wheel_sha256: str | None = None
    equals_known_imagenet: bool | None = None
    """Whether they are the InceptionV3 weights whose digest is known here; None for other architectures."""


@dataclass(frozen=True)
class _KerasFile:
    """A weights file without top as Keras names it in its cache; `md5` where Keras publishes one."""

    name: str
    md5: str | None


def set_weights(backbone: keras.Model, params: BackboneParams) -> WeightsOrigin:
    """Give `backbone` the weights that `backbone.weights` asks for; never random ones unless it says null.

    Raises
    ------
    WeightsError : no source gave them, each with its reason, or the file does not fit.
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


def keras_cache_folder() -> Path:
    """Where Keras keeps the weights it downloads."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras").expanduser() / "models"


def _set_imagenet_weights(backbone: keras.Model, params: BackboneParams) -> dict[str, Any]:
    attempts: list[tuple[str, Callable[[keras.Model, BackboneParams], dict[str, Any]]]] = [
        ("Keras' cache", _from_keras_cache),
        ("Keras' own download", _from_keras),
    ]
    if params.architecture == "InceptionV3":
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


def _from_keras_cache(backbone: keras.Model, params: BackboneParams) -> dict[str, Any]:
    return _set_keras_file(backbone, keras_cache_folder() / _keras_file(params.architecture).name, params.architecture)


def _from_keras(backbone: keras.Model, params: BackboneParams) -> dict[str, Any]:
    # Into a folder of its own: a download that is killed leaves no half file in Keras' cache.
    with tempfile.TemporaryDirectory(prefix="datspect-keras-") as folder:
        run_while_progressing(
            [sys.executable, "-m", keras_download.__name__, params.architecture],
            Path(folder) / "models",
            stalled_seconds=params.download_seconds,
            environment={
                "KERAS_HOME": folder,
                "KERAS_BACKEND": keras.config.backend(),
                "CUDA_VISIBLE_DEVICES": "-1",
                "TF_CPP_MIN_LOG_LEVEL": "3",
            },
        )
        downloaded = Path(folder) / "models" / _keras_file(params.architecture).name
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
        environment=dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary)),  # pip downloads there: it is watched
    )
    found = sorted(wheels.glob("*.whl"))
    if len(found) != 1:
        raise WeightsError(f"pip left {len(found)} wheels, expected one")
    return found[0]


def _set_keras_file(backbone: keras.Model, path: Path, architecture: Architecture) -> dict[str, Any]:
    if not path.is_file():
        raise WeightsError(f"no file {path.name}")
    expected_md5 = _keras_file(architecture).md5
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
    except OSError as error:  # only a convenience: the weights themselves are in hand
        log.info("weights: not kept in Keras' cache (%s)", error.strerror)


def _keras_file(architecture: Architecture) -> _KerasFile:
    """Names and digests as in the sources of `keras.applications`."""
    suffix = "weights_tf_dim_ordering_tf_kernels"
    match architecture:
        case "InceptionV3":
            return _KerasFile(f"inception_v3_{suffix}_notop.h5", "bcbd6486424b2319ff4ef7d526e38f63")
        case "Xception":
            return _KerasFile(f"xception_{suffix}_notop.h5", "b0042744bf5b25fce3cb969f33bebb97")
        case "InceptionResNetV2":
            return _KerasFile(f"inception_resnet_v2_{suffix}_notop.h5", "d19885ff4a710c122648d3b5c3b684e4")
        case "ResNet50V2":
            return _KerasFile(f"resnet50v2_{suffix}_notop.h5", "fac2f116257151a9d068a22e544a4917")
        case "MobileNetV2":
            # Keras knows no digest of it, and takes the weights for 224 pixels whatever the image.
            return _KerasFile(f"mobilenet_v2_{suffix}_1.0_224_no_top.h5", None)
