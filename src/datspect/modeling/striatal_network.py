"""The small network on slabs, and an epoch of its training as one compiled program in `keras.ops`.

One hemisphere and the mirrored other go through the same layers: three convolutions and a dense layer of ReLU units.
The larger and the smaller value of each unit are the readings, on which one logistic unit decides. So a disease of the
left side and one of the right are one problem, and to exchange the sides changes nothing. Nothing depends on the other
scans of a batch.
"""

from typing import Any, NamedTuple

import numpy as np
from keras import ops
from numpy.typing import NDArray

from datspect.arrays import FloatArray
from datspect.imaging.slabs import N_PEAK, SLABS_SHAPE
from datspect.modeling.compilation import compiled, value_and_gradient
from datspect.modeling.steps import Tensor, adam, corrected_rate
from datspect.modeling.striatal_layout import (
    LEAST_PEAK,
    NAMES,
    PEAK_MIDDLE,
    PEAK_SPREAD,
    UPTAKE_MIDDLE,
    UPTAKE_SPREAD,
    Size,
)


class MemberState(NamedTuple):
    """All that training changes of one member.

    weights : in the order of `NAMES`
    first, second : both moments of each weight
    n_steps : float32, shape ()
    """

    weights: list[Tensor]
    first: list[Tensor]
    second: list[Tensor]
    n_steps: Tensor


class SlabBatches(NamedTuple):
    """What S steps of an epoch train on; arrays of shape (S, B) but for `views` and `keep`.

    views : float32, flat slabs, shape (S, B, 28 x 24 x 4)
    target : float32, 0 or 1
    weight : float32, how much a place counts; 0 where it is filled up
    keep : float32, shape (S, B, 2 D), dropout's factor on each reading
    """

    views: Tensor
    target: Tensor
    weight: Tensor
    keep: Tensor


class Rules(NamedTuple):
    """What a step needs beside its batch: float32, shape ()."""

    rate: Tensor
    weight_decay: Tensor
    label_smoothing: Tensor


def initial_weights(size: Size, seed: int) -> list[NDArray[np.float32]]:
    """Return He-normal kernels (Glorot for the last) and zero biases."""
    rng = np.random.default_rng([seed, 0])
    weights = []
    for name, shape in zip(NAMES, size.shapes, strict=True):
        if name.endswith("bias"):
            weights.append(np.zeros(shape, np.float32))
            continue
        n_in, gain = int(np.prod(shape[:-1])) or 1, 2.0
        if name == "out":
            n_in, gain = shape[0], 1.0
        weights.append((rng.standard_normal(shape) * np.sqrt(gain / n_in)).astype(np.float32))
    return weights


def initial_state(weights: list[NDArray[np.float32]]) -> MemberState:
    """Return the state before the first step."""
    first, second = ([ops.zeros(weight.shape, "float32") for weight in weights] for _ in range(2))
    tensors = [ops.convert_to_tensor(weight) for weight in weights]
    return MemberState(tensors, first, second, ops.zeros((), "float32"))


def both_scales(views: Tensor) -> Tensor:
    """Return slabs in uptake units and over their own peak as channels: shape (n, 28, 24, 4) becomes (n, 28, 24, 8)."""
    flat = ops.reshape(views, (-1, int(np.prod(SLABS_SHAPE))))
    peak = ops.mean(ops.top_k(flat, N_PEAK, sorted=False)[0], axis=1)[:, None, None, None]
    own = views / ops.maximum(peak, LEAST_PEAK)
    return ops.concatenate([(views - UPTAKE_MIDDLE) / UPTAKE_SPREAD, (own - PEAK_MIDDLE) / PEAK_SPREAD], axis=-1)


def readings(weights: list[Tensor], views: Tensor) -> Tensor:
    """Return the larger, then the smaller value of each unit, shape (n, 2 D), for slabs of shape (n, 28, 24, 4)."""
    channels = both_scales(views)
    middle = SLABS_SHAPE[0] // 2
    left, right = channels[:, :middle], ops.flip(channels[:, middle:], axis=1)  # both from the side to the middle
    units = _units(weights, ops.concatenate([left, right], axis=0))
    one, other = ops.split(units, 2, axis=0)
    return ops.concatenate([ops.maximum(one, other), ops.minimum(one, other)], axis=-1)


def log_odds(weights: list[Tensor], views: Tensor) -> Tensor:
    """Return the log odds of pd, shape (n,), for slabs of shape (n, 28, 24, 4)."""
    return _decision(weights, readings(weights, views))


def _units(weights: list[Tensor], hemispheres: Tensor) -> Tensor:
    """Return the units, shape (n, D), of hemispheres, shape (n, 14, 24, 8)."""
    conv1, bias1, conv2, bias2, conv3, bias3, dense, dense_bias = weights[:8]
    maps = ops.relu(ops.conv(hemispheres, conv1, padding="same") + bias1)
    maps = ops.average_pool(maps, 2, 2)  # (n, 7, 12, c)
    maps = ops.relu(ops.conv(maps, conv2, padding="same") + bias2)
    maps = ops.relu(ops.conv(maps, conv3, padding="same") + bias3)
    maps = ops.average_pool(maps, (3, 2), 2)  # (n, 3, 6, 2 c); windows of 3 along x overlap by 1
    flat = ops.reshape(maps, (-1, int(dense.shape[0])))
    return ops.relu(ops.matmul(flat, dense) + dense_bias)


def _decision(weights: list[Tensor], read: Tensor) -> Tensor:
    return ops.sum(read * weights[8], axis=-1) + weights[9]


def _losses(scores: Tensor, targets: Tensor) -> Tensor:
    return ops.relu(scores) - scores * targets + ops.log1p(ops.exp(-ops.abs(scores)))


def train_epoch(state: MemberState, batches: SlabBatches, rules: Rules) -> tuple[MemberState, FloatArray]:
    """Train a member for an epoch with AdamW on the weighted mean loss of each batch.

    Returns
    -------
    The new state and, shape (2,), weighted sums of the loss (at targets of 0 and 1) and of right answers.
    """
    new_state, sums = compiled(_train_epoch, convolutions=True)(state, batches, rules)
    return new_state, ops.convert_to_numpy(sums)


def read(weights: list[Tensor], views: Tensor) -> FloatArray:
    """Return `readings` as an array."""
    return np.asarray(ops.convert_to_numpy(compiled(readings, convolutions=True)(weights, views)))


def _train_epoch(state: MemberState, batches: SlabBatches, rules: Rules) -> tuple[MemberState, Tensor]:
    def step(s: Tensor, carried: tuple[MemberState, Tensor]) -> tuple[MemberState, Tensor]:
        before, sums = carried
        views = ops.reshape(batches.views[s], (-1, *SLABS_SHAPE))
        target, weight, keep = batches.target[s], batches.weight[s], batches.keep[s]
        smooth = target * (1 - 2 * rules.label_smoothing) + rules.label_smoothing

        def loss_of(weights: list[Tensor]) -> tuple[Tensor, Tensor]:
            scores = _decision(weights, readings(weights, views) * keep)
            right = ops.cast(ops.equal(scores > 0, target > 0.5), "float32")
            found = ops.stack([ops.sum(weight * _losses(scores, target)), ops.sum(weight * right)])
            return ops.sum(weight * _losses(scores, smooth)) / ops.sum(weight), found

        (_, found), gradients = value_and_gradient(loss_of)(list(before.weights))
        return _stepped(before, gradients, rules), sums + found

    return ops.fori_loop(0, batches.target.shape[0], step, (state, ops.zeros(2, "float32")))  # type: ignore[no-any-return]


def _stepped(state: MemberState, gradients: Any, rules: Rules) -> MemberState:
    """Take one step of AdamW (Loshchilov, Hutter 2019, arXiv:1711.05101): kernels decay apart from their gradients."""
    n_steps = state.n_steps + 1
    rate = corrected_rate(rules.rate, n_steps)
    stepped: list[tuple[Tensor, ...]] = []
    moments = zip(state.first, state.second, gradients, strict=True)
    for name, weight, (first, second, gradient) in zip(NAMES, state.weights, moments, strict=True):
        decayed = weight if name.endswith("bias") else weight * (1 - rules.rate * rules.weight_decay)
        stepped.append(adam(decayed, first, second, gradient, rate))
    weights, new_first, new_second = (list(each) for each in zip(*stepped, strict=True))
    return MemberState(weights, new_first, new_second, n_steps)
