"""Binding is lowered where it is said to be, subjects are drawn by class, and a change of the network is undone."""

from pathlib import Path

import numpy as np
import pytest
from benchmarks.striatum_parts import ablations, learning, unlike
from benchmarks.striatum_parts.seeds import difference, pooled
from benchmarks.striatum_parts.workplace import merge, read_yaml, with_recipe

from datspect.imaging.slabs import SLABS_SHAPE
from datspect.imaging.striatal_box import BOX_SHAPE
from datspect.modeling import striatal_network
from datspect.modeling.striatal_network import Size, initial_weights
from datspect.params.striatum import AlterParams
from datspect.phantom.binding import MEASURED
from datspect.phantom.recovery import Recovery

ROOT = Path(__file__).parents[2]
ALTER = AlterParams(
    draws=2,
    shift_mm=0.0,
    turn_degrees=0.0,
    scale=0.0,
    gain=0.0,
    blur_mm=0.0,
    noise=0.0,
    noise_fwhm_mm=8.0,
    swap_sides=False,
    lowered_share=0.0,
    lowered_to=[0.2, 0.5],
    seed=1,
)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_loss_takes_from_the_true_binding_of_the_side_that_is_named(side: str) -> None:
    left = unlike.left_by_region(unlike.LOSSES["one putamen at 0.4"], side)
    recovery = Recovery(np.eye(6), np.zeros(6))
    lowered = unlike.Lowered(recovery.matrix, recovery.offset, left)
    binding = np.array([4.0, 4.0, 3.0, 3.0, 2.0, 2.0])
    for name, before, after in zip(MEASURED, binding, lowered.true_binding(binding), strict=True):
        assert after == pytest.approx(before * (0.4 if name.startswith("putamen") and name.endswith(side) else 1))


def test_probability_crosses_a_half_between_two_factors_or_nowhere() -> None:
    assert unlike.crossing({0.4: 0.9, 1.0: 0.0, 0.6: 0.1, 0.5: 0.7}) == pytest.approx(0.533, abs=1e-3)
    assert unlike.crossing({1.0: 0.1, 0.4: 0.3}) is None


def test_who_is_called_control_and_inconclusive_is_not_called_so_for_sure() -> None:
    answers = [
        {"prediction": prediction, "inconclusive": inconclusive}
        for prediction in ("control", "pd")
        for inconclusive in (True, False)
    ]
    assert unlike.sure(answers, "control") == [{"prediction": "control", "inconclusive": False}]


def test_drawn_subjects_keep_the_share_of_each_class() -> None:
    labels = np.repeat([0, 1], [100, 300])
    rows = learning.drawn(np.arange(400), labels, 40, seed=1)
    assert np.bincount(labels[rows]).tolist() == [10, 30]
    assert (np.diff(rows) > 0).all()
    assert rows.tolist() != learning.drawn(np.arange(400), labels, 40, seed=2).tolist()


def test_a_change_of_the_network_holds_within_and_is_undone_after(rng: np.random.Generator) -> None:
    weights, view = initial_weights(Size(2, 3), seed=1), rng.uniform(0, 4, SLABS_SHAPE).astype(np.float32)
    views = np.stack([view, view[::-1]])  # a scan and the same one with its sides exchanged
    ordered = np.asarray(striatal_network.read(weights, views))
    with ablations.in_force(ablations.VARIANTS["sides"]):
        apart = np.asarray(striatal_network.read(weights, views)).reshape(2, 2, 3)
    with ablations.in_force(ablations.VARIANTS["uptake"]):
        uptake = np.asarray(striatal_network.read(weights, views))
    np.testing.assert_allclose(ordered[0], ordered[1], rtol=1e-5)
    np.testing.assert_allclose(apart[0], apart[1, ::-1], rtol=1e-5)
    assert not np.allclose(apart[0], apart[1])
    assert not np.allclose(uptake, ordered)
    np.testing.assert_array_equal(striatal_network.read(weights, views), ordered)


def test_slices_in_place_of_slabs_see_nothing_above_and_below_them() -> None:
    boxes = np.zeros((1, *BOX_SHAPE), np.float32)
    z_mm = np.linspace(-30, 34, BOX_SHAPE[2])
    boxes[..., (z_mm >= 0) & (z_mm <= 4)] = 1.0  # slices 40 to 42, whose centres lie at 0, 2 and 4 mm
    with ablations.in_force(ablations.VARIANTS["slices"]):
        bank, _ = ablations.altered_bank(boxes, ALTER, np.array([True]))
    np.testing.assert_allclose(bank.astype(np.float32), 1.0)
    assert bank.shape == (3, 1, int(np.prod(SLABS_SHAPE)))


def test_over_its_own_peak_a_scan_looks_the_same_at_any_gain(rng: np.random.Generator) -> None:
    bank = rng.uniform(0.5, 4, (2, 3, int(np.prod(SLABS_SHAPE)))).astype(np.float16)
    own = ablations.over_own_peak(bank).astype(np.float32)
    np.testing.assert_allclose(ablations.over_own_peak(2 * bank).astype(np.float32), own, rtol=2e-3)


def test_cohorts_are_pooled_for_the_readers_that_have_read_all() -> None:
    one = {"seed": 1, "labels": [0, 1], "log_odds": {"striatum": [-1.0, 1.0], "paper": [0.0, 0.0]}}
    two = {"seed": 2, "labels": [1, 0], "log_odds": {"striatum": [2.0, -2.0]}}
    together = pooled([one, two])
    assert together["labels"] == [0, 1, 1, 0]
    assert together["log_odds"] == {"striatum": [-1.0, 1.0, 2.0, -2.0]}
    assert difference(one, "striatum", "paper")["loss_difference"] < 0
    assert difference(two, "striatum", "paper") == {}


def test_a_recipe_changes_its_own_values_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    values = read_yaml(Path("params.yaml"))
    recipe = with_recipe(values, "striatum")
    assert recipe["model"] == "striatum"
    assert recipe["split"] == values["split"]
    assert merge({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}) == {"a": {"b": 3, "c": 2}}
