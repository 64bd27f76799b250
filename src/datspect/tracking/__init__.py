"""Keep a run in MLflow per stage execution, with children for folds; no error here costs a finished training."""

from datspect.tracking.arrived import missing_files
from datspect.tracking.connection import TrackingError
from datspect.tracking.earlier import alone, earlier_runs, mark_superseded, required_connection
from datspect.tracking.joining import open_joined_run
from datspect.tracking.live import sent_while_growing
from datspect.tracking.models import pip_requirements
from datspect.tracking.run import Run, Times, existing_run, open_late_run, open_run

__all__ = [
    "Run",
    "Times",
    "TrackingError",
    "alone",
    "earlier_runs",
    "existing_run",
    "mark_superseded",
    "missing_files",
    "open_joined_run",
    "open_late_run",
    "open_run",
    "pip_requirements",
    "required_connection",
    "sent_while_growing",
]
