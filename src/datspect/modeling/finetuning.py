"""One fold, fine-tuned: the head and the network below it trained on images that are augmented on the fly.

A fold is a function of images, labels, parameters and its seed: it ends the same wherever it runs on the same kind of
hardware. Order, dropout and augmentations are those that a head on a bank with as many draws as epochs would see.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from keras import ops
from numpy.typing import NDArray

from datspect.arrays import BoolArray, FloatArray, IntArray
from datspect.imaging.augmentation import Augmentations, draw_augmentations, draw_order
from datspect.modeling.augmentation import augmentation_parameters, no_change
from datspect.modeling.backbone import LayerArrays
from datspect.modeling.features import clean_features
from datspect.modeling.heads import FittedHead, Head, epoch_order, initial_weights
from datspect.modeling.network import NetworkPlan, State, as_arrays, as_state, network
from datspect.modeling.stack import CURVES
from datspect.params.network import AugmentParams


@dataclass(frozen=True, eq=False)
class Material:
    """What all folds share.

    images : shape (N, H, W, 3), float32, in [0, 1]
    labels : shape (N,), 0 or 1
    backbone : the weights that training starts from
    augment : ranges of the augmentation; every epoch has a new draw
    warmup_epochs : the first so many train the head alone
    """

    images: FloatArray
    labels: IntArray
    backbone: LayerArrays
    plan: NetworkPlan
    augment: AugmentParams
    batch_size: int
    warmup_epochs: int


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A fold after some epochs: all that training changes, in order, and sums of the curves, shape (epochs, 4)."""

    arrays: list[NDArray[Any]]
    curves: FloatArray


class Checkpoints(Protocol):
    """Where a fold keeps itself while it is trained."""

    def read(self) -> Checkpoint | None:
        """The last one; None if there is none."""

    def offer(self, make: Callable[[], Checkpoint]) -> None:
        """Called after each epoch; keeps what `make` gives if it is time."""


def fit_fold(
    head: Head,
    material: Material,
    report: Callable[[int], None] = lambda _: None,
    checkpoints: Checkpoints | None = None,
) -> FittedHead:
    """Train a fold to its last epoch; `report` is told after each epoch how many are done."""
    batches = _Batches(head, material)
    net = network(material.plan, head.width)
    n_warm, n_epochs = material.warmup_epochs, len(head.learning_rates)
    start = initial_weights(head, net.backbone.output_shape[-1])
    state = net.initial_state(material.backbone, start, warming_up=n_warm > 0)
    curves: list[FloatArray] = []
    if checkpoints and (earlier := checkpoints.read()):
        done = len(earlier.curves)
        state = as_state(earlier.arrays, net.with_new_optimizer(state, warming_up=0 < done <= n_warm))
        curves = list(earlier.curves)
        report(done)
    images = ops.convert_to_tensor(material.images)
    for epoch in range(len(curves), n_epochs):
        if epoch == n_warm and n_warm:
            state = net.with_new_optimizer(state, warming_up=False)
        arguments = (*batches.of_epoch(epoch), *batches.validation)
        state, sums = net.epoch(state, images, *arguments, warming_up=epoch < n_warm)
        curves.append(ops.convert_to_numpy(sums))
        report(epoch + 1)
        if checkpoints and epoch + 1 < n_epochs:
            checkpoints.offer(lambda state=state: Checkpoint(as_arrays(state), np.stack(curves)))  # type: ignore[misc]
    return _fitted(head, material, state, np.stack(curves))


def _fitted(head: Head, material: Material, state: State, curves: FloatArray) -> FittedHead:
    net = network(material.plan, head.width)
    weights, layers = net.fitted(state)
    # A head without validation rows (a final model, whose test set is looked at once) has no validation curve.
    n_train, n_validation = len(head.train_rows), len(head.validation_rows) or np.nan
    means = curves / np.array([n_train, n_train, n_validation, n_validation])
    history = dict(zip(CURVES, [*means.T, np.asarray(head.learning_rates, np.float64)], strict=True))
    return FittedHead(head.name, weights, history, clean_features(net.exact, material.images), layers)


class _Batches:
    """Index arrays of a fold, in the order of the arguments of `Network.epoch`."""

    def __init__(self, head: Head, material: Material) -> None:
        self._head = head
        self._labels = material.labels.astype(np.float32)
        self._batch_size = material.batch_size
        n_epochs, n_subjects = len(head.learning_rates), len(material.images)
        ranges = material.augment.model_copy(update={"draws": n_epochs})
        self._augmentations: Augmentations = draw_augmentations(ranges, n_subjects, material.plan.image_shape)
        self._draws = draw_order(head.seed, n_subjects, n_epochs, n_epochs)
        self._kept_scale = np.float32(1 / (1 - head.dropout))
        self.validation = self._filled(head.validation_rows)

    def of_epoch(self, epoch: int) -> tuple[Any, ...]:
        order, keep = epoch_order(self._head, epoch)
        rows, targets, real = self._filled(order)
        parameters = np.resize(no_change(1), (*rows.shape, 4)).reshape(-1, 4)
        parameters[: len(order)] = augmentation_parameters(self._augmentations[self._draws[epoch, order], order])
        kept = np.zeros((rows.size, self._head.width), bool)
        kept[: len(order)] = keep
        rate = np.float32(self._head.learning_rates[epoch])
        by_batch = (parameters.reshape(*rows.shape, 4), kept.reshape(*rows.shape, -1))
        return (rows, targets, real, *by_batch, self._kept_scale, rate)

    def _filled(self, rows: IntArray) -> tuple[NDArray[np.int32], FloatArray, BoolArray]:
        """Rows, labels and which rows count, shape (batches, batch size).

        The last batch is filled up with the first rows, which do not count there: batch normalisation that learns its
        statistics sees whole batches.
        """
        n_batches = -(-len(rows) // self._batch_size)
        shape = (n_batches, self._batch_size)
        filled = np.resize(rows, n_batches * self._batch_size).astype(np.int32)
        real = np.arange(len(filled)) < len(rows)
        return filled.reshape(shape), self._labels[filled].reshape(shape), real.reshape(shape)
