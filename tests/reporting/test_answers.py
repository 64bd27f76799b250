"""The table of answers shows what they are worth."""

import numpy as np

from datspect.reporting.answers import answers_table

from .results import random_metrics


def test_each_figure_stands_in_its_own_column() -> None:
    rng = np.random.default_rng(5)
    names = ("coverage", "accuracy", "conclusive_accuracy")
    role, holdout = random_metrics(rng, names), random_metrics(rng, names)
    final, calibrated = random_metrics(rng, ("loss",)), random_metrics(rng, ("loss",))
    predictor = {"training_role": role, "holdout_decisions": holdout, "holdout": calibrated}
    table = answers_table({"holdout": final}, predictor)
    rows = {
        cells[1].strip(): [cell.strip() for cell in cells[2:4]] for cells in (r.split("|") for r in table.split("\n"))
    }
    for title, name in (
        ("share of conclusive answers", "coverage"),
        ("accuracy of these", "conclusive_accuracy"),
        ("accuracy of all", "accuracy"),
    ):
        assert [cell[:6] for cell in rows[title]] == [f"{role[name]:.4f}", f"{holdout[name]:.4f}"]
    assert rows["loss as the network gives it"][1].startswith(f"{final['loss']:.4f}")
    assert rows["loss once calibrated"][1].startswith(f"{calibrated['loss']:.4f}")
