import numpy as np
import pandas as pd
import pytest

from datspect.evaluation.baselines import LEAST_BINDING
from datspect.evaluation.comparison import Predictions
from datspect.evaluation.intervals import wilson_interval
from datspect.evaluation.metrics import binary_metrics
from datspect.evaluation.mixed_resolution import KINDS, TwoResolutions, mixed_resolution
from datspect.evaluation.robustness import (
    JUDGES,
    brief_measures,
    chosen_scans,
    differences,
    panel_measures,
    withheld_though_as_good,
)

N = 40
TARGETS = np.arange(N) % 2
SHARP = np.where(TARGETS, 0.9, 0.1)


def answers(row: str, probability: np.ndarray, **columns: object) -> pd.DataFrame:
    table = {
        "row": row, "scan_id": [f"S{k:02d}" for k in range(N)], "target": TARGETS, "probability": probability,
        "ratio_probability": SHARP, "sbr": np.where(TARGETS, 0.5, 2.0), "inconclusive": 0, "withheld": 0, "refused": 0,
    }  # fmt: skip
    return pd.DataFrame(table | columns)


def test_measures_are_those_of_every_other_table() -> None:
    probabilities = np.random.default_rng(1).random(N)
    found = brief_measures(TARGETS, Predictions((probabilities >= 0.5).astype(int), probabilities, probabilities))
    known = binary_metrics(TARGETS, probabilities)
    names = [f"{name}{end}" for name in ("accuracy", "sensitivity", "specificity", "roc_auc", "loss")
             for end in ("", "_low", "_high")]  # fmt: skip
    assert set(found) == {"n", *names}
    for name in names:
        assert found[name] == pytest.approx(known[name], rel=1e-9)


def test_every_row_has_its_three_judges_and_its_difference_to_the_scans_as_they_are() -> None:
    missed = np.where(np.arange(N) % 4 == 1, 0.2, SHARP)  # half of the patients
    found = panel_measures(pd.concat([answers("unaltered", SHARP), answers("blur_8", missed)]), threshold=1.0)
    assert list(found) == ["unaltered", "blur_8"]
    assert all(judge in found["blur_8"] for judge in JUDGES)
    assert found["blur_8"]["network"]["sensitivity"] == 0.5
    assert found["blur_8"]["regression"]["accuracy"] == found["blur_8"]["threshold"]["accuracy"] == 1
    assert "loss" not in found["blur_8"]["threshold"]  # it gives no probabilities
    difference = found["blur_8"]["minus_unaltered"]
    assert difference["accuracy_difference"] == -0.25
    assert difference["accuracy_difference_high"] < 0
    assert difference["loss_difference"] == pytest.approx((np.log(0.9) - np.log(0.2)) / 4)
    assert found["unaltered"]["minus_unaltered"]["loss_difference"] == 0


def test_shares_without_a_firm_answer_have_wilsons_interval() -> None:
    silent = {"inconclusive": (np.arange(N) < 4).astype(int), "withheld": (np.arange(N) >= 30).astype(int)}
    found = panel_measures(answers("unaltered", SHARP, **silent), threshold=1.0)["unaltered"]
    assert (found["inconclusive"], found["withheld"], found["refused"]) == (0.1, 0.25, 0)
    assert (found["withheld_low"], found["withheld_high"]) == wilson_interval(10, N)


def test_refused_scans_are_in_no_measure_but_their_share() -> None:
    refused = np.arange(N) < 10
    table = answers("up_4", np.where(refused, np.nan, SHARP), refused=refused.astype(int))
    found = panel_measures(pd.concat([answers("unaltered", 1 - SHARP), table]), threshold=1.0)["up_4"]
    assert found["refused"] == 0.25
    assert found["network"]["n"] == 30
    assert found["network"]["accuracy"] == 1
    assert found["minus_unaltered"]["accuracy_difference"] == 1


def test_a_row_of_which_every_scan_was_refused_has_no_measures() -> None:
    table = answers("up_4", np.full(N, np.nan), refused=1)
    found = panel_measures(pd.concat([answers("unaltered", SHARP), table]), threshold=1.0)["up_4"]
    assert found["network"] == {"n": 0}
    assert found["minus_unaltered"] == {}


def row(name: str, accuracy: float, loss: float, withheld: float, is_largest: bool = True) -> dict[str, object]:
    difference = {"accuracy_difference": accuracy, "loss_difference": loss}
    return {"name": name, "is_largest": is_largest, "withheld": withheld, "minus_unaltered": difference}


def test_scans_are_withheld_needlessly_where_they_are_answered_as_well_as_unaltered_ones() -> None:
    rows = [
        row("unaltered", 0.0, 0.0, 0.9),  # is not altered
        row("blur_4", 0.01, -0.1, 0.1, is_largest=False),
        row("blur_8", -0.01, 0.02, 0.3),
        row("noise_10", -0.02, 0.0, 0.7),  # costs too much in accuracy
        row("offset_20", 0.0, 0.03, 0.7),  # and in log loss
        {"name": "up_4", "is_largest": True, "withheld": 0.0, "minus_unaltered": {}},  # nothing is known
    ]
    found = withheld_though_as_good(rows)
    assert found == {"all": {"n_rows": 2, "withheld": pytest.approx(0.2)}, "largest": {"n_rows": 1, "withheld": 0.3}}
    assert withheld_though_as_good(rows[:1]) == {"all": {"n_rows": 0}, "largest": {"n_rows": 0}}


def test_the_share_withheld_needlessly_is_of_the_panels_own_measures() -> None:
    withheld = (np.arange(N) < 10).astype(int)
    missed = np.where(np.arange(N) % 4 == 1, 0.2, SHARP)  # half of the patients
    panel = pd.concat([answers("unaltered", SHARP), answers("gain_4", SHARP, withheld=withheld),
                       answers("blur_8", missed, withheld=1)])  # fmt: skip
    measures = panel_measures(panel, threshold=1.0)
    found = withheld_though_as_good([{"name": name, "is_largest": True} | each for name, each in measures.items()])
    assert found["all"] == found["largest"] == {"n_rows": 1, "withheld": 0.25}


def test_a_difference_of_a_model_to_itself_is_nothing_and_holds_it() -> None:
    same = Predictions(TARGETS, SHARP, SHARP)
    found = differences(TARGETS, same, same)
    assert found["loss_difference"] == found["loss_difference_low"] == found["loss_difference_high"] == 0
    assert found["accuracy_difference_low"] < 0 < found["accuracy_difference_high"]


def test_as_many_scans_are_chosen_as_asked_in_proportion_and_always_the_same() -> None:
    labels = np.repeat([1, 0], [90, 42])
    chosen = chosen_scans(labels, 44, seed=1)
    assert (chosen.sum(), chosen[:90].sum()) == (44, 30)
    np.testing.assert_array_equal(chosen, chosen_scans(labels, 44, seed=1))
    assert not np.array_equal(chosen, chosen_scans(labels, 44, seed=2))
    assert chosen_scans(labels, 132, seed=1).all()


def test_one_threshold_loses_where_resolutions_are_mixed_and_one_for_each_does_not() -> None:
    rng = np.random.default_rng(3)
    sharp = np.where(TARGETS, 1.0, 3.0) + rng.uniform(-0.4, 0.4, N)
    both = np.stack([sharp, sharp / 3])  # a smoothed control binds as little as a patient does
    smoothed = np.arange(N) % 4 < 2
    scans = TwoResolutions(TARGETS, smoothed, np.log(np.maximum(both, LEAST_BINDING))[..., None], both)
    found = mixed_resolution(scans, scans, np.stack([SHARP, 1 - SHARP]), ratio_c=1.0)
    assert tuple(found) == KINDS
    assert found["original"]["threshold"]["accuracy"] == found["smoothed"]["threshold"]["accuracy"] == 1
    assert found["mixed"]["threshold"]["accuracy"] < 0.9
    assert [found[kind]["network"]["accuracy"] for kind in KINDS] == [1, 0, 0.5]
