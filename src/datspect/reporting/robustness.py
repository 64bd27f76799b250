"""Tables of the robustness panel: what altered scans do to the network, and to the binding ratios of the same scans."""

from collections.abc import Sequence

from datspect.evaluation.robustness import MOST_ACCURACY, MOST_LOSS, NETWORK, REGRESSION, THRESHOLD
from datspect.reporting.inputs import JsonObject
from datspect.reporting.markdown import markdown_table

FIGURE = "robustness.png"

_KINDS = {"original": "as they are", "smoothed": "all smoothed by 18 mm FWHM", "mixed": "half of them smoothed"}


def panel_table(robustness: JsonObject) -> str:
    """Return every row of the panel by its title: the network's measures, and the shares without a firm answer."""
    rows = robustness["rows"]
    silent = _silent(rows)
    head = ["scans", "accuracy", "sens. / spec.", "log loss", "ROC AUC", *silent]
    body = [
        [
            row["title"],
            _with_bounds(row[NETWORK], "accuracy"),
            " / ".join(_number(row[NETWORK], name) for name in ("sensitivity", "specificity")),
            *(_with_bounds(row[NETWORK], name) for name in ("loss", "roc_auc")),
            *(_number(row, name) for name in silent),
        ]
        for row in rows
    ]
    return markdown_table([head, *body])


def ratios_table(robustness: JsonObject) -> str:
    """Return what binding ratios say of the same scans: as they are, and altered at the largest strength."""
    head = ["scans", "regression: accuracy", "log loss", "ROC AUC", "threshold: accuracy", "ROC AUC"]
    body = [
        [
            row["title"],
            *(_with_bounds(row[REGRESSION], name) for name in ("accuracy", "loss", "roc_auc")),
            *(_with_bounds(row[THRESHOLD], name) for name in ("accuracy", "roc_auc")),
        ]
        for row in robustness["rows"]
        if row["is_largest"]
    ]
    return markdown_table([head, *body])


def largest_table(robustness: JsonObject) -> str:
    """Return the scans as they are, and each alteration at its largest strength; beside it the regression on SBRs."""
    rows = [row for row in robustness["rows"] if row["is_largest"]]
    silent = _silent(rows)
    head = ["scans", "accuracy", "log loss", "ROC AUC", *silent, "accuracy of SBRs"]
    body = [
        [
            row["title"],
            *(_with_bounds(row[NETWORK], name) for name in ("accuracy", "loss", "roc_auc")),
            *(_number(row, name) for name in silent),
            _number(row[REGRESSION], "accuracy"),
        ]
        for row in rows
    ]
    return markdown_table([head, *body])


def mixed_table(robustness: JsonObject) -> str:
    """Return the experiment of two resolutions: accuracy of threshold, regression and network by kind of scans."""
    head = ["scans", "threshold: accuracy", "regression: accuracy", "log loss", "network: accuracy", "log loss"]
    body = [
        [
            title,
            _with_bounds(found[THRESHOLD], "accuracy"),
            *(_with_bounds(found[judge], name) for judge in (REGRESSION, NETWORK) for name in ("accuracy", "loss")),
        ]
        for kind, title in _KINDS.items()
        for found in [robustness["mixed_resolution"][kind]]
    ]
    return markdown_table([head, *body])


def panel_summary(robustness: JsonObject) -> str:
    """Return in one sentence how far the network falls, and where.

    >>> found = {"as they are": 0.9, "nodding": 0.8}
    >>> rows = [{"text": text, "network": {"accuracy": value}} for text, value in found.items()]
    >>> panel_summary({"n": 50, "rows": rows})
    'On 50 scans of the test set accuracy is 0.900 as they are, and in the worst row 0.800 (nodding).'
    """
    unaltered, *others = robustness["rows"]
    known = [row for row in others if "accuracy" in row[NETWORK]]
    worst = min(known, key=lambda row: row[NETWORK]["accuracy"], default=unaltered)
    return (
        f"On {robustness['n']} scans of the test set accuracy is {unaltered[NETWORK]['accuracy']:.3f} as they are, and "
        f"in the worst row {worst[NETWORK]['accuracy']:.3f} ({worst['text']})."
    )


def needless_summary(robustness: JsonObject) -> str:
    """Return in one sentence how many scans are withheld that the network answers as well as unaltered ones.

    >>> needless_summary({"as_good": {"all": {"n_rows": 30, "withheld": 0.05}, "largest": {"n_rows": 0}}})
    'In rows that cost at most 0.01 in accuracy and 0.02 in log loss scans are answered as well as unaltered ones. Of \
their scans 5.0 % are withheld (rows: 30); at the largest strengths there is no such row.'
    """
    every, largest = (robustness["as_good"][kind] for kind in ("all", "largest"))
    start = (
        f"In rows that cost at most {MOST_ACCURACY:g} in accuracy and {MOST_LOSS:g} in log loss scans are answered as "
        "well as unaltered ones."
    )
    if not every["n_rows"]:
        return f"{start} There is no such row."
    told = f"{start} Of their scans {100 * every['withheld']:.1f} % are withheld (rows: {every['n_rows']})"
    if not largest["n_rows"]:
        return f"{told}; at the largest strengths there is no such row."
    return f"{told}, at the largest strengths {100 * largest['withheld']:.1f} % (rows: {largest['n_rows']})."


def _silent(rows: Sequence[JsonObject]) -> list[str]:
    """Return the names of the shares to show: refused scans are rare."""
    return ["inconclusive", "withheld", *(["refused"] if any(row["refused"] for row in rows) else [])]


def _with_bounds(measures: JsonObject, name: str) -> str:
    if name not in measures:
        return ""
    return f"{measures[name]:.3f} ({measures[f'{name}_low']:.3f} to {measures[f'{name}_high']:.3f})"


def _number(measures: JsonObject, name: str) -> str:
    return f"{measures[name]:.3f}" if name in measures else ""
