"""Describe the run of a stage as its page in MLflow shows it, in Markdown: its cohort, figures and files."""

from collections.abc import Mapping, Sequence
from typing import Any

from datspect.cohort.scope import Scope

NOTE_TAG = "mlflow.note.content"
"""What MLflow shows as the description of a run."""

_MEASURES = {
    "accuracy": "accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "roc_auc": "ROC AUC",
    "loss": "log loss",
}
_PARAGRAPH, _BESIDE = "\n\n", " · "
_HEADLINE = {
    "cv": ("out_of_fold", "Out of fold"),
    "final": ("dev_out_of_fold", "Out of fold on the training role"),
    "grouped": ("out_of_fold", "With whole groups held out"),
}
"""By stage: what of its metrics experiments are compared by, and in words; never the test set."""


def description(stage: str, metrics: Mapping[str, Any], note: str | None, links: Sequence[str]) -> str:
    """Return what the figures are of, the headline ones with 95 % intervals, a note of the record, and links.

    The page shows about four lines of a description at first, so the figures stand in one.
    """
    key, where = _HEADLINE[stage]
    scope, figures = Scope.of(metrics), metrics[key]
    shown = ", ".join(
        f"{title} {figures[name]:.3f} ({figures[f'{name}_low']:.3f} to {figures[f'{name}_high']:.3f})"
        for name, title in _MEASURES.items()
    )
    headline = f"{where}, {figures['n']} subjects (95 % intervals): {shown}"
    return _PARAGRAPH.join(
        [
            f"**{scope.banner if scope.kind.banner else scope.caption}**",
            headline,
            *([note] if note else []),
            _BESIDE.join(links),
        ]
    )


def with_link(text: str, link: str) -> str:
    """Return a description with a link beside those at its end, which it holds at most once.

    >>> with_link("A run. [roc.png](#/b)", "[report](#/a)")
    'A run. [roc.png](#/b) · [report](#/a)'
    """
    return text if link in text else _BESIDE.join([*([text] if text else []), link])
