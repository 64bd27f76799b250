"""The benchmark of registration: scans are spread over kinds, errors are those of the truth, goals at their bounds."""

from dataclasses import replace

import numpy as np
import pytest
from benchmarks.registration_parts.measured import Cost, Outcome, Refusal, point_errors_mm
from benchmarks.registration_parts.scans import hopeless_names, kind_of, ordinary_names, seed_of
from benchmarks.registration_parts.tables import Found, goals, share, worst_lines

from datspect.imaging.volume import MNI_SHAPE, Volume, mni_affine
from datspect.normalisation.placing import Placed
from datspect.phantom.hopeless import DOUBTFUL, HOPELESS
from datspect.phantom.native import STRIATA, STRIATA_MNI_MM
from datspect.phantom.uprightness import Uprightness
from datspect.prediction.predictor import PreparedScan

SEEN = Uprightness({"": 1.0, "y": 0.0, "z": 0.0, "yz": 0.0}, "", 1.0, 4.0)


def prepared(ratio: float) -> PreparedScan:
    return PreparedScan(None, np.zeros((1, 1, 3), np.float32), {f"sbr_{name}": ratio for name in STRIATA}, ())


@pytest.fixture
def found() -> Found:
    """A hundred ordinary scans with all goals met."""
    scans = [(prepared(2.0),)] * 3
    outcomes = [Outcome(f"2026-pd-{k:04d}", 2.0, (), "registered", (1.0,) * 4, *scans) for k in range(100)]
    refusals = [Refusal(f"2027-{kind}-0000", kind, ("cut",)) for kind in HOPELESS]
    return Found(outcomes, refusals, {"paper": [(0.9, 0.9, 0.9)] * 100}, Cost(500, 8.0), 2)


def placed_by(to_scan: np.ndarray) -> Placed:
    return Placed(Volume(np.zeros(MNI_SHAPE, np.int16), mni_affine()), "registered", SEEN, "", to_scan)


def missed(found: Found) -> list[str]:
    return [goal.name for goal in goals(found) if not goal.met]


def test_the_true_transform_has_no_error() -> None:
    to_native = np.array([[0.0, -0.9, 0, 20], [0.95, 0, 0, -7], [0, 0, 1.1, 3], [0, 0, 0, 1]])
    native_mm = STRIATA_MNI_MM @ to_native[:3, :3].T + to_native[:3, 3]
    down = np.eye(4)
    down[2, 3] = -8.0  # the grid lies four voxels of 2 mm above MNI
    assert point_errors_mm(placed_by(to_native @ down), STRIATA_MNI_MM, native_mm) == pytest.approx([0.0] * 4)
    assert point_errors_mm(placed_by(to_native), STRIATA_MNI_MM, native_mm) == pytest.approx([8.8] * 4)


def test_hopeless_scans_are_spread_over_all_kinds_and_doubtful_ones_stand_beside_them() -> None:
    kinds = [kind_of(name) for name in hopeless_names(31, 2027)]
    assert {kinds.count(kind) for kind in HOPELESS} == {2, 3}
    assert sum(kinds.count(kind) for kind in HOPELESS) == 31
    assert [kinds.count(kind) for kind in DOUBTFUL] == [3]


def test_more_ordinary_scans_hold_those_of_a_shorter_run() -> None:
    few, many = (ordinary_names(n, 5) for n in (20, 60))
    assert set(few) < set(many)
    assert len(many) == 60
    assert {seed_of(name) for name in many} == {5}


def test_a_share_has_wilsons_interval() -> None:
    assert share(0, 10) == "0 of 10 (0.0 %, 0.0 to 27.8)"  # 1.96^2 / (10 + 1.96^2)
    assert share(0, 0) == "none"


def test_all_goals_are_met(found: Found) -> None:
    assert missed(found) == []


@pytest.mark.parametrize(("n_far", "n_missed"), [(5, 0), (6, 1)])
def test_one_scan_in_twenty_may_be_two_millimetres_off(found: Found, n_far: int, n_missed: int) -> None:
    off = [replace(each, error_mm=(2.0,) * 4) for each in found.outcomes[:n_far]]
    assert len(missed(replace(found, outcomes=[*off, *found.outcomes[n_far:]]))) == n_missed


def test_a_hopeless_scan_that_is_accepted_misses_its_goal(found: Found) -> None:
    accepted = replace(found.refusals[0], reasons=())
    assert missed(replace(found, refusals=[accepted, *found.refusals[1:]])) == ["hopeless ones refused"]


def test_two_refused_of_a_hundred_are_too_many_and_are_named(found: Found) -> None:
    refused = [Outcome(each.name, 1.0, ("cut",)) for each in found.outcomes[:2]]
    answers = {"paper": found.probabilities["paper"][2:]}
    fewer = replace(found, outcomes=[*refused, *found.outcomes[2:]], probabilities=answers)
    assert missed(fewer) == ["ordinary ones refused"]
    assert worst_lines(fewer)[-2:] == [f"{each.name}: refused: cut" for each in refused]


def test_ratios_and_probabilities_are_held_against_those_in_mni_space(found: Found) -> None:
    off = [replace(each, native=(prepared(2.2),)) for each in found.outcomes]
    changed = replace(found, outcomes=off, probabilities={"paper": [(0.9, 0.7, 0.7)] * 100})
    assert changed.ratios_off() == pytest.approx(np.full((100, 4), 0.1))
    assert changed.ratios_off("by_truth").max() == 0
    assert changed.probability_off("paper") == pytest.approx(np.full(100, 0.2))
    assert changed.probability_off("paper", 1).max() == 0
    assert len(missed(changed)) == 3


def test_each_model_has_its_own_answers_and_goals(found: Found) -> None:
    two = {"paper": [(0.9, 0.9, 0.9)] * 100, "striatum": [(0.9, 0.7, 0.7)] * 100}
    assert [name.split(",")[1] for name in missed(replace(found, probabilities=two))] == [" model striatum"] * 2
