"""Describe the run of a stage as its page in MLflow shows it, in Markdown: its cohort, figures and files."""

from collections.abc import Mapping, Sequence
from typing import Any

from datspect.cohort.kind import CohortKind

NOTE_TAG = "mlflow.note.content"
"""What MLflow shows as the description of a run."""

_MEASURES = {
    "accuracy": "accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "roc_auc": "ROC AUC",
    "loss": "log loss",
}
_HEADLINE = {"cv": ("out_of_fold", "out of fold"), "final": ("holdout", "on the holdout")}
"""By stage: what of its metrics says most, and in words."""


def description(stage: str, metrics: Mapping[str, Any], note: str | None, links: Sequence[str]) -> str:
    """Return the cohort's kind, the headline figures with 95 % intervals, a note of the record, and links."""
    key, where = _HEADLINE[stage]
    kind, figures = CohortKind.of(metrics["cohort_kind"]), metrics[key]
    rows = [
        f"| {title} | {figures[name]:.3f} | {figures[f'{name}_low']:.3f} to {figures[f'{name}_high']:.3f} |"
        for name, title in _MEASURES.items()
    ]
    table = "\n".join([f"| {where}, {figures['n']} subjects | | 95 % interval |", "|---|---|---|", *rows])
    cohort = f"**{kind.banner or kind.caption}**"
    return "\n\n".join([cohort, table, *([note] if note else []), " · ".join(links)])


def with_link(text: str, link: str) -> str:
    """Return a description with a link at its end, which it holds at most once."""
    return text if link in text else "\n\n".join([*([text] if text else []), link])
