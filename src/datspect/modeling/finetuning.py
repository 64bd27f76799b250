"""Fine-tune one fold: train the head and the network below it on images that are augmented on the fly.

A fold is a function of images, labels, parameters and its seed: it ends the same wherever it runs on the same kind of
hardware. Order, dropout and augmentations are those of a head on a bank with as many draws as epochs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from keras import ops
from numpy.typing import NDArray

from datspect.arrays import FloatArray, IntArray
from datspect.imaging.augmentation import draw_augmentations, draw_order
from datspect.modeling.augmentation import augmentation_parameters, no_change
from datspect.modeling.backbone import LayerArrays
from datspect.modeling.features import clean_features
from datspect.modeling.heads import FittedHead, Head, epoch_order, initial_weights
from datspect.modeling.network import NetworkPlan, as_arrays, as_state, network
from datspect.modeling.steps import Rows, TrainingBatches, history
from datspect.params.network import AugmentParams


@dataclass(frozen=True, eq=False)
class Material:
    """Hold what all folds share.

    images : shape (N, H, W, 3), float32, in [0, 1]
    labels : shape (N,), 0 or 1
    backbone : the weights that training starts from
    augment : ranges of the augmentation; every epoch has a new draw
    warmup_epochs : the number of epochs at the start that train the head alone
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
    """Hold a fold after E epochs: all that training changes, in order, and sums of the curves, shape (E, 4)."""

    arrays: list[NDArray[Any]]
    curves: FloatArray


class Checkpoints(Protocol):
    """Keep a fold while it is trained."""

    def read(self) -> Checkpoint | None:
        """Return the last one, or None if there is none."""

    def offer(self, make: Callable[[], Checkpoint]) -> None:
        """Keep what `make` returns if it is time; called after each epoch."""


def fit_fold(
    head: Head,
    material: Material,
    report: Callable[[int], None] = lambda _: None,
    checkpoints: Checkpoints | None = None,
    watch: Callable[[int, FloatArray], None] = lambda _n_before, _sums: None,
) -> FittedHead:
    """Train a fold to its last epoch and return it.

    Parameters
    ----------
    report : receives the number of epochs done, after each one
    watch : receives the sums of n epochs that have been done, shape (n, 4), and how many were done before them: those
        of a checkpoint together, then each by itself
    """
    batches = _Batches(head, material)
    net = network(material.plan, head.width)
    n_warm, n_epochs = material.warmup_epochs, len(head.learning_rates)
    start = initial_weights(head, net.backbone.output_shape[-1])
    state = net.initial_state(material.backbone, start, warming_up=n_warm > 0)
    sums: list[FloatArray] = []  # an array of shape (4,) for each epoch done
    if checkpoints and (earlier := checkpoints.read()):
        done = len(earlier.curves)
        state = as_state(earlier.arrays, net.with_new_optimizer(state, warming_up=0 < done <= n_warm))
        sums = list(earlier.curves)
        watch(0, earlier.curves)
        report(done)
    images = ops.convert_to_tensor(material.images)
    for epoch in range(len(sums), n_epochs):
        if epoch == n_warm and n_warm:
            state = net.with_new_optimizer(state, warming_up=False)
        augmentation, training = batches.of_epoch(epoch)
        state, of_epoch = net.epoch(
            state, images, augmentation, training, batches.validation, warming_up=epoch < n_warm
        )
        sums.append(ops.convert_to_numpy(of_epoch))
        watch(epoch, sums[-1][None])
        report(epoch + 1)
        if checkpoints and epoch + 1 < n_epochs:
            checkpoints.offer(lambda state=state: Checkpoint(as_arrays(state), np.stack(sums)))  # type: ignore[misc]
    weights, layers = net.fitted(state)
    features = clean_features(net.exact, material.images)
    return FittedHead(head.name, weights, history(head, np.stack(sums)), features, layers)


class _Batches:
    """Make the arrays of a fold that `Network.epoch` takes."""

    def __init__(self, head: Head, material: Material) -> None:
        self._head = head
        self._labels = material.labels.astype(np.float32)
        self._batch_size = material.batch_size
        n_epochs, n_subjects = len(head.learning_rates), len(material.images)
        ranges = material.augment.model_copy(update={"draws": n_epochs})
        self._augmentations = draw_augmentations(ranges, n_subjects, material.plan.image_shape)
        self._draws = draw_order(head.seed, n_subjects, n_epochs, n_epochs)
        self.validation = self._filled(head.validation_rows)

    def of_epoch(self, epoch: int) -> tuple[NDArray[np.float32], TrainingBatches]:
        """Return the augmentation of each row, shape (S, B, 4), and the batches of S steps."""
        order, kept_units = epoch_order(self._head, epoch)
        n, rows = len(order), self._filled(order)
        augmentation = no_change(rows.index.size)
        augmentation[:n] = augmentation_parameters(self._augmentations[self._draws[epoch, order], order])
        keep = np.zeros((rows.index.size, self._head.width), bool)
        keep[:n] = kept_units
        return augmentation.reshape(*rows.index.shape, 4), TrainingBatches(
            rows=rows,
            keep=keep.reshape(*rows.index.shape, -1),
            kept_scale=np.float32(1 / (1 - self._head.dropout)),
            rate=np.float32(self._head.learning_rates[epoch]),
        )

    def _filled(self, rows: IntArray) -> Rows:
        """Return `rows` in batches, arrays of shape (batches, B).

        The last batch is filled up with the first rows, which do not count there: batch normalisation that learns its
        statistics sees whole batches.
        """
        n_batches = -(-len(rows) // self._batch_size)
        index = np.resize(rows, (n_batches, self._batch_size)).astype(np.int32)
        real = np.arange(index.size).reshape(index.shape) < len(rows)
        return Rows(index, self._labels[index], real)
