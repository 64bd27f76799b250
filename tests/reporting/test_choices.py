"""The table of choices shows ours beside the paper's."""

from pathlib import Path

import pytest

from datspect.params.network import LearningRateParams
from datspect.params.whole import load_params
from datspect.reporting.choices import _augmentation, _learning_rate
from datspect.reporting.provenance import _commit

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml")


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ("step", "1e-3 to 1e-6 in 3 drops by the same factor, after equally many epochs"),
        ("cosine", "1e-3 to 1e-6, cosine"),
        ("constant", "1e-3, constant"),
    ],
)
def test_the_schedule_is_said_in_words(schedule: str, said: str) -> None:
    rate = LearningRateParams.model_validate({"initial": 1e-3, "final": 1e-6, "schedule": schedule, "drops": 3})
    assert _learning_rate(rate) == said


def test_ranges_of_the_augmentation_are_those_of_the_parameters() -> None:
    augment = PARAMS.augment.model_copy(
        update={"width_shift": 0.025, "height_shift": 0.1, "horizontal_flip": False, "brightness": 0.2}
    )
    assert _augmentation(augment) == (
        "shifts up to 2.5% of the width and 10.0% of the height, none mirrored, brightness 0.8 to 1.2"
    )


def test_a_commit_with_changes_and_no_commit_at_all_are_said() -> None:
    assert _commit({"commit": "0123456789abcdef", "dirty": False}) == "0123456789ab"
    assert _commit({"commit": "0123456789abcdef", "dirty": True}) == "0123456789ab, with changes that are not committed"
    assert _commit({"commit": None, "dirty": False}) == "none (no git repository)"
