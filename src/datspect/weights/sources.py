"""Where pretrained weights are to be had: Keras' files and cache, and a package. This module does not load Keras."""

import os
from dataclasses import dataclass
from pathlib import Path

from datspect.params.network import Architecture

SERVER = "https://storage.googleapis.com/tensorflow/keras-applications/"
"""Keras' host: where `keras.applications` takes the files from."""
ANSWER_SECONDS = 4.0
"""A host that does not answer for so long is out of reach."""
PACKAGE, PACKAGE_VERSION = "plantdoc-predictor", "0.2.1"
"""A package that carries a whole Keras model on a frozen ImageNet InceptionV3. It is neither installed nor imported."""


@dataclass(frozen=True)
class KerasFile:
    """Name a weights file without top as Keras does, in its cache and in a folder of its host.

    `md5` is there where Keras publishes one.
    """

    folder: str
    name: str
    md5: str | None

    @property
    def address(self) -> str:
        """The address of the file at Keras' host."""
        return f"{SERVER}{self.folder}/{self.name}"

    @property
    def in_cache(self) -> Path:
        """The path of the file in Keras' cache, be it there or not."""
        return keras_cache_folder() / self.name


def keras_cache_folder() -> Path:
    """Return the folder where Keras keeps the weights that it downloads."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras").expanduser() / "models"


def keras_file(architecture: Architecture) -> KerasFile:
    """Return folder, name and digest as the sources of `keras.applications` have them."""
    suffix = "weights_tf_dim_ordering_tf_kernels"
    match architecture:
        case "InceptionV3":
            return KerasFile("inception_v3", f"inception_v3_{suffix}_notop.h5", "bcbd6486424b2319ff4ef7d526e38f63")
        case "Xception":
            return KerasFile("xception", f"xception_{suffix}_notop.h5", "b0042744bf5b25fce3cb969f33bebb97")
        case "InceptionResNetV2":
            return KerasFile(
                "inception_resnet_v2", f"inception_resnet_v2_{suffix}_notop.h5", "d19885ff4a710c122648d3b5c3b684e4"
            )
        case "ResNet50V2":
            return KerasFile("resnet", f"resnet50v2_{suffix}_notop.h5", "fac2f116257151a9d068a22e544a4917")
        case "MobileNetV2":
            # Keras has no digest of it, and takes the weights for 224 pixels whatever the size of the image.
            return KerasFile("mobilenet_v2", f"mobilenet_v2_{suffix}_1.0_224_no_top.h5", None)
