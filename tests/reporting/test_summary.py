"""The report's first sentence follows the parameters."""

from types import SimpleNamespace

import pandas as pd
import pytest

from datspect.cohort.kind import CohortKind
from datspect.reporting.summary import _what_was_done


@pytest.mark.parametrize(
    ("trainable", "said", "unsaid"),
    [
        ("none", "kept frozen, turns them into features, and a small head learns from these", "trained anew"),
        (
            "all",
            "InceptionV3 is trained anew in every fold, in all of its layers, together with a small head",
            "frozen",
        ),
        ("mixed7", "InceptionV3 is trained anew in every fold, from layer mixed7 upwards", "frozen"),
    ],
)
def test_what_is_said_of_the_network_is_how_it_was_trained(trainable: str, said: str, unsaid: str) -> None:
    base = SimpleNamespace(trainable=trainable, frozen=trainable == "none")
    inputs = SimpleNamespace(
        subjects=pd.DataFrame({"label": ["pd", "control", "pd"]}),
        kind=CohortKind.PHANTOM,
        of_striatum=False,
        params=SimpleNamespace(preprocess=SimpleNamespace(slices=[40, 41, 42]), backbone=base),
        cv_run={"features": {"architecture": "InceptionV3"}},
        table_1=range(10),
        final_metrics={"holdout": {"n": 1}},
    )
    sentence = _what_was_done(inputs)  # type: ignore[arg-type]
    assert said in sentence
    assert unsaid not in sentence
    assert "(2 PD, 1 control)" in sentence
