"""The paper's own recipe: PNG folders, `flow_from_directory` with augmentation, a frozen InceptionV3, and `fit`."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datspect  # noqa: F401 - first, since TensorFlow reads what the package sets while it is loaded

# isort: split
import keras
import numpy as np
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from numpy.typing import NDArray
from PIL import Image

from clock import EpochClock
from datspect.modeling.backbone import build_backbone
from datspect.modeling.heads import Head
from datspect.modeling.model_files import read_weights
from datspect.params.network import AugmentParams

CLASSES = ("control", "pd")
"""Folder names in the order of the targets 0 and 1."""


def quieten() -> None:
    """No line a folder read, and no advice on retracing: each fold is a model of its own, as in the recipe."""
    keras.config.disable_interactive_logging()
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


@dataclass(frozen=True)
class FittedFold:
    """What `fit` on one fold gave.

    `epoch_seconds`: shape (epochs,), validation included, the first with tracing; `rows`: the validation subjects;
    `probabilities`: of PD, in the order of `rows`.
    """

    epoch_seconds: NDArray[np.float64]
    rows: NDArray[np.int64]
    probabilities: NDArray[np.float64]


def write_pngs(folder: Path, images: NDArray[np.floating[Any]]) -> None:
    """One 8-bit PNG an image in [0, 1], named after its row."""
    folder.mkdir()
    for row, image in enumerate(images):
        Image.fromarray(np.round(image * 255).astype(np.uint8)).save(folder / f"{row:05d}.png")


def link_fold(pngs: Path, folder: Path, head: Head, targets: NDArray[np.integer[Any]]) -> None:
    """Folders train/ and validation/ with a folder a class, hard links to the PNGs of the fold's subjects."""
    for role, rows in (("train", head.train_rows), ("validation", head.validation_rows)):
        for name in CLASSES:
            (folder / role / name).mkdir(parents=True)
        for row in rows:
            (folder / role / CLASSES[targets[row]] / f"{row:05d}.png").hardlink_to(pngs / f"{row:05d}.png")


def frozen_base(weights: Path, image_shape: tuple[int, int]) -> keras.Model:
    """InceptionV3 as Keras has it, pooled, frozen, with the pipeline's own weights."""
    backbone = build_backbone("InceptionV3", image_shape)
    read_weights(weights, backbone)
    base = keras.applications.InceptionV3(
        include_top=False, weights=None, input_shape=(*image_shape, 3), pooling="avg", name="base"
    )
    base.set_weights(backbone.get_weights())
    base.trainable = False
    return base


def build_classifier(base: keras.Model, head: Head) -> keras.Model:
    """The base with a new dense ReLU layer, dropout and a dense sigmoid on it, compiled."""
    hidden = keras.layers.Dense(head.width, activation="relu")(base.output)
    dropped = keras.layers.Dropout(head.dropout)(hidden)
    model = keras.Model(base.input, keras.layers.Dense(1, activation="sigmoid")(dropped))
    model.compile(keras.optimizers.Adam(), "binary_crossentropy", metrics=["accuracy"])
    return model


class Trainable(keras.Model):
    """A class, since in a functional model the `training` of `fit` goes before one that is given to a part of it."""

    def __init__(self, base: keras.Model, top: keras.Model, *, learns_statistics: bool) -> None:
        super().__init__()
        self.base, self.top, self.learns_statistics = base, top, learns_statistics

    def call(self, images: Any, training: bool | None = None) -> Any:
        """Probabilities; `training` is True within `fit`."""
        features = self.base(images, training=training if self.learns_statistics else False)
        return self.top(features, training=training)


def build_trainable(base: keras.Model, head: Head, batch_norm: str) -> keras.Model:
    """As `build_classifier`, all layers of the base trained; the statistics of its normalisation `frozen` or not."""
    base.trainable = True
    layers = keras.layers
    top = keras.Sequential(
        [
            layers.Dense(head.width, activation="relu"),
            layers.Dropout(head.dropout),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model = Trainable(base, top, learns_statistics=batch_norm == "trained")
    model.compile(keras.optimizers.Adam(), "binary_crossentropy", metrics=["accuracy"])
    return model


def fit_fold(
    base: keras.Model,
    head: Head,
    folder: Path,
    augment: AugmentParams,
    batch_size: int,
    report: Callable[[], object] = lambda: None,
    build: Callable[[keras.Model, Head], keras.Model] = build_classifier,
) -> FittedFold:
    """Train on `folder`/train over all epochs of `head`; validate on `folder`/validation after each.

    `report` is told after each epoch; `build` makes the model of base and head.
    """
    with _as_the_old_classes_are():
        keras.utils.set_random_seed(head.seed)
        training = _flow(_augmenting(augment), folder / "train", base, batch_size, shuffle=True, seed=head.seed)
        validation = _flow(_plain(), folder / "validation", base, batch_size, shuffle=False, seed=None)
        model = build(base, head)
        clock = EpochClock(report)
        schedule = keras.callbacks.LearningRateScheduler(lambda epoch, _: float(head.learning_rates[epoch]))
        model.fit(
            training,
            validation_data=validation,
            epochs=len(head.learning_rates),
            callbacks=[schedule, clock],
            verbose=0,
        )
        validation.reset()
        probabilities = model.predict(validation, verbose=0)[:, 0].astype(np.float64)
    rows = np.array([int(Path(name).stem) for name in validation.filenames])
    return FittedFold(clock.epoch_seconds, rows, probabilities)


def _augmenting(augment: AugmentParams) -> ImageDataGenerator:
    """Brightness acts on pixels in [0, 255]; scaling to [-1, 1] comes last."""
    return ImageDataGenerator(
        width_shift_range=augment.width_shift,
        height_shift_range=augment.height_shift,
        horizontal_flip=augment.horizontal_flip,
        brightness_range=(1 - augment.brightness, 1 + augment.brightness),
        preprocessing_function=keras.applications.inception_v3.preprocess_input,
    )


def _plain() -> ImageDataGenerator:
    return ImageDataGenerator(preprocessing_function=keras.applications.inception_v3.preprocess_input)


def _flow(
    generator: ImageDataGenerator, folder: Path, base: keras.Model, batch_size: int, *, shuffle: bool, seed: int | None
) -> Any:
    return generator.flow_from_directory(
        folder,
        target_size=base.input_shape[1:3],
        classes=list(CLASSES),
        class_mode="binary",
        batch_size=batch_size,
        shuffle=shuffle,
        seed=seed,
    )


@contextmanager
def _as_the_old_classes_are() -> Iterator[None]:
    """Without the warning that Keras' own old generator does not call its parent as it should."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Your `PyDataset` class should call")
        yield
