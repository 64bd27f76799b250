"""Train many heads as one stack, for speed: each head ends as it would have alone.

Each head keeps its own rows, order, dropout, learning rates, width and seed, and shares the bank of features. The
gradients of two dense layers are short, so they are written out, and one compiled program runs a whole epoch of many
heads on any backend. On a CPU each head has a program of its own, and some of these run side by side. docs/shapes.md
explains the arrays.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from keras import ops
from numpy.typing import NDArray

from datspect.arrays import FloatArray, IntArray
from datspect.imaging.augmentation import draw_order
from datspect.modeling.compilation import compiled, hold_to_several_threads, n_at_once, n_programs
from datspect.modeling.heads import FittedHead, Head, HeadWeights, epoch_order, initial_weights
from datspect.modeling.steps import (
    HeadTensors,
    Rows,
    Tensor,
    TrainingBatches,
    adam,
    corrected_rate,
    hidden_units,
    history,
    log_odds,
    loss_and_right,
)

Watch = Callable[[Sequence[Head], FloatArray], None]
"""Receives K heads that have done one epoch more and, shape (4, K), the sums of that epoch, as `history` takes them."""


class StackState(NamedTuple):
    """What training changes of K heads.

    weights, first, second : the weights of the heads and both moments of Adam
    n_steps : float32, shape (K,), the steps that each head has done
    """

    weights: HeadTensors
    first: HeadTensors
    second: HeadTensors
    n_steps: Tensor


def fit_heads(
    heads: Sequence[Head],
    bank: NDArray[np.float16],
    labels: IntArray,
    *,
    batch_size: int,
    report: Callable[[int], None] | None = None,
    watch: Watch | None = None,
) -> list[FittedHead]:
    """Train all `heads` together to the end and return them; the parameters are those of `heads_after`."""
    n_epochs = len(heads[0].learning_rates)
    (fitted,) = heads_after([n_epochs], heads, bank, labels, batch_size=batch_size, report=report, watch=watch)
    return fitted


def heads_after(
    epochs: Sequence[int],
    heads: Sequence[Head],
    bank: NDArray[np.float16],
    labels: IntArray,
    *,
    batch_size: int,
    report: Callable[[int], None] | None = None,
    watch: Watch | None = None,
) -> Iterator[list[FittedHead]]:
    """Train all `heads` together, each as if alone, and yield them as they are after each of `epochs`.

    Training goes no further than the caller asks: a caller that has seen enough stops iterating.

    Parameters
    ----------
    epochs : rising numbers of epochs; the last is at most the number of learning rates of a head
    bank : shape (draws + 1, N, F), float16; the clean images, row 0 of the first axis, validate; they train only
        where there are no draws
    labels : shape (N,), 0 or 1
    report : receives the number of epochs that are done, after each epoch
    watch : receives the sums of each epoch, see `Watch`, from a thread of the training

    The loss is the sum over heads of the mean over each head's real rows of a batch. A head with fewer steps than the
    longest one keeps its weights, moments and step count in the surplus steps. Narrower heads are padded with hidden
    units of weight zero, which Adam leaves at zero.
    """
    hold_to_several_threads()
    # As bits, which the compiled program reads as float16: of a tensor in float16 outside of one TensorFlow reports, as
    # an error, that oneDNN does not compute in it.
    bits = bank.reshape(-1, bank.shape[2]).astype(np.float16, copy=False).view(np.uint16)
    flat_bank = ops.convert_to_tensor(bits)
    shares = np.array_split(np.arange(len(heads)), n_programs(len(heads)))
    n_validation = max(1, *(len(head.validation_rows) for head in heads))  # the same in all: one program less
    stacks = [_Stack(heads[rows[0] : rows[-1] + 1], bank, labels, batch_size, n_validation) for rows in shares]
    parts = [_Part(stack, flat_bank, watch) for stack in stacks]
    turns = _Turns(parts, report)
    with ThreadPoolExecutor(min(len(parts), n_at_once())) as pool:
        try:
            for epoch in epochs:
                turns.begin(epoch)
                for working in [pool.submit(turns.work) for _ in range(min(len(parts), n_at_once()))]:
                    working.result()
                yield [head for part in parts for head in part.heads()]
        except BaseException:
            turns.stop()  # the pool waits for its threads: they end with the epoch at hand
            raise


class _Turns:
    """Let the parts of the stack train an epoch each in turn, and count the epochs that every part has done."""

    def __init__(self, parts: Sequence["_Part"], report: Callable[[int], None] | None) -> None:
        self._parts = parts
        self._report = report
        self._lock = Lock()
        self._compiling = Lock()  # the first epoch of a part compiles its program, or finds that of a part before it
        self._waiting: deque[_Part] = deque()
        self._until = 0
        self._n_done = 0
        self._stopped = False

    def begin(self, epoch: int) -> None:
        """Let every part train until `epoch` epochs are done."""
        self._until = epoch
        self._waiting.extend(part for part in self._parts if part.n_epochs < epoch)

    def work(self) -> None:
        """Train the part that has waited longest for one epoch, again and again, until none waits."""
        try:
            while not self._stopped and (part := self._next()) is not None:
                with self._compiling if part.n_epochs == 0 else nullcontext():
                    part.train_epoch()
                self._count()
                if part.n_epochs < self._until:
                    self._waiting.append(part)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End every part after its present epoch."""
        self._stopped = True

    def _next(self) -> "_Part | None":
        """Return the part that has waited longest; None where none waits: those that are left have a thread each."""
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def _count(self) -> None:
        with self._lock:
            n_done = min(part.n_epochs for part in self._parts)
            if n_done > self._n_done:
                self._n_done = n_done
                if self._report is not None:
                    self._report(n_done)


class _Part:
    """Train some of the heads by one compiled program."""

    def __init__(self, stack: "_Stack", flat_bank: Tensor, watch: Watch | None) -> None:
        self._stack = stack
        self._watch = watch
        self._bank = flat_bank
        self._state = _initial_state(stack.heads, flat_bank.shape[1])
        self._validation = stack.validation_rows()
        self._weight_decay = np.array([head.weight_decay for head in stack.heads], np.float32)
        self._sums: list[FloatArray] = []  # an array of shape (4, K) for each epoch done
        self._run_epoch = compiled(_epoch)

    @property
    def n_epochs(self) -> int:
        """Return the number of epochs done."""
        return len(self._sums)

    def train_epoch(self) -> None:
        """Train one epoch more."""
        batches = self._stack.training_batches(self.n_epochs)
        self._state, sums = self._run_epoch(self._state, self._bank, batches, self._validation, self._weight_decay)
        self._sums.append(ops.convert_to_numpy(sums))
        if self._watch is not None:
            self._watch(self._stack.heads, self._sums[-1])

    def heads(self) -> list[FittedHead]:
        """Return the heads as they are now."""
        weights = [ops.convert_to_numpy(tensor) for tensor in self._state.weights]
        sums = np.stack(self._sums)  # (E, 4, K)
        fitted = []
        for h, head in enumerate(self._stack.heads):
            kernel, bias, output_kernel, output_bias = (array[h] for array in weights)
            unpadded = HeadWeights(
                kernel=kernel[:, : head.width],
                bias=bias[: head.width],
                output_kernel=output_kernel[: head.width],
                output_bias=float(output_bias),
            )
            fitted.append(FittedHead(head.name, unpadded, history(head, sums[:, :, h])))
        return fitted


class _Stack:
    """Make the padded arrays of a list of K heads; D is the width of the widest."""

    def __init__(
        self, heads: Sequence[Head], bank: NDArray[np.float16], labels: IntArray, batch_size: int, n_validation: int
    ) -> None:
        n_draws, n_subjects = bank.shape[0] - 1, bank.shape[1]
        self.heads = heads
        self._n_subjects = n_subjects
        self._labels = labels.astype(np.float32)
        self._batch_size = batch_size
        self._n_validation = n_validation
        self._width = max(head.width for head in heads)
        self._n_steps = -(-max(len(head.train_rows) for head in heads) // batch_size)
        n_epochs = len(heads[0].learning_rates)
        self._draws = [_draws(head.seed, n_subjects, n_epochs, n_draws) for head in heads]

    def training_batches(self, epoch: int) -> TrainingBatches:
        """Return the batches of one epoch."""
        shape = (len(self.heads), self._n_steps * self._batch_size)
        rows = _no_rows(shape)
        keep = np.zeros((*shape, self._width), bool)
        for h, head in enumerate(self.heads):
            order, kept_units = epoch_order(head, epoch)
            n = len(order)
            rows.index[h, :n] = self._draws[h][epoch, order] * self._n_subjects + order
            rows.target[h, :n] = self._labels[order]
            rows.real[h, :n] = True
            keep[h, :n, : head.width] = kept_units
        return TrainingBatches(
            rows=Rows(*(self._by_step(array) for array in rows)),
            keep=self._by_step(keep),
            kept_scale=np.array([1 / (1 - head.dropout) for head in self.heads], np.float32),
            rate=np.array([head.learning_rates[epoch] for head in self.heads], np.float32),
        )

    def validation_rows(self) -> Rows:
        """Return the clean rows that validate each head, arrays of shape (K, V), filled up to V."""
        rows = _no_rows((len(self.heads), self._n_validation))
        for h, head in enumerate(self.heads):
            n = len(head.validation_rows)
            rows.index[h, :n], rows.target[h, :n] = head.validation_rows, self._labels[head.validation_rows]
            rows.real[h, :n] = True
        return rows

    def _by_step(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return `values`, shape (K, S * B, ...), as shape (S, K, B, ...)."""
        by_head = values.reshape(len(self.heads), self._n_steps, self._batch_size, *values.shape[2:])
        return np.ascontiguousarray(np.swapaxes(by_head, 0, 1))


def _no_rows(shape: tuple[int, int]) -> Rows:
    """Return rows of which none is real yet."""
    return Rows(np.zeros(shape, np.int32), np.zeros(shape, np.float32), np.zeros(shape, bool))


def _draws(seed: int, n_subjects: int, n_epochs: int, n_draws: int) -> IntArray:
    """Return the row of the bank's first axis that each subject uses in each epoch, shape (E, N)."""
    if n_draws == 0:
        return np.zeros((n_epochs, n_subjects), np.int64)
    return draw_order(seed, n_subjects, n_epochs, n_draws) + 1


def _epoch(
    state: StackState, flat_bank: Tensor, training: TrainingBatches, validation: Rows, weight_decay: Tensor
) -> tuple[StackState, Tensor]:
    """Train every head for one epoch, then validate it on clean features.

    Returns
    -------
    The new state and, shape (4, K), sums of loss and of right answers, in training and in validation.
    """

    def features(index: Tensor) -> Tensor:
        return ops.cast(ops.view(ops.take(flat_bank, index, axis=0), "float16"), "float32")  # (K, B, F)

    def step(s: Tensor, carried: tuple[StackState, Tensor, Tensor]) -> tuple[StackState, Tensor, Tensor]:
        before, loss_sum, right_sum = carried
        rows, factor = training.of_step(s)
        after, losses, right = _step(before, features(rows.index), rows, factor, training.rate, weight_decay)
        return after, loss_sum + losses, right_sum + right

    n_steps, n_heads, _ = training.rows.index.shape
    zeros = ops.zeros(n_heads, "float32")
    state, *sums = ops.fori_loop(0, n_steps, step, (state, zeros, zeros))
    scores = log_odds(state.weights, hidden_units(state.weights, features(validation.index)))
    return state, ops.stack([*sums, *loss_and_right(scores, validation)])


def _step(
    state: StackState, features: Tensor, rows: Rows, factor: Tensor, rate: Tensor, weight_decay: Tensor
) -> tuple[StackState, Tensor, Tensor]:
    """Take one step of AdamW on the mean loss over each head's real rows, with the gradients written out.

    Parameters
    ----------
    features : shape (K, B, F)
    factor : shape (K, B, D), dropout's, on each hidden unit
    rate, weight_decay : shape (K,); without decay it is a step of Adam, to the bit

    Returns
    -------
    The new state and, shape (K,) each, sums of loss and of right answers.
    """
    weights = state.weights
    real = ops.cast(rows.real, "float32")
    n_real = ops.sum(real, axis=1)
    active = n_real > 0 if n_real.shape[0] > 1 else None  # a head by itself has no surplus steps
    hidden = hidden_units(weights, features)  # (K, B, D)
    kept = hidden * factor
    scores = log_odds(weights, kept)

    d_scores = (ops.sigmoid(scores) - rows.target) * real / ops.maximum(n_real, 1.0)[:, None]
    d_linear = d_scores[:, :, None] * weights.output_kernel[:, None, :] * factor * ops.cast(hidden > 0, "float32")
    gradients = HeadTensors(
        kernel=ops.matmul(ops.transpose(features, (0, 2, 1)), d_linear),
        bias=ops.sum(d_linear, axis=1),
        output_kernel=ops.sum(d_scores[:, :, None] * kept, axis=1),
        output_bias=ops.sum(d_scores, axis=1),
    )
    n_steps = state.n_steps + (1.0 if active is None else ops.cast(active, "float32"))
    # Kernels decay, biases do not.
    decay = HeadTensors(rate * weight_decay, ops.zeros_like(rate), rate * weight_decay, ops.zeros_like(rate))
    rate = corrected_rate(rate, n_steps)
    each = zip(weights, state.first, state.second, gradients, decay, strict=True)
    updated = [_adamw(*tensors, rate, active) for tensors in each]
    weights, first, second = (HeadTensors(*tensors) for tensors in zip(*updated, strict=True))
    return StackState(weights, first, second, n_steps), *loss_and_right(scores, rows)


def _adamw(
    weight: Tensor, first: Tensor, second: Tensor, gradient: Tensor, decay: Tensor, rate: Tensor, active: Tensor | None
) -> tuple[Tensor, ...]:
    """Return the new weight and moments, shape (K, ...) each; a head that is not active keeps its old ones.

    `decay`, `rate`, `active`: shape (K,); `decay` is the share of the weight that it loses before the step. None: all
    heads are active.
    """
    per_head = (-1,) + (1,) * (len(weight.shape) - 1)
    decay, rate = ops.reshape(decay, per_head), ops.reshape(rate, per_head)
    after = adam(weight * (1 - decay), first, second, gradient, rate)
    if active is None:
        return after
    before, active = (weight, first, second), ops.reshape(active, per_head)
    return tuple(ops.where(active, new, old) for new, old in zip(after, before, strict=True))


def _initial_state(heads: Sequence[Head], n_features: int) -> StackState:
    """Return the state before the first step; narrower heads are padded with zeros."""
    n, width = len(heads), max(head.width for head in heads)
    kernel = np.zeros((n, n_features, width), np.float32)
    output_kernel = np.zeros((n, width), np.float32)
    for h, head in enumerate(heads):
        weights = initial_weights(head, n_features)
        kernel[h, :, : head.width] = weights.kernel
        output_kernel[h, : head.width] = weights.output_kernel
    stacked = HeadTensors(kernel, np.zeros((n, width), np.float32), output_kernel, np.zeros(n, np.float32))
    zeros = HeadTensors(*(np.zeros_like(array) for array in stacked))

    def tensors(arrays: HeadTensors) -> HeadTensors:
        return HeadTensors(*(ops.convert_to_tensor(array) for array in arrays))

    return StackState(tensors(stacked), tensors(zeros), tensors(zeros), ops.zeros(n, "float32"))
