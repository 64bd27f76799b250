"""Say in a sentence what the paired differences of two models show, whichever way they point."""

from collections.abc import Mapping
from typing import Any, Literal

from datspect.reporting.paper_tables import CEILING, READER, STACK, with_interval

Finding = Literal["better", "worse", "open"]


def finding(difference: Mapping[str, float], name: str, *, lower_is_better: bool = False) -> Finding:
    """Return what the 95 % interval of a difference, first minus second, says of the first; one with 0 leaves it open.

    >>> loss = {"loss_difference": 0.05, "loss_difference_low": 0.01, "loss_difference_high": 0.09}
    >>> finding(loss, "loss_difference", lower_is_better=True)
    'worse'
    """
    low, high = difference[f"{name}_low"], difference[f"{name}_high"]
    if low <= 0 <= high:
        return "open"
    return "worse" if (low > 0) is lower_is_better else "better"


def against_reader(baselines: Mapping[str, Any]) -> list[str]:
    """Return the sentences on the network against the binding ratios, with them, and below the ceiling if one is known.

    `baselines`: measures by baseline, out of fold.
    """
    reader, stack = baselines[READER], baselines[STACK]
    difference, added = reader["network_minus_this"], stack["this_minus_sbr_regression"]
    sentences = [
        f"Out of fold the network is {_COMPARED[_overall(difference)]} a logistic regression on the binding ratios of "
        f"worse and better side (accuracy {_rounded(reader, 'accuracy')}, log loss {_rounded(reader, 'loss')}): "
        f"network minus regression is {_figures(difference)}.",
        f"A regression on the network's log odds and these ratios together, minus one on the ratios alone, is "
        f"{_figures(added, note='')}: the network {_ADDED[_overall(added)]}.",
    ]
    if CEILING in baselines:
        ceiling = baselines[CEILING]
        sentences.append(
            "The ceiling is the same regression on the binding that was simulated, which nobody who has only the scans "
            f"can know: accuracy {_rounded(ceiling, 'accuracy')}, log loss {_rounded(ceiling, 'loss')}."
        )
    return sentences


_COMPARED = {
    "better": "better than",
    "worse": "worse than",
    "open": "shown neither better nor worse than",
    "mixed": "better in one measure and worse in the other than",
}
_ADDED = {
    "better": "adds to them",
    "worse": "takes away from them",
    "open": "is not shown to add anything to them",
    "mixed": "adds to them in one measure and takes away in the other",
}


def _overall(difference: Mapping[str, float]) -> str:
    """Return one word on accuracy and log loss; a measure that leaves it open does not speak against the other."""
    found = {
        finding(difference, "accuracy_difference"),
        finding(difference, "loss_difference", lower_is_better=True),
    } - {"open"}
    return "mixed" if len(found) > 1 else next(iter(found), "open")


def _figures(difference: Mapping[str, float], note: str = " (lower is better)") -> str:
    accuracy = with_interval(difference, "accuracy_difference", signed=True)
    loss = with_interval(difference, "loss_difference", signed=True)
    return f"{accuracy} in accuracy and {loss} in log loss{note}"


def _rounded(measures: Mapping[str, float], name: str) -> str:
    return f"{measures[name]:.4f}"
