"""Choose the scans that a page of pictures shows: a few of each label, from the highest value to the lowest."""

import numpy as np
import pandas as pd

TILES_PER_LABEL = 30

ORDER = f"up to {TILES_PER_LABEL} of each label from high to low binding ratio of the worse putamen (the number)"
"""The order of such a page, for its caption."""


def spread_by_label(labels: "pd.Series[str]", values: "pd.Series[float]", order: tuple[str, ...]) -> list[int]:
    """Return up to `TILES_PER_LABEL` rows of each label, evenly spread from its highest value to its lowest.

    `labels` and `values` share their index; `order` names the labels in the order of the page.

    >>> labels, values = pd.Series(["pd", "control", "pd"]), pd.Series([0.5, 2.0, 0.9])
    >>> spread_by_label(labels, values, ("control", "pd"))
    [1, 2, 0]
    """
    rows: list[int] = []
    for label in order:
        ranked = values[(labels == label).to_numpy()].sort_values(ascending=False, kind="stable").index
        picks = np.linspace(0, len(ranked) - 1, min(TILES_PER_LABEL, len(ranked))).round().astype(int)
        rows += [int(row) for row in ranked[picks]]
    return rows
