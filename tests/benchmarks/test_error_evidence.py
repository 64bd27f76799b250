"""Evidence that tells errors finds them, and evidence that tells none finds them as by lot."""

import numpy as np
from benchmarks.error_evidence import doubted, evidence, found_by

from datspect.evaluation.doubt import Reading


def test_the_ratios_find_the_errors_that_they_contradict(rng: np.random.Generator) -> None:
    labels = np.arange(400) % 2
    side = 2.0 * labels - 1
    network, ratios = side + rng.normal(size=400), 4 * side + rng.normal(size=400)
    draws = np.stack([network, *(network + rng.normal(size=400) for _ in range(3))])
    reading = Reading(network, ratios)
    columns = evidence(reading, draws, rng.random(400))
    wrong = reading.wrong(labels)
    assert 0.1 < wrong.mean() < 0.25
    found = {name: found_by(wrong, doubts) for name, doubts in doubted(columns, wrong, np.arange(400) % 5).items()}
    most = np.floor(0.1 * 400) / wrong.sum()  # more cannot be among those set aside
    assert found["support"]["at_10"] == most
    assert found["model of margin and support"]["at_10"] == most
    assert found["distance of the features"]["at_10"] < most / 2
    assert found["margin"]["at_10_low"] < found["margin"]["at_10"] < found["support"]["at_10"]


def test_without_a_wrong_answer_nothing_is_found() -> None:
    assert found_by(np.zeros(40, bool), np.arange(40.0)) == {}
