"""Controls are counted by role, those of the training role against the others alone."""

import numpy as np
import pandas as pd
from benchmarks.normal_range import coverage, share

from datspect.prediction.judging import RATIOS

N_TRAIN, N_TEST = 300, 200


def drawn(rng: np.random.Generator) -> pd.DataFrame:
    """Controls who lose 20 % of their binding in ten years; scatter 0.1."""
    n = N_TRAIN + N_TEST
    people = pd.DataFrame({"age": rng.uniform(35, 80, n), "sex": rng.permuted(np.resize(["male", "female"], n))})
    logs = 1 - 0.2 * (people["age"].to_numpy()[:, None] - 60) / 10 + rng.normal(0, 0.1, (n, len(RATIOS)))
    return people.join(pd.DataFrame(np.exp(logs), columns=[*RATIOS])).assign(
        role=["train"] * N_TRAIN + ["test"] * N_TEST
    )


def test_about_95_of_100_controls_are_within_and_one_far_out_is_not(rng: np.random.Generator) -> None:
    table = drawn(rng)
    table.loc[[0, N_TRAIN], RATIOS[0]] = 0.1
    found = coverage(table)
    assert {name: len(within) for name, within in found.items()} == {
        "training role, each left out: age and sex": N_TRAIN,
        "training role, each left out: neither": N_TRAIN,
        "test set: age and sex": N_TEST,
        "test set: neither": N_TEST,
    }
    for within in found.values():
        assert not within.loc[0, RATIOS[0]]
        np.testing.assert_allclose(within[RATIOS[2]].mean(), 0.95, atol=0.05)


def test_a_control_is_not_held_against_itself() -> None:
    """With one far out among eleven, the range of all would hold it, that of the ten others does not."""
    spread = np.exp(np.linspace(0, 0.1, 11))
    spread[-1] = np.exp(0.15)
    table = pd.DataFrame(dict.fromkeys(RATIOS, spread)).assign(age=np.nan, sex="unknown", role="train")
    logs = np.log(spread)
    assert abs(logs[-1] - logs.mean()) < 2.228 * logs.std(ddof=1) * np.sqrt(12 / 11)  # Student's t, 10 degrees
    within = coverage(table)["training role, each left out: neither"]
    assert not within.loc[10].any()
    assert within.loc[:9].all(axis=None)


def test_a_share_has_wilsons_interval() -> None:
    assert share(pd.Series([True] * 9 + [False])) == "90.0 (59.6 to 98.2)"
