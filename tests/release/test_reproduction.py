"""The verdict on results against the reference: when there is one, and what it says."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from datspect.release.reference import Results
from datspect.release.reproduction import verdict

ABOUT: dict[str, Any] = {
    "cohort": {"kind": "phantom", "digest": "d" * 64, "n": 40},
    "splits_sha256": "s" * 64,
    "parameters": {"classifier.dropout": "0.5", "preprocess.slices": "[40, 41, 42]"},
    "digests": {"draw 0 of the bank of features": "a", "draw 1 of the bank of features": "b", "head fold-01": "c"},
    "causes": {"processor": "AMD EPYC", "precision": "float32", "release of numpy": "2.4.0"},
}


def results(shift: float = 0.0, **about: Any) -> Results:
    labels = np.where(np.arange(40) % 3 > 0, "pd", "control")
    probabilities = np.where(labels == "pd", 0.9, 0.1) + shift
    rows = {"scan_id": [f"S{k:02d}" for k in range(40)], "label": labels, "probability": probabilities}
    whole = pd.DataFrame(rows)
    answers = pd.concat(
        [whole.assign(where="out of fold"), whole[:10].assign(where="on the holdout")], ignore_index=True
    )
    return Results(answers[["where", "scan_id", "label", "probability"]], ABOUT | about)


def test_the_same_results_are_reproduced_to_the_last_bit() -> None:
    found = verdict(results(), results())
    assert found.reproduced
    assert found.headline == (
        "reproduced: decisions as committed: 40 of 40 out of fold, 10 of 10 on the holdout; "
        "largest difference of a probability 0.0000"
    )
    assert (found.first_difference, found.causes) == ("", ())


def test_the_order_of_the_rows_does_not_matter() -> None:
    shuffled = results(0.01)
    found = verdict(results(), Results(shuffled.answers[::-1], shuffled.about))
    assert found.agreements["out of fold"].largest == pytest.approx(0.01)
    assert found.reproduced


def test_the_first_thing_that_differs_is_named_and_what_may_have_made_it() -> None:
    digests = {**ABOUT["digests"], "draw 1 of the bank of features": "other", "head fold-01": "other"}
    causes = {**ABOUT["causes"], "processor": "Xeon", "release of jax": "0.7"}
    found = verdict(results(), results(0.001, digests=digests, causes=causes))
    assert found.first_difference == "draw 1 of the bank of features"
    assert found.causes == (
        "processor: Xeon (committed: AMD EPYC)",
        "release of jax: 0.7 (committed: none)",
    )


def test_other_decisions_are_not_reproduced() -> None:
    found = verdict(results(), results(0.45))  # every control is called PD
    assert not found.reproduced
    assert found.headline.startswith(
        "NOT reproduced: decisions as committed: 26 of 40 out of fold, 6 of 10 on the holdout"
    )


@pytest.mark.parametrize(
    ("about", "said"),
    [
        (
            {"parameters": {"classifier.dropout": "0.3", "preprocess.slices": "[40, 41, 42]", "new.one": "1"}},
            "other parameters than the committed results: classifier.dropout = 0.3 (committed 0.5); "
            "new.* (not committed)",
        ),
        ({"cohort": {"kind": "real", "digest": "e" * 64, "n": 40}}, "another cohort (real, 40 subjects, eeeeeeeeeeee)"),
        ({"splits_sha256": "t" * 64}, "other splits than those of the committed results"),
    ],
)
def test_what_is_not_to_be_compared_gets_no_verdict(about: dict[str, Any], said: str) -> None:
    found = verdict(results(), results(**about))
    assert not found.agreements
    assert not found.reproduced
    assert found.headline.startswith(f"no verdict: {said}")


def test_without_a_reference_there_is_no_verdict() -> None:
    assert verdict(None, results()).headline.startswith("no verdict: there is no reports/reference/reference.json")


def test_scans_that_are_not_the_references_give_no_verdict() -> None:
    found = results()
    renamed = Results(found.answers.replace({"scan_id": {"S00": "S99"}}), found.about)
    assert verdict(results(), renamed).headline.startswith("no verdict: the scans are not those of the reference")
