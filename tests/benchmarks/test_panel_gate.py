import numpy as np
import pandas as pd
from benchmarks.panel_gate import made_up, refused

from datspect.params.promotion import RobustnessLimits

LIMITS = RobustnessLimits(min_roc_auc=0.8, min_accuracy=0.6, excused=[], loss_margin=0.02, accuracy_margin=0.02)
N = 132


def panel() -> pd.DataFrame:
    target = np.arange(N) % 2
    sure = np.where(target, 0.95, 0.05)
    return pd.DataFrame({"scan": [f"S{k}" for k in range(N)], "target": target, "unaltered": sure, "blur_8": sure})


def test_a_version_without_a_difference_is_the_panel_and_a_moved_row_alone_moves(rng: np.random.Generator) -> None:
    same = made_up(panel(), 0.0, 0.0, rng)
    np.testing.assert_allclose(same["unaltered"], panel()["unaltered"], rtol=1e-5)
    moved = made_up(panel(), 0.0, 2.0, rng)
    assert (moved["unaltered"] < same["unaltered"]).all()
    np.testing.assert_array_equal(moved["blur_8"], same["blur_8"])


def test_equals_pass_and_a_row_that_misses_patients_does_not() -> None:
    assert refused(panel(), 0.3, 0.0, LIMITS, 3) == 0
    assert refused(panel(), 0.3, 4.0, LIMITS, 3) == 1
