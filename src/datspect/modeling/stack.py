"""Many heads trained as one stack, each ending as it would have alone; what is gained is speed.

Each head keeps its own rows, order, dropout, learning rates, width and seed, and shares the bank of features. The
arithmetic is written out in `keras.ops`: gradients of two dense layers are short, and so one compiled function runs
a whole epoch of many heads on any backend. On a CPU two such programs, each with half of the heads, run side by side.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Lock
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from datspect.arrays import FloatArray, IntArray
from datspect.imaging.augmentation import draw_order
from datspect.modeling.adam import adam, corrected_rate
from datspect.modeling.compilation import compiled, n_programs
from datspect.modeling.heads import FittedHead, Head, HeadWeights, epoch_order, initial_weights

CURVES = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "learning_rate")


def fit_heads(
    heads: Sequence[Head],
    bank: FloatArray,
    labels: IntArray,
    *,
    batch_size: int,
    report: Callable[[int], None] | None = None,
) -> list[FittedHead]:
    """Train all `heads` together, every head as if alone, to the end; parameters as those of `heads_after`."""
    n_epochs = len(heads[0].learning_rates)
    (fitted,) = heads_after([n_epochs], heads, bank, labels, batch_size=batch_size, report=report)
    return fitted


def heads_after(
    epochs: Sequence[int],
    heads: Sequence[Head],
    bank: FloatArray,
    labels: IntArray,
    *,
    batch_size: int,
    report: Callable[[int], None] | None = None,
) -> Iterator[list[FittedHead]]:
    """Train all `heads` together, every head as if alone, and give them as they are after each of `epochs`.

    Training goes no further than the caller asks: one that has seen enough stops iterating.

    Parameters
    ----------
    epochs : rising numbers of epochs, the last at most that of the heads
    bank : shape (draws + 1, N, F); row 0 of the first axis, the clean images, validates, and trains only where there
        are no draws
    labels : shape (N,), 0 or 1
    report : told after each epoch how many are done

    The loss is the sum over heads of the mean over each head's real rows of a batch. A head with fewer steps than the
    longest is left untouched (weights, moments, step count) in the surplus; narrower heads are padded with hidden
    units of weight zero, which Adam leaves at zero.
    """
    flat_bank = ops.convert_to_tensor(bank.reshape(-1, bank.shape[2]))
    shares = np.array_split(np.arange(len(heads)), n_programs(len(heads)))
    parts = [_Part(_Stack(heads[rows[0] : rows[-1] + 1], bank, labels, batch_size), flat_bank) for rows in shares]
    progress = _SlowestPart(len(parts), report)
    with ThreadPoolExecutor(len(parts)) as pool:
        try:
            for epoch in epochs:
                fitting = [
                    pool.submit(part.train_until, epoch, partial(progress.advance, n)) for n, part in enumerate(parts)
                ]
                for part_fitting in fitting:
                    part_fitting.result()
                yield [head for part in parts for head in part.heads()]
        except BaseException:
            progress.stop()  # the pool waits for its threads: they end with the epoch at hand
            raise


class _SlowestPart:
    """How many epochs every part of the stack has done."""

    def __init__(self, n_parts: int, report: Callable[[int], None] | None) -> None:
        self._done = [0] * n_parts
        self._report = report
        self._lock = Lock()
        self._stopped = False

    def advance(self, part: int) -> bool:
        """Count an epoch of `part`; False if it should go no further."""
        with self._lock:
            before = min(self._done)
            self._done[part] += 1
            if self._report is not None and min(self._done) > before:
                self._report(min(self._done))
            return not self._stopped

    def stop(self) -> None:
        """Let every part end after its present epoch."""
        self._stopped = True


class _Part:
    """Some of the heads, trained by one compiled program."""

    def __init__(self, stack: "_Stack", flat_bank: Any) -> None:
        self._stack = stack
        self._bank = flat_bank
        self._state = _initial_state(stack.heads, flat_bank.shape[1])
        self._validation = stack.validation_batch()
        self._curves: list[FloatArray] = []  # an array of shape (4, heads) for each epoch done

    def train_until(self, epoch: int, advance: Callable[[], bool]) -> None:
        """Train until `epoch` epochs are done, or until `advance`, called after each, says False."""
        run_epoch = compiled(_epoch)
        for number in range(len(self._curves), epoch):
            batches = self._stack.epoch_batches(number)
            self._state, sums = run_epoch(self._state, self._bank, *batches, *self._validation)
            self._curves.append(ops.convert_to_numpy(sums))
            if not advance():
                break

    def heads(self) -> list[FittedHead]:
        """The heads as they are now."""
        return _unstack(self._state, np.stack(self._curves), self._stack)


class _Stack:
    """Padded index arrays of a list of heads; axis order (step, head, row of the batch)."""

    def __init__(self, heads: Sequence[Head], bank: FloatArray, labels: IntArray, batch_size: int) -> None:
        n_draws, n_subjects = bank.shape[0] - 1, bank.shape[1]
        self.heads = heads
        self.n_subjects = n_subjects
        self.labels = labels.astype(np.float32)
        self.batch_size = batch_size
        self.width = max(head.width for head in heads)
        self.n_train = np.array([len(head.train_rows) for head in heads])
        self.n_validation = np.array([len(head.validation_rows) for head in heads])
        self.n_steps = int(-(-self.n_train.max() // batch_size))
        n_epochs = len(heads[0].learning_rates)
        self.draws = [_draws(head.seed, n_subjects, n_epochs, n_draws) for head in heads]

    def epoch_batches(self, epoch: int) -> tuple[NDArray[Any], ...]:
        """Rows, labels, row weights, dropout masks (all by step), and learning rates of one epoch."""
        shape = (len(self.heads), self.n_steps * self.batch_size)
        rows = np.zeros(shape, np.int32)
        targets = np.zeros(shape, np.float32)
        real = np.zeros(shape, bool)
        keep = np.zeros((*shape, self.width), bool)
        for h, head in enumerate(self.heads):
            order, kept_units = epoch_order(head, epoch)
            n = len(order)
            rows[h, :n] = self.draws[h][epoch, order] * self.n_subjects + order
            targets[h, :n] = self.labels[order]
            real[h, :n] = True
            keep[h, :n, : head.width] = kept_units
        learning_rates = np.array([head.learning_rates[epoch] for head in self.heads], np.float32)
        kept = np.array([1 / (1 - head.dropout) for head in self.heads], np.float32)
        return (*(self._by_step(a) for a in (rows, targets, real, keep)), learning_rates, kept)

    def validation_batch(self) -> tuple[NDArray[Any], ...]:
        """Clean rows, labels and which of them are real, shape (head, row)."""
        shape = (len(self.heads), max(1, int(self.n_validation.max())))
        rows, targets, real = np.zeros(shape, np.int32), np.zeros(shape, np.float32), np.zeros(shape, bool)
        for h, head in enumerate(self.heads):
            n = len(head.validation_rows)
            rows[h, :n], targets[h, :n], real[h, :n] = head.validation_rows, self.labels[head.validation_rows], True
        return rows, targets, real

    def _by_step(self, values: NDArray[Any]) -> NDArray[Any]:
        by_head = values.reshape(len(self.heads), self.n_steps, self.batch_size, *values.shape[2:])
        return np.ascontiguousarray(np.swapaxes(by_head, 0, 1))


def _draws(seed: int, n_subjects: int, n_epochs: int, n_draws: int) -> IntArray:
    """The row of the bank's first axis that each subject uses in each epoch, shape (epochs, subjects)."""
    if n_draws == 0:
        return np.zeros((n_epochs, n_subjects), np.int64)
    return draw_order(seed, n_subjects, n_epochs, n_draws) + 1


def _epoch(
    state: Any, bank: Any, rows: Any, targets: Any, real: Any, keep: Any, rates: Any, kept: Any, *val: Any
) -> Any:
    """One epoch of every head: all training steps, then validation on clean features.

    Returns the new state and, shape (4, head): sums of loss and of right answers, training and validation.
    """

    def step(s: Any, carried: Any) -> Any:
        state, loss_sum, right_sum = carried
        features = ops.cast(ops.take(bank, rows[s], axis=0), "float32")  # (head, row, feature)
        new_state, losses, right = _train_step(state, features, targets[s], real[s], keep[s], rates, kept)
        return new_state, loss_sum + losses, right_sum + right

    zeros = ops.zeros(rows.shape[1], "float32")
    state, loss_sum, right_sum = ops.fori_loop(0, rows.shape[0], step, (state, zeros, zeros))
    val_rows, val_targets, val_real = val
    (kernel, bias, output_kernel, output_bias) = state[0]
    features = ops.cast(ops.take(bank, val_rows, axis=0), "float32")
    hidden = ops.relu(ops.matmul(features, kernel) + bias[:, None, :])
    scores = ops.sum(hidden * output_kernel[:, None, :], axis=2) + output_bias[:, None]
    val_loss, val_right = _loss_and_right(scores, val_targets, ops.cast(val_real, "float32"))
    return state, ops.stack([loss_sum, right_sum, val_loss, val_right])


def _train_step(state: Any, features: Any, targets: Any, real: Any, keep: Any, rates: Any, kept: Any) -> Any:
    """Forward, backward and Adam for one batch of every head; gradients of the mean over each head's real rows."""
    weights, first, second, count = state
    kernel, bias, output_kernel, output_bias = weights
    real = ops.cast(real, "float32")  # (head, row)
    n_real = ops.sum(real, axis=1)
    active = n_real > 0
    scale = ops.cast(keep, "float32") * kept[:, None, None]
    linear = ops.matmul(features, kernel) + bias[:, None, :]  # (head, row, unit)
    hidden = ops.relu(linear) * scale
    scores = ops.sum(hidden * output_kernel[:, None, :], axis=2) + output_bias[:, None]
    losses, right = _loss_and_right(scores, targets, real)

    d_scores = (ops.sigmoid(scores) - targets) * real / ops.maximum(n_real, 1.0)[:, None]
    d_linear = d_scores[:, :, None] * output_kernel[:, None, :] * scale * ops.cast(linear > 0, "float32")
    gradients = (
        ops.matmul(ops.transpose(features, (0, 2, 1)), d_linear),
        ops.sum(d_linear, axis=1),
        ops.sum(d_scores[:, :, None] * hidden, axis=1),
        ops.sum(d_scores, axis=1),
    )
    count = count + ops.cast(active, "float32")
    rates = corrected_rate(rates, count)
    updated = [_adam(*tensors, rates, active) for tensors in zip(weights, first, second, gradients, strict=True)]
    return (*(tuple(tensors) for tensors in zip(*updated, strict=True)), count), losses, right


def _adam(weight: Any, first: Any, second: Any, gradient: Any, rates: Any, active: Any) -> Any:
    """Adam's new weight and moments; a head that is not active keeps its old ones."""
    per_head = (-1,) + (1,) * (len(weight.shape) - 1)
    rates, active = ops.reshape(rates, per_head), ops.reshape(active, per_head)
    new_weight, new_first, new_second = adam(weight, first, second, gradient, rates)
    return (
        ops.where(active, new_weight, weight),
        ops.where(active, new_first, first),
        ops.where(active, new_second, second),
    )


def _loss_and_right(scores: Any, targets: Any, real: Any) -> tuple[Any, Any]:
    """Per head, over real rows: the sum of the binary cross-entropy and the number of right answers at 0.5."""
    losses = ops.relu(scores) - scores * targets + ops.log1p(ops.exp(-ops.abs(scores)))
    right = ops.cast(ops.equal(scores > 0, targets > 0.5), "float32")
    return ops.sum(losses * real, axis=1), ops.sum(right * real, axis=1)


def _initial_state(heads: Sequence[Head], n_features: int) -> Any:
    """Stacked weights, both of Adam's moments and the step counts; narrower heads padded with zeros."""
    width = max(head.width for head in heads)
    n = len(heads)
    kernel = np.zeros((n, n_features, width), np.float32)
    output_kernel = np.zeros((n, width), np.float32)
    for h, head in enumerate(heads):
        weights = initial_weights(head, n_features)
        kernel[h, :, : head.width] = weights.kernel
        output_kernel[h, : head.width] = weights.output_kernel
    stacked = (kernel, np.zeros((n, width), np.float32), output_kernel, np.zeros(n, np.float32))

    def tensors(values: Sequence[FloatArray]) -> tuple[Any, ...]:
        return tuple(ops.convert_to_tensor(value) for value in values)

    moments = [np.zeros_like(value) for value in stacked]
    return tensors(stacked), tensors(moments), tensors(moments), ops.convert_to_tensor(np.zeros(n, np.float32))


def _unstack(state: Any, curves: FloatArray, stack: _Stack) -> list[FittedHead]:
    kernel, bias, output_kernel, output_bias = (ops.convert_to_numpy(tensor) for tensor in state[0])
    fitted = []
    for h, head in enumerate(stack.heads):
        weights = HeadWeights(
            kernel=kernel[h, :, : head.width],
            bias=bias[h, : head.width],
            output_kernel=output_kernel[h, : head.width],
            output_bias=float(output_bias[h]),
        )
        # A head without validation rows (a final model, whose test set is looked at once) has no validation curve.
        n_validation = stack.n_validation[h] or np.nan
        means = curves[:, :, h] / np.array([stack.n_train[h], stack.n_train[h], n_validation, n_validation])
        rates = np.asarray(head.learning_rates[: len(curves)], np.float64)
        history = dict(zip(CURVES, [*means.T, rates], strict=True))
        fitted.append(FittedHead(head.name, weights, history))
    return fitted
