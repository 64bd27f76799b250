import numpy as np
import pandas as pd
import pytest

from datspect.figures.spread import TILES_PER_LABEL, spread_by_label


@pytest.mark.parametrize("n", [1, 5, 200])
def test_rows_span_each_label_from_high_to_low(n: int) -> None:
    labels, values = pd.Series(["pd", "control"] * n), pd.Series(np.random.default_rng(0).random(2 * n))
    rows = spread_by_label(labels, values, ("control", "pd"))
    shown = min(n, TILES_PER_LABEL)
    for label, some in (("control", rows[:shown]), ("pd", rows[shown:])):
        assert set(labels[some]) == {label}
        assert values[some].is_monotonic_decreasing
        everybody = values[labels == label]
        assert (values[some[0]], values[some[-1]]) == (everybody.max(), everybody.min())
