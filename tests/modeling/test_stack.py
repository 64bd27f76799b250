"""A stack of heads trains each head as if alone, and as Keras would."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from datspect.imaging.augmentation import draw_order
from datspect.modeling import stack
from datspect.modeling.heads import FittedHead, Head, HeadWeights, build_head, initial_weights, logits
from datspect.modeling.stack import fit_heads
from datspect.modeling.steps import loss_and_right

ROOT = Path(__file__).parents[2]
N_SUBJECTS, N_FEATURES, N_DRAWS, BATCH = 83, 40, 5, 16


@pytest.fixture(scope="module")
def labels() -> NDArray[np.int64]:
    return (np.arange(N_SUBJECTS) % 3 > 0).astype(np.int64)


@pytest.fixture(scope="module")
def bank(labels: NDArray[np.int64]) -> NDArray[np.float16]:
    rng = np.random.default_rng(1)
    features = np.maximum(rng.normal(size=(N_DRAWS + 1, N_SUBJECTS, N_FEATURES)), 0)
    features[:, :, :5] += 0.6 * labels[None, :, None]
    return features.astype(np.float16)


def head(
    seed: int, n_train: int = 64, width: int = 12, dropout: float = 0.5, n_epochs: int = 20, initial: float = 1e-3
) -> Head:
    order = np.random.default_rng(seed).permutation(N_SUBJECTS)
    rates = initial * 0.9 ** np.arange(n_epochs)
    return Head(f"head-{seed}", order[:n_train], order[n_train:], width, dropout, rates, seed)


def assert_same(first: FittedHead, second: FittedHead, tolerance: float = 1e-4) -> None:
    assert first.name == second.name
    for name in ("kernel", "bias", "output_kernel", "output_bias"):
        np.testing.assert_allclose(
            getattr(first.weights, name), getattr(second.weights, name), atol=tolerance, err_msg=name
        )
    for name, curve in first.history.items():
        np.testing.assert_allclose(curve, second.history[name], atol=tolerance, err_msg=name)


# 64 rows: 4 full steps; 65: a fifth step of one row; 79: 5 steps; 30: 2 steps, so frozen in the surplus.
MIXED = [head(1), head(2, n_train=65), head(3, n_train=79, width=7), head(4, n_train=30, dropout=0.2, initial=5e-3)]


def test_stacked_heads_equal_heads_trained_alone(bank: NDArray[np.float16], labels: NDArray[np.int64]) -> None:
    together = fit_heads(MIXED, bank, labels, batch_size=BATCH)
    for one, stacked in zip(MIXED, together, strict=True):
        assert_same(fit_heads([one], bank, labels, batch_size=BATCH)[0], stacked)


@pytest.mark.parametrize("order", [(1, 0), (3, 1), (2, 3, 0), (3, 2, 1, 0)])
def test_pairs_and_other_orders_give_the_same_heads(
    order: tuple[int, ...], bank: NDArray[np.float16], labels: NDArray[np.int64]
) -> None:
    together = fit_heads(MIXED, bank, labels, batch_size=BATCH)
    for index, stacked in zip(order, fit_heads([MIXED[i] for i in order], bank, labels, batch_size=BATCH), strict=True):
        assert_same(together[index], stacked)


def test_a_head_equals_keras_with_the_same_batches(bank: NDArray[np.float16], labels: NDArray[np.int64]) -> None:
    one = head(5, n_train=65, dropout=0.0, n_epochs=6)
    ours = fit_heads([one, head(6, n_train=79, n_epochs=6)], bank, labels, batch_size=BATCH)[0]
    model = build_head(initial_weights(one, N_FEATURES), 0.0)
    model.compile(keras.optimizers.Adam(1e-3), keras.losses.BinaryCrossentropy(), metrics=["accuracy"])
    draws = draw_order(one.seed, N_SUBJECTS, 6, N_DRAWS)
    for epoch, rate in enumerate(one.learning_rates):
        model.optimizer.learning_rate = rate
        rows = np.random.default_rng([one.seed, 1, epoch]).permutation(one.train_rows)
        features = bank[draws[epoch, rows] + 1, rows].astype(np.float32)
        curves = model.fit(features, labels[rows], batch_size=BATCH, shuffle=False, verbose=0).history
        assert ours.history["train_loss"][epoch] == pytest.approx(curves["loss"][0], abs=1e-4)
        assert ours.history["train_accuracy"][epoch] == pytest.approx(curves["accuracy"][0], abs=1e-6)
        loss, accuracy = model.evaluate(
            bank[0, one.validation_rows].astype(np.float32), labels[one.validation_rows], verbose=0
        )
        assert ours.history["validation_loss"][epoch] == pytest.approx(loss, abs=1e-4)
        assert ours.history["validation_accuracy"][epoch] == pytest.approx(accuracy, abs=1e-6)
    for ours_array, keras_array in zip(build_head(ours.weights, 0.0).get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(ours_array, keras_array, atol=1e-5)


def test_dropout_keeps_the_expected_share_and_is_off_in_prediction(
    bank: NDArray[np.float16], labels: NDArray[np.int64]
) -> None:
    with_dropout, without = head(7, dropout=0.5), head(7, dropout=0.0)
    assert not np.allclose(
        fit_heads([with_dropout], bank, labels, batch_size=BATCH)[0].weights.kernel,
        fit_heads([without], bank, labels, batch_size=BATCH)[0].weights.kernel,
    )
    # A learning rate near zero leaves the weights at their start: the mean loss under dropout is then that
    # of a head whose hidden units are each kept with probability one half and doubled.
    still = replace(with_dropout, learning_rates=np.full(200, 1e-12))
    fitted = fit_heads([still], bank, labels, batch_size=BATCH)[0]
    start = initial_weights(still, N_FEATURES)
    rng = np.random.default_rng(0)
    features, target = bank[1:, still.train_rows].astype(np.float32), labels[still.train_rows]
    hidden = np.maximum(features @ start.kernel, 0)
    losses = []
    for _ in range(200):
        scores = (hidden * (rng.random(hidden.shape) < 0.5) * 2) @ start.output_kernel
        losses.append(np.mean(np.logaddexp(0, scores) - scores * target))
    assert fitted.history["train_loss"].mean() == pytest.approx(np.mean(losses), rel=0.01)


def test_the_clean_images_never_train(bank: NDArray[np.float16], labels: NDArray[np.int64]) -> None:
    one = head(8, n_epochs=3)
    spoiled = bank.copy()
    spoiled[0] = np.nan
    np.testing.assert_array_equal(
        fit_heads([one], bank, labels, batch_size=BATCH)[0].weights.kernel,
        fit_heads([one], spoiled, labels, batch_size=BATCH)[0].weights.kernel,
    )


def test_rows_outside_a_head_do_not_touch_it(bank: NDArray[np.float16], labels: NDArray[np.int64]) -> None:
    one = head(9, n_epochs=3)
    spoiled, wrong = bank.copy(), labels.copy()
    spoiled[:, one.validation_rows] = np.nan
    wrong[one.validation_rows] = 7
    np.testing.assert_array_equal(
        fit_heads([one], bank, labels, batch_size=BATCH)[0].weights.kernel,
        fit_heads([one], spoiled, wrong, batch_size=BATCH)[0].weights.kernel,
    )


def test_training_twice_gives_the_same_bytes(bank: NDArray[np.float16], labels: NDArray[np.int64]) -> None:
    first, second = (fit_heads(MIXED, bank, labels, batch_size=BATCH) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert one.weights.kernel.tobytes() == other.weights.kernel.tobytes()
        assert one.history["train_loss"].tobytes() == other.history["train_loss"].tobytes()


def test_training_learns_and_validation_follows(bank: NDArray[np.float16], labels: NDArray[np.int64]) -> None:
    one = head(10, dropout=0.2, n_epochs=80, initial=2e-2)
    fitted = fit_heads([one], bank, labels, batch_size=BATCH)[0]
    assert fitted.history["train_loss"][-1] < 0.5 * fitted.history["train_loss"][0]
    clean = bank[0, one.validation_rows].astype(np.float32)
    right = np.mean((logits(fitted.weights, clean) > 0) == (labels[one.validation_rows] == 1))
    assert fitted.history["validation_accuracy"][-1] == pytest.approx(right)


def test_a_head_without_validation_rows_has_no_validation_curve(
    bank: NDArray[np.float16], labels: NDArray[np.int64]
) -> None:
    alone = replace(head(11, n_epochs=2), validation_rows=np.array([], np.int64))
    fitted = fit_heads([alone, head(12, n_epochs=2)], bank, labels, batch_size=BATCH)
    assert np.isnan(fitted[0].history["validation_loss"]).all()
    assert np.isfinite(fitted[1].history["validation_loss"]).all()


def test_progress_is_reported_after_every_epoch(bank: NDArray[np.float16], labels: NDArray[np.int64]) -> None:
    seen: list[int] = []
    fit_heads([head(13, n_epochs=4)], bank, labels, batch_size=BATCH, report=seen.append)
    assert seen == [1, 2, 3, 4]


def test_only_the_first_epoch_is_traced(
    bank: NDArray[np.float16], labels: NDArray[np.int64], monkeypatch: pytest.MonkeyPatch
) -> None:
    n_traced = 0
    after_epochs: list[int] = []

    def counted(*arguments: Any) -> Any:
        nonlocal n_traced
        n_traced += 1
        return loss_and_right(*arguments)

    monkeypatch.setattr(stack, "loss_and_right", counted)
    monkeypatch.setattr(stack, "n_programs", lambda n_heads: 1)
    one = head(18, width=11, n_epochs=3)  # a width that no other test has compiled a program for
    fit_heads([one], bank, labels, batch_size=BATCH, report=lambda _: after_epochs.append(n_traced))
    assert after_epochs[0] > 0
    assert after_epochs == after_epochs[:1] * 3


@pytest.mark.parametrize("n_programs", [1, 2, 3, 4])
def test_the_number_of_programs_does_not_change_what_is_learnt(
    n_programs: int, bank: NDArray[np.float16], labels: NDArray[np.int64], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = fit_heads(MIXED, bank, labels, batch_size=BATCH)
    monkeypatch.setattr(stack, "n_programs", lambda n_heads: n_programs)
    for one, other in zip(expected, fit_heads(MIXED, bank, labels, batch_size=BATCH), strict=True):
        assert_same(one, other)


LAST_BITS = """
import hashlib
import datspect
import numpy as np
from datspect.modeling.stack import fit_heads
from tests.modeling.test_stack import head
from dataclasses import replace

bank = np.random.default_rng(1).normal(size=(2, 96, 2048)).astype(np.float16)  # sums long enough for threads to share
heads = [replace(head(20 + n, width=128, n_epochs=4), train_rows=np.delete(np.arange(96), n)) for n in range(5)]
for some in (heads, heads[3:4]):
    fitted = fit_heads(some, bank, np.arange(96) % 2, batch_size=32)
    print(hashlib.sha256(fitted[min(3, len(some) - 1)].weights.kernel.tobytes()).hexdigest())
"""
"""Print digests of one head, trained beside others and alone."""


@pytest.mark.parametrize("n_threads", [1, pytest.param(16, marks=pytest.mark.long)])
def test_the_last_bits_of_heads_do_not_depend_on_cores_and_on_other_heads(n_threads: int) -> None:
    def digests(n: int) -> list[str]:
        environment = {**os.environ, "TF_NUM_INTRAOP_THREADS": str(n)}
        command = [sys.executable, "-c", LAST_BITS]
        said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=ROOT)
        return said.stdout.split()

    here = digests(2)
    assert len(here) == 2
    assert set(digests(n_threads)) == set(here[:1]) == set(here)


@pytest.mark.parametrize("n_epochs_done", [0, 3])
def test_an_interrupt_stops_training_within_an_epoch(
    n_epochs_done: int, bank: NDArray[np.float16], labels: NDArray[np.int64], monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = [head(16, n_epochs=20_000), head(17, n_epochs=20_000)]
    if n_epochs_done == 0:  # while the second of two programs is being prepared, the first one already running
        prepare = stack._Stack
        prepared: list[object] = []

        def prepare_and_interrupt(*arguments: Any) -> Any:
            prepared.append(prepare(*arguments))
            if len(prepared) == 2:
                raise KeyboardInterrupt
            return prepared[-1]

        monkeypatch.setattr(stack, "n_programs", lambda n_heads: 2)
        monkeypatch.setattr(stack, "_Stack", prepare_and_interrupt)

    def interrupt(n_done: int) -> None:
        if n_done == n_epochs_done:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have us ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            fit_heads(endless, bank, labels, batch_size=BATCH, report=interrupt)
    finally:
        signal.signal(signal.SIGINT, before)


class Counting:
    """A part of a stack that trains nothing."""

    def __init__(self) -> None:
        self.n_epochs = 0

    def train_epoch(self) -> None:
        self.n_epochs += 1


@pytest.fixture
def short_turns() -> Iterator[None]:
    """Let threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("short_turns")
def test_parts_take_turns_until_each_has_its_epochs_however_threads_meet() -> None:
    for _ in range(300):
        parts, told = [Counting() for _ in range(5)], []
        turns = stack._Turns(parts, told.append)  # type: ignore[arg-type]
        with ThreadPoolExecutor(4) as pool:
            for epoch in (2, 5):
                turns.begin(epoch)
                for working in [pool.submit(turns.work) for _ in range(4)]:
                    working.result()
                assert [part.n_epochs for part in parts] == [epoch] * 5
        assert told == [1, 2, 3, 4, 5]


def test_an_error_of_one_part_ends_the_others() -> None:
    class Failing(Counting):
        def train_epoch(self) -> None:
            raise ValueError("no memory")

    endless = Counting()
    turns = stack._Turns([endless, Failing()], None)  # type: ignore[list-item]
    turns.begin(10**9)
    with ThreadPoolExecutor(2) as pool:
        one, other = (pool.submit(turns.work) for _ in range(2))
    assert {type(working.exception()) for working in (one, other)} == {ValueError, type(None)}


def test_initial_weights_are_glorot_uniform_and_depend_on_the_seed_alone() -> None:
    one = initial_weights(head(14, width=200), 300)
    limit = np.sqrt(6 / 500)
    assert np.abs(one.kernel).max() <= limit
    assert one.kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.01)
    assert np.all(one.bias == 0)
    np.testing.assert_array_equal(one.kernel, initial_weights(head(14, width=200, n_train=30), 300).kernel)
    assert not np.allclose(one.kernel, initial_weights(head(15, width=200), 300).kernel)


def test_the_keras_head_predicts_what_the_logits_say() -> None:
    rng = np.random.default_rng(3)
    weights = HeadWeights(
        rng.normal(size=(6, 4)).astype(np.float32),
        rng.normal(size=4).astype(np.float32),
        rng.normal(size=4).astype(np.float32),
        0.3,
    )
    features = rng.normal(size=(9, 6)).astype(np.float32)
    expected = 1 / (1 + np.exp(-logits(weights, features)))
    predicted = build_head(weights, 0.5).predict(features, verbose=0)
    assert predicted.shape == (9, 1)
    np.testing.assert_allclose(predicted[:, 0], expected, atol=1e-6)


def test_a_bank_without_draws_trains_on_the_clean_images(bank: NDArray[np.float16], labels: NDArray[np.int64]) -> None:
    (on_clean,) = fit_heads([head(1)], bank[:1], labels, batch_size=BATCH)
    (on_copies,) = fit_heads([head(1)], np.repeat(bank[:1], 3, axis=0), labels, batch_size=BATCH)
    assert_same(on_clean, on_copies)


def test_a_head_without_weight_decay_is_to_the_byte_what_it_is_beside_heads_that_decay(
    bank: NDArray[np.float16], labels: NDArray[np.int64]
) -> None:
    pair = [head(1), head(2, n_train=65)]
    plain = fit_heads(pair, bank, labels, batch_size=BATCH)
    beside = fit_heads([pair[0], replace(pair[1], weight_decay=0.5)], bank, labels, batch_size=BATCH)
    assert plain[0].weights.kernel.tobytes() == beside[0].weights.kernel.tobytes()
    assert np.abs(plain[1].weights.kernel).sum() > np.abs(beside[1].weights.kernel).sum()


def test_kernels_without_a_gradient_decay_by_the_rate_and_biases_do_not(labels: NDArray[np.int64]) -> None:
    """Features of zero leave both kernels without a gradient: AdamW then multiplies them by 1 - rate * decay."""
    one = replace(head(1, n_epochs=3, initial=1e-2), weight_decay=0.5)
    nothing = np.zeros((N_DRAWS + 1, N_SUBJECTS, N_FEATURES), np.float16)
    fitted, _ = fit_heads([one, head(2, n_epochs=3)], nothing, labels, batch_size=BATCH)
    n_steps, start = 64 // BATCH, initial_weights(one, N_FEATURES)
    left = np.prod((1 - one.learning_rates * one.weight_decay) ** n_steps)
    assert left < 0.95
    np.testing.assert_allclose(fitted.weights.kernel, left * start.kernel, rtol=1e-5)
    np.testing.assert_allclose(fitted.weights.output_kernel, left * start.output_kernel, rtol=1e-5)
    assert fitted.weights.output_bias > 0.03  # it learns that most are pd
