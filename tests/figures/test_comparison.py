import numpy as np
import pandas as pd
import pytest

from datspect.figures.comparison import PairedSet, difference_figure

MEASURES = ("accuracy", "sensitivity", "specificity", "roc_auc", "loss")


def paired(title: str, value: float) -> PairedSet:
    differences = {
        f"{name}_difference{end}": value + shift
        for name in MEASURES
        for end, shift in (("", 0.0), ("_low", -0.1), ("_high", 0.2))
    }
    roc = pd.DataFrame({"false_positive_rate": [0.0, 0.0, 1.0], "true_positive_rate": [0.0, 1.0, 1.0]})
    return PairedSet(title, 30, differences, (roc, roc))


@pytest.mark.parametrize("n_sets", [1, 2, 3])
def test_every_set_has_its_differences_with_bounds_and_two_curves(n_sets: int) -> None:
    sets = [paired(f"set {number}", 0.1 * number) for number in range(n_sets)]
    figure = difference_figure(sets, ("one", "two"), "A compared with B, PHANTOM cohort, simulated")
    assert "PHANTOM cohort" in figure.get_suptitle()
    assert "A: one    B: two" in figure.get_suptitle()
    proportions, loss, *curves = figure.axes
    assert len(proportions.containers) == 4 * n_sets
    assert len(loss.containers) == n_sets
    (bar,) = loss.containers[-1].lines[2]
    (segment,) = bar.get_segments()
    np.testing.assert_allclose(segment[:, 0], [0.1 * (n_sets - 1) - 0.1, 0.1 * (n_sets - 1) + 0.2])
    assert [axes.get_title() for axes in curves] == [f"ROC, set {number}, n = 30" for number in range(n_sets)]
    assert all([line.get_label() for line in axes.get_lines()[1:]] == ["A", "B"] for axes in curves)


def test_an_estimate_outside_of_its_interval_is_drawn() -> None:
    odd = paired("set", 0.0)
    odd = PairedSet("set", 3, odd.differences | {"accuracy_difference_low": 0.05}, odd.roc)  # type: ignore[operator]
    difference_figure([odd], ("one", "two"), "")
