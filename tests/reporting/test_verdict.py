"""The sentence on network and binding ratios follows from the intervals, whichever way they point."""

import pytest

from datspect.reporting.paper_tables import CEILING, READER, STACK
from datspect.reporting.verdict import against_reader, finding

BELOW, AROUND, ABOVE = (-0.06, -0.04, -0.02), (-0.01, 0.01, 0.03), (0.02, 0.04, 0.06)
Bounds = tuple[float, float, float]


def difference(accuracy: Bounds, loss: Bounds) -> dict[str, float]:
    return {
        f"{name}_difference{end}": value
        for name, bounds in (("accuracy", accuracy), ("loss", loss))
        for end, value in zip(("_low", "", "_high"), bounds, strict=True)
    }


def baselines(compared: dict[str, float], added: dict[str, float]) -> dict[str, dict[str, object]]:
    measures = {"accuracy": 0.95, "loss": 0.14}
    return {
        READER: measures | {"network_minus_this": compared},
        STACK: measures | {"this_minus_sbr_regression": added},
    }


@pytest.mark.parametrize(
    ("accuracy", "loss", "compared", "adds"),
    [
        (BELOW, ABOVE, "worse than", "takes away from them"),
        (BELOW, AROUND, "worse than", "takes away from them"),
        (AROUND, ABOVE, "worse than", "takes away from them"),
        (AROUND, AROUND, "shown neither better nor worse than", "is not shown to add anything to them"),
        (ABOVE, AROUND, "better than", "adds to them"),
        (ABOVE, BELOW, "better than", "adds to them"),
        (ABOVE, ABOVE, "better in one measure and worse in the other than", "adds to them in one measure and takes"),
    ],
)
def test_the_sentence_follows_from_the_intervals_in_either_direction(
    accuracy: Bounds, loss: Bounds, compared: str, adds: str
) -> None:
    headline, stack = against_reader(baselines(difference(accuracy, loss), difference(accuracy, loss)))
    assert f"the network is {compared} a logistic regression on the binding ratios" in headline
    assert f": the network {adds}" in stack
    for sentence in (headline, stack):
        assert f"{accuracy[1]:+.4f} ({accuracy[0]:+.4f} to {accuracy[2]:+.4f}) in accuracy" in sentence
        assert f"{loss[1]:+.4f} ({loss[0]:+.4f} to {loss[2]:+.4f}) in log loss" in sentence


def test_an_interval_that_ends_at_zero_leaves_it_open() -> None:
    assert finding(difference((0.0, 0.01, 0.02), (-0.02, -0.01, 0.0)), "accuracy_difference") == "open"
    assert finding(difference(AROUND, (-0.02, -0.01, 0.0)), "loss_difference", lower_is_better=True) == "open"


def test_a_ceiling_is_called_knowledge_that_nobody_has() -> None:
    around = difference(AROUND, AROUND)
    known = baselines(around, around) | {CEILING: {"accuracy": 0.9575, "loss": 0.1239}}
    assert against_reader(known)[:2] == against_reader(baselines(around, around))
    assert "nobody who has only the scans can know: accuracy 0.9575, log loss 0.1239." in against_reader(known)[2]
