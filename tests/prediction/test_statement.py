"""What answers are worth is said with the model's own figures, and for whom it holds."""

from dataclasses import replace

import numpy as np
import pandas as pd
from tests.prediction.test_page import Judge, judge  # noqa: F401  (a fixture)

from datspect.evaluation.normal_range import fit_controls
from datspect.prediction.judging import RATIOS
from datspect.prediction.statement import remarks, statement


def test_a_phantom_is_called_one_and_nothing_is_a_diagnosis(judge: Judge) -> None:  # noqa: F811
    assert "60 subjects of a PHANTOM cohort: it says nothing about patients" in statement(judge.parts)
    real = statement(replace(judge.parts, cohort_kind="real", recipe="striatum"))
    assert "The model (recipe striatum) was trained on 60 subjects of real scans." in real
    assert "PHANTOM" not in real
    assert real.endswith("Research only, no diagnosis.")


def test_every_subject_has_one_remark_and_the_statement_holds_them_all(judge: Judge) -> None:  # noqa: F811
    found = remarks(judge.parts)
    assert len(found) == 5
    assert all(each in statement(judge.parts) for each in found)


def test_the_prevalence_is_that_of_training_unless_another_was_asked_for(judge: Judge) -> None:  # noqa: F811
    assert "P(PD) and class are for 50 % PD, as in training." in remarks(judge.parts)[-1]
    asked = remarks(judge.parts, 0.125)[-1]
    assert "were shifted to 12.5 % PD; the shares above are those at the training's 50 %." in asked


def test_ranges_of_controls_are_by_age_and_sex_where_these_were_known(judge: Judge) -> None:  # noqa: F811
    rng = np.random.default_rng(4)
    ratios = pd.DataFrame(rng.lognormal(0.7, 0.2, (40, 4)), columns=list(RATIOS))
    known = pd.DataFrame({"age": rng.uniform(40, 80, 40), "sex": ["male", "female"] * 20})
    unknown = known.assign(sex="")
    for people, words in ((known, "by age and sex where both are given"), (unknown, "whatever their age and sex")):
        said = remarks(replace(judge.parts, controls=fit_controls(ratios, people, RATIOS)))[3]
        assert f"the 40 controls of training, {words}" in said
    assert remarks(judge.parts)[3].startswith("No normal range is kept with this model")
