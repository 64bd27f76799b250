"""Fit an ensemble of small networks to one fold: members alike but for their seeds, trained side by side.

A fold is a function of the bank of slabs, labels, parameters and its seed. What comes out is a head like any other: its
features are the readings of all members, and it gives the mean of their log odds.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from datspect.arrays import BoolArray, FloatArray, IntArray
from datspect.imaging.augmentation import draw_order
from datspect.imaging.slabs import SLABS_SHAPE
from datspect.modeling.compilation import hold_to_one_thread
from datspect.modeling.finetuning import Checkpoint, Checkpoints
from datspect.modeling.heads import FittedHead, Head, HeadWeights, logits
from datspect.modeling.steps import history
from datspect.modeling.striatal_layout import NAMES, Size
from datspect.modeling.striatal_network import (
    MemberState,
    Rules,
    SlabBatches,
    initial_state,
    initial_weights,
    read,
    train_epoch,
)
from datspect.params.striatum import StriatumParams

SCANS_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class SlabMaterial:
    """Hold what all folds share.

    bank : shape (draws + 1, N, 28 x 24 x 4), float16; draw 0 is unaltered
    labels : shape (N,), 0 or 1
    lowered : shape (draws, N), controls that count as pd in a draw
    """

    bank: NDArray[np.float16]
    labels: IntArray
    lowered: BoolArray
    params: StriatumParams
    batch_size: int


def fit_ensemble(
    head: Head,
    material: SlabMaterial,
    checkpoints: Checkpoints | None = None,
    watch: Callable[[int, FloatArray], None] = lambda _n_before, _sums: None,
) -> FittedHead:
    """Train the ensemble of a fold to its last epoch and return it.

    `head.width` is the number of units of a member, whose readings `head.dropout` drops. `checkpoints` and `watch`: as
    in `finetuning.fit_fold`; training curves are means over members, validation curves those of the whole ensemble.
    """
    hold_to_one_thread()
    members = [replace(head, seed=seed) for seed in _member_seeds(head.seed, material.params.members)]
    size = Size(material.params.maps, head.width)
    states = [initial_state(initial_weights(size, member.seed)) for member in members]
    sums: list[FloatArray] = []  # an array of shape (4,) for each epoch done
    if checkpoints and (earlier := checkpoints.read()):
        states = keras.tree.pack_sequence_as(states, [ops.convert_to_tensor(array) for array in earlier.arrays])
        sums = list(earlier.curves)
        watch(0, earlier.curves)
    for epoch in range(len(sums), len(head.learning_rates)):
        rules = _rules(head, material.params, epoch)
        work = partial(_member_epoch, material=material, rules=rules, epoch=epoch)
        with ThreadPoolExecutor(len(members)) as pool:  # a thread a member, as each computes on one
            trained = list(pool.map(work, states, members))
        states = [state for state, _ in trained]
        training = np.mean([found for _, found in trained], axis=0)
        sums.append(np.concatenate([training, _validation(head, material, states)]).astype(np.float32))
        watch(epoch, sums[-1][None])
        if checkpoints and epoch + 1 < len(head.learning_rates):
            checkpoints.offer(lambda now=states: Checkpoint(_arrays(now), np.stack(sums)))  # type: ignore[misc]
    layers = {
        f"member{number}": [np.asarray(ops.convert_to_numpy(weight)) for weight in state.weights]
        for number, state in enumerate(states, start=1)
    }
    features = ensemble_readings(list(layers.values()), material.bank[0])
    return FittedHead(head.name, joined_head(list(layers.values())), history(head, np.stack(sums)), features, layers)


def ensemble_readings(members: Sequence[Sequence[Any]], flat_views: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Return the readings of all members side by side, shape (n, members x 2 D).

    `members`: the weights of each, in the order of `NAMES`; `flat_views`: shape (n, 28 x 24 x 4).
    """
    blocks = []
    for start in range(0, len(flat_views), SCANS_AT_ONCE):
        views = flat_views[start : start + SCANS_AT_ONCE].astype(np.float32).reshape(-1, *SLABS_SHAPE)
        blocks.append(np.concatenate([read(list(weights), views) for weights in members], axis=1))
    return np.concatenate(blocks)


def joined_head(members: Sequence[Sequence[Any]]) -> HeadWeights:
    """Return the head on `ensemble_readings` whose log odds are the mean of the members'.

    Readings are never below 0, so a hidden layer of ReLU units with the identity as kernel leaves them as they are.
    """
    out, bias = NAMES.index("out"), NAMES.index("out_bias")
    kernel = np.concatenate([np.asarray(weights[out]) for weights in members]) / len(members)
    return HeadWeights(
        kernel=np.eye(len(kernel), dtype=np.float32),
        bias=np.zeros(len(kernel), np.float32),
        output_kernel=kernel.astype(np.float32),
        output_bias=float(np.mean([float(weights[bias]) for weights in members])),
    )


def member_log_odds(fitted: FittedHead) -> FloatArray:
    """Return the log odds of each member, shape (members, N), which tell how far the seeds agree."""
    if fitted.features is None:
        raise ValueError(f"{fitted.name}: a head without readings is no ensemble")
    members = list(fitted.layers.values())
    of_members = np.split(fitted.features, len(members), axis=1)
    return np.stack([logits(joined_head([one]), read) for one, read in zip(members, of_members, strict=True)])


def member_spread(fitted: FittedHead) -> FloatArray:
    """Return how far the members differ, the sd of their log odds, shape (N,)."""
    return np.asarray(member_log_odds(fitted).std(axis=0))


def _member_seeds(seed: int, n_members: int) -> list[int]:
    return [int(np.random.SeedSequence([seed, 2, member]).generate_state(1)[0]) for member in range(n_members)]


def _rules(head: Head, params: StriatumParams, epoch: int) -> Rules:
    numbers = (head.learning_rates[epoch], head.weight_decay, params.label_smoothing)
    return Rules(*(np.float32(number) for number in numbers))


def _member_epoch(
    state: MemberState, member: Head, material: SlabMaterial, rules: Rules, epoch: int
) -> tuple[MemberState, FloatArray]:
    """Train a member for an epoch; return its sums as if the weights had summed up to the number of subjects."""
    batches = _batches(member, material, epoch)
    new_state, found = train_epoch(state, batches, rules)
    return new_state, found * (len(member.train_rows) / batches.weight.sum())


def _batches(member: Head, material: SlabMaterial, epoch: int) -> SlabBatches:
    """Return an epoch of a member: every training row once, in one of its altered views."""
    n_draws, n_subjects = material.lowered.shape
    rng = np.random.default_rng([member.seed, 1, epoch])
    order = rng.permutation(member.train_rows)
    draws = draw_order(member.seed, n_subjects, epoch + 1, n_draws)[epoch, order]
    lowered, is_control = material.lowered[draws, order], material.labels[order] == 0
    # Controls that were taken to be pd are made up for by the others, so that the share of pd stays what it is.
    weight = np.where(is_control & ~lowered, 1 / (1 - material.params.alter.lowered_share), 1.0)
    keep = rng.random((len(order), 2 * member.width), np.float32) >= member.dropout
    n_batches = -(-len(order) // material.batch_size)
    place = np.resize(np.arange(len(order)), (n_batches, material.batch_size))
    real = np.arange(place.size).reshape(place.shape) < len(order)
    return SlabBatches(
        views=material.bank[draws[place] + 1, order[place]].astype(np.float32),
        target=np.where(is_control & ~lowered, 0, 1).astype(np.float32)[place],
        weight=np.where(real, weight[place], 0).astype(np.float32),
        keep=(keep / (1 - member.dropout)).astype(np.float32)[place],
    )


def _validation(head: Head, material: SlabMaterial, states: Sequence[MemberState]) -> FloatArray:
    """Return sums of loss and of right answers of the ensemble on unaltered views, shape (2,)."""
    rows = head.validation_rows
    if not len(rows):
        return np.zeros(2)
    members = [[np.asarray(ops.convert_to_numpy(weight)) for weight in state.weights] for state in states]
    scores = logits(joined_head(members), ensemble_readings(members, material.bank[0, rows])).astype(np.float64)
    is_pd = material.labels[rows] == 1
    return np.array([np.logaddexp(0, np.where(is_pd, -scores, scores)).sum(), ((scores > 0) == is_pd).sum()])


def _arrays(states: Sequence[MemberState]) -> list[NDArray[Any]]:
    return [np.asarray(ops.convert_to_numpy(tensor)) for tensor in keras.tree.flatten(list(states))]
