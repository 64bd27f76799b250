"""One execution of a stage that fits folds: what it reads, the run that it opens, and what it leaves."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datspect import tracking
from datspect.cohort.scope import Scope
from datspect.modeling.heads import FINAL_HEAD, FittedHead, Head
from datspect.params.base import read_params
from datspect.params.fitting import FittingParams
from datspect.training import live, to_mlflow
from datspect.training.data import TrainingData, TrainingInputs, read_training_data
from datspect.training.fitting import Kept, Sources, fit_folds
from datspect.training.record import run_record, write_run_record
from datspect.training.settings import read_settings


@dataclass(frozen=True)
class Places:
    """Where the stage reads and writes, as its command names it."""

    images: Path
    features: Path
    backbone: Path
    splits: Path
    models: Path
    reports: Path
    params: Path
    also_read: tuple[Path, ...] = ()
    """What else the result is made from."""


@dataclass(frozen=True)
class Execution:
    """A stage at work: what it has read, what its figures are of, the start of run.json, and the open run."""

    stage: str
    places: Places
    params: FittingParams
    data: TrainingData
    scope: Scope
    sources: Sources
    record: Mapping[str, Any]
    run: tracking.Run
    kept: Kept

    def fit(self, heads: Sequence[Head]) -> list[FittedHead]:
        """Fit all heads, each as if alone; MLflow shows them while they are trained."""
        own_head = FINAL_HEAD if self.stage == "final" else None
        by_fold = own_head is None and self.params.by_fold
        with live.shown(self.run, heads, own_head=own_head, by_fold=by_fold) as curves:
            return fit_folds(self.stage, heads, self.data, self.sources, self.params, self.kept, curves)

    def finish(self, heads: Sequence[Head], fitted: Sequence[FittedHead], models: Sequence[Mapping[str, Any]]) -> None:
        """Write run.json, when all other files are in place, and send the result to MLflow."""
        reports, files = self.places.reports, to_mlflow.FILES[self.stage]
        write_run_record(reports, self.record, self.run.run_id, heads, fitted, models, files)
        share = self.params.tracking.share_subject_level
        to_mlflow.LOGGERS[self.stage](self.run, reports, self.places.models, share_subject_level=share)


@contextmanager
def execution(stage: str, places: Places, group: str | None = None) -> Iterator[Execution]:
    """Read what the stage needs and open its run; forget the kept folds once the result is whole.

    `group`: what is held out whole in grouped folds.
    """
    params = read_params(FittingParams, places.params)
    inputs = TrainingInputs.within(places.images, places.features, places.splits)
    data = read_training_data(inputs)
    sources = Sources(places.images / "images.npy", places.backbone)
    made_from = [*inputs.paths(), sources.images, *places.also_read]
    settings = read_settings(places.params, data.kind)
    record = run_record(stage, data, params, made_from, places.splits, tracking.pip_requirements(), settings, group)
    kept, scope = Kept.beside(places.models, record["result_id"]), Scope(data.kind, settings.recipe.named)
    with to_mlflow.open_stage_run(record) as run:
        yield Execution(stage, places, params, data, scope, sources, record, run, kept)
    kept.forget()
