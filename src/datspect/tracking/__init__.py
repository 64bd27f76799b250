"""Runs in MLflow: one per stage execution, with children for folds; nothing here can cost a finished training."""

from datspect.tracking.run import Run, open_run

__all__ = ["Run", "open_run"]
