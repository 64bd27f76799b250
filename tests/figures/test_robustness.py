from typing import Any

import numpy as np
import pytest

from datspect.figures.robustness import Line, robustness_figure


def row(accuracy: float, silent: float = 0.1) -> dict[str, Any]:
    judges = {
        judge: {f"{name}{end}": value + shift for name, value in (("accuracy", accuracy), ("loss", 1 - accuracy))
                for end, shift in (("", 0.0), ("_low", -0.05), ("_high", 0.05))}
        for judge in ("network", "regression", "threshold")
    }  # fmt: skip
    del judges["threshold"]["loss"]
    return judges | {"inconclusive": silent, "withheld": 0.2, "refused": 0.0}


def test_each_alteration_has_a_line_all_strengths_of_the_network_and_shares_side_by_side() -> None:
    lines = [Line("blurred", [row(0.9), row(0.8), row(0.7)]), Line("exchanged", [row(0.85)])]
    figure = robustness_figure(row(0.92), lines, "12 scans; PHANTOM cohort, simulated")
    assert "PHANTOM" in figure.get_suptitle()
    accuracy, loss, silent = figure.axes
    assert [label.get_text() for label in accuracy.get_yticklabels()] == ["unaltered", "blurred", "exchanged"]
    drawn = {round(float(line.get_xdata()[0]), 2) for line in accuracy.get_lines() if len(line.get_xdata()) == 1}
    assert drawn == {0.92, 0.9, 0.8, 0.7, 0.85}
    widths = [bar.get_width() for bar in silent.patches if bar.get_height() == pytest.approx(0.4)]
    assert widths[:2] == pytest.approx([0.1, 0.2])
    assert loss.get_xlim()[0] == 0


def test_a_row_without_measures_is_an_empty_line() -> None:
    empty: dict[str, Any] = {name: {"n": 0} for name in ("network", "regression", "threshold")}
    nothing = empty | {"inconclusive": 0.0, "withheld": 0.0, "refused": 1.0}
    figure = robustness_figure(row(0.9), [Line("lost", [nothing])], "")
    assert np.isclose([bar.get_width() for bar in figure.axes[2].patches], 1.0).any()
