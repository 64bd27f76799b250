"""A predictor answers scans in any space, and knows which registrations it can trust."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.normalisation.moved_heads import imaged, pose, read
from tests.prediction.made_up_predictor import write_striatal_predictor

from datspect.evaluation.withholding import Withholding
from datspect.prediction.judging import MARGIN
from datspect.prediction.predictor import Predictor

NATIVE = imaged(pose((8, -5, 10), (20, -10, 15), 0.96))


@pytest.mark.parametrize(
    ("least", "reasons"), [(0.0, ()), (2.0, ("registered with less confidence than training scans",))]
)
def test_a_registration_with_less_margin_than_any_of_training_is_withheld(
    least: float, reasons: tuple[str, ...], tmp_path: Path
) -> None:
    write_striatal_predictor(tmp_path)
    predictor = Predictor.read(tmp_path)
    known = predictor.parts.withholding
    limit = Withholding({**known.ranges, MARGIN: (least, None)}, at_most=0.01)
    learnt = replace(predictor, parts=replace(predictor.parts, withholding=limit))
    prepared = learnt.prepare(read(NATIVE))
    assert prepared.how == "registered"
    assert 0 < prepared.measures[MARGIN] <= 1.5
    (answer,) = learnt.answers([prepared])
    assert answer.withheld == reasons
    assert predictor.answers([prepared])[0].withheld == ()  # none was registered in training
