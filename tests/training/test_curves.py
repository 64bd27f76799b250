"""Curves in the making are those that the finished heads have, whatever comes late, twice or not at all."""

import threading

import numpy as np
import pytest

from datspect.modeling.heads import FittedHead, Head, HeadWeights
from datspect.modeling.stack import fit_heads
from datspect.modeling.steps import history
from datspect.training.crossval import history_table
from datspect.training.curves import Curves

E = 5
HEADS = [Head(f"fold-{k:02d}", np.arange(8), np.arange(8, 12), 2, 0.3, np.full(E, 1e-3), k) for k in (1, 2)]


@pytest.fixture
def sums(rng: np.random.Generator) -> np.ndarray:
    """Of one head over all epochs."""
    return rng.random((E, 4)).astype(np.float32)


def of(curves: Curves, name: str) -> np.ndarray:
    table = curves.table()
    return table.loc[table["head"] == name, "train_loss"].to_numpy()


def test_nothing_is_known_at_first() -> None:
    assert Curves(HEADS).table().empty
    assert Curves(HEADS).n_epochs == 2 * E


def test_a_stack_shows_every_epoch_as_it_ends_in_its_history(rng: np.random.Generator) -> None:
    curves = Curves(HEADS)
    seen = []
    bank = rng.random((2, 12, 4)).astype(np.float16)
    fitted = fit_heads(
        HEADS,
        bank,
        np.arange(12) % 2,
        batch_size=4,
        report=lambda n: seen.append((n, curves.table().groupby("head").size().min())),
        watch=curves.add_epoch_of_stack,
    )
    assert seen == [(n, n) for n in range(1, E + 1)]
    assert curves.table().equals(history_table(fitted))


def test_epochs_that_come_twice_or_overlap_count_once(sums: np.ndarray) -> None:
    curves = Curves(HEADS)
    curves.add("fold-01", 0, sums[:2])
    curves.add("fold-01", 2, sums[2:3])
    curves.add("fold-01", 1, sums[1:2])  # its worker died, and another began at the checkpoint
    curves.add("fold-01", 0, sums[:4])
    np.testing.assert_array_equal(of(curves, "fold-01"), history(HEADS[0], sums[:4])["train_loss"])
    assert set(curves.table()["head"]) == {"fold-01"}


def test_epochs_after_a_gap_wait_for_the_whole(sums: np.ndarray) -> None:
    curves = Curves(HEADS)
    curves.add("fold-01", 0, sums[:1])
    curves.add("fold-01", 3, sums[3:])
    assert len(of(curves, "fold-01")) == 1
    curves.finish(
        FittedHead(
            "fold-01",
            HeadWeights(np.ones((1, 2)), np.zeros(2), np.ones(2), 0.0),
            history(HEADS[0], sums),
        )
    )
    np.testing.assert_array_equal(of(curves, "fold-01"), history(HEADS[0], sums)["train_loss"])


def test_threads_may_add_while_another_reads(sums: np.ndarray) -> None:
    heads = [Head(f"fold-{k:02d}", np.arange(8), np.arange(4), 2, 0.3, np.full(300, 1e-3), k) for k in range(4)]
    curves, lengths = Curves(heads), []

    def work(k: int) -> None:
        for epoch in range(300):
            curves.add(heads[k].name, epoch, sums[:1])

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        lengths.append(len(curves.table()))
    assert lengths == sorted(lengths)
    assert len(curves.table()) == 4 * 300
