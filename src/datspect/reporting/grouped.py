"""Tables of what a network loses when whole groups of scans, such as sites, are held out."""

from collections.abc import Mapping
from typing import Any

from datspect.reporting.inputs import JsonObject
from datspect.reporting.markdown import markdown_table
from datspect.reporting.paper_tables import ALL_MEASURES, CALIBRATION, with_interval


def random_against_grouped(grouped: JsonObject) -> str:
    """Return every measure with random folds, with grouped folds, and the paired difference."""
    rows = [["measure", "random folds", "grouped folds", "grouped minus random"]]
    for key, name in ALL_MEASURES.items():
        difference = with_interval(grouped["grouped_minus_random"], f"{key}_difference", signed=True)
        rows.append([name, *(with_interval(grouped[folds], key) for folds in ("random", "out_of_fold")), difference])
    return markdown_table(rows)


def bracket_table(grouped: JsonObject) -> str:
    """Return calibration slope and intercept as a bracket between both sets of folds."""
    bracket = grouped["bracket"]
    rows = [["", "from", "to"]]
    for key, name in CALIBRATION.items():
        if f"{key}_from" in bracket:
            rows.append([name, *(f"{bracket[f'{key}_{end}']:.4f}" for end in ("from", "to"))])
    return markdown_table(rows)


def grouped_in_brief(grouped: JsonObject) -> list[str]:
    """Return a sentence on the loss with whole groups held out; none of a report without them."""
    if "folds" not in grouped:
        return []
    losses = [f"{grouped[folds]['loss']:.4f}" for folds in ("out_of_fold", "random")]
    difference = with_interval(grouped["grouped_minus_random"], "loss_difference", signed=True)
    return [
        f"With whole groups held out ({grouped['group']}) the loss is {losses[0]}, with random folds {losses[1]}: "
        f"{difference}, grouped minus random."
    ]


def grouped_facts(grouped: JsonObject) -> Mapping[str, Any]:
    """Return the numbers that the sentences on grouped folds hold; nothing of a report without them."""
    if "folds" not in grouped:
        return {"grouped": None}
    folds = grouped["folds"]
    sizes = [fold["n_control"] + fold["n_pd"] for fold in folds]
    shares = [fold["n_pd"] / size for fold, size in zip(folds, sizes, strict=True)]
    return {
        "grouped": {
            "group": grouped["group"],
            "n_groups": grouped["n_groups"],
            "n_folds": len(folds),
            "n_random_folds": grouped["n_random_folds"],
            "smallest": min(sizes),
            "largest": max(sizes),
            "lowest_share": f"{100 * min(shares):.0f} %",
            "highest_share": f"{100 * max(shares):.0f} %",
            "loss_by_group": with_interval(grouped["grouped_minus_random"], "loss_difference_by_group", signed=True),
        }
    }
