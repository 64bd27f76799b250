"""Finished folds of an interrupted fine-tuning belong to their result id, and to nothing else."""

from pathlib import Path

import numpy as np

from datspect.modeling.heads import FittedHead, Head, HeadWeights
from datspect.training.fitting import Kept

HEAD = Head("fold-01", np.arange(3), np.arange(2), 2, 0.5, np.ones(4), 7)


def fitted() -> FittedHead:
    weights = HeadWeights(np.ones((3, 2), np.float32), np.zeros(2, np.float32), np.ones(2, np.float32), 0.25)
    return FittedHead("fold-01", weights, {"train_loss": np.arange(4.0)}, np.ones((5, 3), np.float32))


def test_a_start_with_the_same_result_id_finds_what_is_finished(tmp_path: Path) -> None:
    Kept.beside(tmp_path / "models/cv", "same").keep(fitted())
    later = Kept.beside(tmp_path / "models/cv", "same")
    later.forget_others()
    assert later.finished([HEAD])["fold-01"].weights.output_bias == 0.25


def test_a_start_with_another_result_id_finds_nothing_and_removes_it(tmp_path: Path) -> None:
    earlier = Kept.beside(tmp_path / "models/cv", "before")
    earlier.keep(fitted())
    later = Kept.beside(tmp_path / "models/cv", "after")
    later.forget_others()
    assert later.finished([HEAD]) == earlier.finished([HEAD]) == {}
