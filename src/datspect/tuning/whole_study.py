"""Run a whole study, from params.yaml and the feature bank to its database, its files and its run in MLflow."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from optuna.pruners import BasePruner
from pydantic import TypeAdapter, ValidationError

from datspect import tracking
from datspect.arrays import FloatArray
from datspect.errors import CohortError, ParamsError, TuningError
from datspect.io.arrays import read_array
from datspect.io.atomic import replacing
from datspect.io.digests import file_digest
from datspect.io.png import write_figure
from datspect.io.records import write_json
from datspect.io.tables import write_table
from datspect.params.editing import difference
from datspect.params.network import ParametersFrom, StudyName
from datspect.params.whole import Params, load_params
from datspect.running.executors import Report, completed, places
from datspect.tracking.provenance import files_digest
from datspect.training import record
from datspect.training.data import TrainingData, TrainingInputs, read_training_data
from datspect.training.settings import of_the_bank, shown
from datspect.tuning import to_mlflow
from datspect.tuning.applying import applied
from datspect.tuning.development import Development, development
from datspect.tuning.live import Growing
from datspect.tuning.nested import nested_metrics, nested_result, nested_text, outer_folds
from datspect.tuning.pictures import study_figures
from datspect.tuning.quiet import quiet_optuna
from datspect.tuning.sampling import build_pruner, build_sampler
from datspect.tuning.scoring import lower_is_better
from datspect.tuning.search import Search, run_trials
from datspect.tuning.space import SearchSpace, search_space
from datspect.tuning.storage import dashboard_commands, open_storage, storage_address
from datspect.tuning.study import Identity, Study, added, finished, open_study
from datspect.tuning.summary import (
    added_note,
    loss_notes,
    study_summary,
    summary_metrics,
    summary_text,
    trials_table,
)
from datspect.tuning.trials import Trial, values_text

log = logging.getLogger("datspect.tune")


@dataclass(frozen=True, eq=False)
class Chosen:
    """A study that somebody asked for: what it varies, what it sees, and where its files go.

    `boxes`: of all scans, shape (N, 65, 57, 33), on disk; None for the paper's model.
    """

    name: str
    params: Params
    space: SearchSpace
    data: TrainingData
    boxes: FloatArray | None
    identity: Identity
    folder: Path

    @property
    def cohort(self) -> str:
        """The kind of cohort, in words, and the model if it is not the paper's."""
        caption = self.data.kind.caption
        return caption if self.boxes is None else f"model striatum, {caption}"

    @property
    def development(self) -> Development:
        """What the study sees."""
        return development(self.data, self.boxes)

    @property
    def pruner(self) -> BasePruner:
        """The pruner, whose steps are epochs of heads, or folds of small networks."""
        tune = self.params.tune
        return build_pruner(tune.pruner, tune.check_epochs if self.boxes is None else tune.check_folds)


def choose(
    params: Params, inputs: TrainingInputs, reports: Path, *, name: str | None = None, vary: Sequence[str] | None = None
) -> Chosen:
    """Return the study of that name (default: `tune.study`) that varies `vary` (default: all), on today's data.

    The default name of a model other than the paper's ends with that model's.

    Raises
    ------
    ParamsError, CohortError : the space contradicts itself, the network is not frozen, or data are missing or of the
        other model.
    """
    of_slabs = params.model == "striatum"
    if not of_slabs and not params.backbone.frozen:
        raise ParamsError(
            f"backbone.trainable = {params.backbone.trainable}: a study trains heads on the bank of features, so that "
            "it takes minutes; set backbone.trainable to none, run dvc repro, tune, and set it back"
        )
    ranges = params.tune.space.striatum if of_slabs else params.tune.space.paper
    striatum = params.striatum if of_slabs else None
    space = search_space(ranges, params.classifier, params.training, vary, striatum)
    data = read_training_data(inputs, memory_mapped=True)
    if of_slabs != (data.lowered is not None):
        raise CohortError(f"{inputs.bank}: not of model: {params.model}; run dvc repro features")
    boxes = read_array(inputs.boxes, memory_mapped=True) if of_slabs else None
    if boxes is not None and len(boxes) != len(data.splits):
        raise CohortError(f"{inputs.boxes}: {len(boxes)} striatal boxes of {len(data.splits)} subjects; run dvc repro")
    identity = Identity(
        objective=params.tune.objective,
        space=space.description(),
        training=params.training.model_dump(mode="json", exclude={"learning_rate", *(space.base.values)}),
        data=files_digest(_studied(inputs, of_slabs=of_slabs)),
        split=file_digest(inputs.splits),
    )
    name = _checked_name(name or params.tune.study + ("-striatum" if of_slabs else ""))
    return Chosen(name, params, space, data, boxes, identity, reports / name)


def _studied(inputs: TrainingInputs, *, of_slabs: bool) -> list[Path]:
    """Return the files whose change makes another study: of slabs not the bank, which follows from boxes and values."""
    if of_slabs:
        return [inputs.subjects, inputs.cohort, inputs.boxes]
    return [path for path in inputs.paths() if path != inputs.splits]


def _checked_name(name: str) -> str:
    try:
        checked: str = TypeAdapter(StudyName).validate_python(name)
    except ValidationError:
        raise ParamsError(
            f"--study {name!r}: expected a letter or digit first, then at most 60 letters, digits, - and _"
        ) from None
    return checked


def search(chosen: Chosen) -> str:
    """Run the study's trials, write study.json and pictures, and return a few lines for the terminal."""
    with _opened(chosen) as study:
        summary = _searched(chosen, study, chosen.development, chosen.params.tune.trials)
    text = summary_text(summary, chosen.cohort)
    return (
        f"{text}\n\nFiles: {chosen.folder}. `datspect tune --apply` writes the best into params.yaml.\n"
        f"In a browser: {dashboard_commands(chosen.params.tune.storage)}"
    )


def nested_search(chosen: Chosen) -> str:
    """Run a study for each outer fold, judge its winner on that fold, and return a few lines for the terminal."""
    tune = chosen.params.tune
    outer = outer_folds(chosen.development, tune.seed)
    found = [_inner_winner(_inner(chosen, fold), outer.inner(fold), tune.nested_trials) for fold in outer.numbers]
    study_ids, winners = zip(*found, strict=True)
    result = nested_result(outer, chosen.space.base, winners, tune.objective, chosen.data.cohort["kind"])
    path = chosen.folder / "nested.json"
    write_json(path, result)
    # A run of its own, beside those of the three studies.
    with _run(chosen, f"{chosen.name}-nested", "-".join(study_ids)) as run:
        to_mlflow.log_summary(run, nested_metrics(result), [path], tune.nested_trials)
    return f"{nested_text(result, chosen.cohort)}\n\nFiles: {chosen.folder}"


def _inner_winner(inner: Chosen, data: Development, n_trials: int) -> tuple[str, Trial]:
    """Search for an outer fold, and return the id of the study and its winner.

    Raises
    ------
    TuningError : the time was over before all trials were done.
    """
    with _opened(inner) as study:
        summary = _searched(inner, study, data, n_trials)
        winner, n_done = study.best(), finished(study.trials())
    for note in loss_notes(summary):
        log.warning("%s: %s", inner.name, note)
    if winner is None or n_done < n_trials:
        raise TuningError(
            f"{inner.name}: {n_done} of {n_trials} trials done, then the time of tune.minutes was over; start the "
            "command again to go on"
        )
    return study.id, winner


def apply_winner(chosen: Chosen, params_path: Path) -> str:
    """Write the best trial's values into params.yaml, keep its comments and order, and return the difference.

    Raises
    ------
    TuningError : a search has completed no trial of the study; one that somebody added is never written.
    """
    with _opened(chosen) as study:
        best, aside = study.best(), added_note(added(study.trials()))
    if best is None:
        raise TuningError(
            f"study {study.name}: no complete trial yet, so nothing to apply{f' ({aside})' if aside else ''}; "
            "run `datspect tune`"
        )
    before = params_path.read_bytes().decode("utf-8")  # as bytes: line ends of another system stay
    values = chosen.space.base.changed(best.values).settings
    origin = ParametersFrom(study=study.name, trial=best.number, split=chosen.identity.split[:12])
    after = applied(before, values, origin)
    if after == before:
        return f"{params_path}: holds the values of study {study.name}, trial {best.number}, already"
    try:
        with replacing(params_path) as unfinished:
            unfinished.write_text(after, encoding="utf-8", newline="")
            load_params(unfinished)  # a file that cannot be read replaces nothing
    except OSError as error:
        raise TuningError(
            f"{params_path}: cannot be written ({error.strerror}); study {study.name}, trial {best.number} has "
            f"{values_text(best.values)}"
        ) from None
    lines = [
        difference(before, after, str(params_path)),
        f"Written: study {study.name}, trial {best.number} ({values_text(best.values)}).",
        *([aside] if aside else []),
        "`dvc repro` now trains cv and final again; Table 1 will say that its subjects took part in the tuning.",
    ]
    return "\n".join(lines)


def _searched(chosen: Chosen, study: Study, data: Development, n_trials: int) -> dict[str, Any]:
    """Search, and leave everything on disk and in MLflow."""
    log.info(
        "study %s (%s): %d of %d trials done; varies %s",
        study.name, chosen.cohort, finished(study.trials()), n_trials, ", ".join(chosen.space.varied),
    )  # fmt: skip
    # The id keeps the curves of a study that was deleted and begun again under its name apart.
    folder, objective = chosen.folder / f"trials-{study.id[:8]}", study.objective
    tune, cohort = chosen.params.tune, chosen.data.cohort
    with _run(chosen, study.name, study.id) as run:
        run.log_dataset(data.scans, name=cohort["kind"], digest=cohort["digest"], context="tuning")
        to_mlflow.log_missing(run, study.trials(), folder, objective)
        _send_progress(run, study, folder)
        if (n_places := places(chosen.params.executor)) > 1:
            _shared_out(chosen, study, data, n_trials, folder, n_places, run)
        else:

            def ended(trial: Trial) -> None:
                to_mlflow.log_trial(run, trial, folder, objective)
                _send_progress(run, study, folder)

            def growing(found: Growing) -> None:
                to_mlflow.log_growing(run, *found, objective)

            search = Search(study, chosen.space, data, tune.check_epochs, folder, growing)
            run_trials(search, n_trials, tune.minutes, ended)
        summary = _write_summary(chosen, study)
        files = [chosen.folder / name for name in ("study.json", "trials.csv")] + sorted(chosen.folder.glob("*.png"))
        to_mlflow.log_summary(run, summary_metrics(summary), files, finished(study.trials()))
        pictures = [path.stem for path in files if path.suffix == ".png"]
        if (best := study.best()) and pictures:
            to_mlflow.point_to_pictures(run, best, pictures)
        if any(trial.state == "running" for trial in study.trials()):
            run.hand_over()
    return summary


def _send_progress(run: tracking.Run, study: Study, folder: Path) -> None:
    to_mlflow.log_progress(run, study.trials(), folder, lower_is_better=lower_is_better(study.objective))


@dataclass(frozen=True, eq=False)
class _Share:
    """What a process needs to work on a study."""

    chosen: Chosen
    data: Development
    n_trials: int
    folder: Path


def _shared_out(
    chosen: Chosen, study: Study, data: Development, n_trials: int, folder: Path, n_places: int, run: tracking.Run
) -> None:
    """Let `n_places` processes work on the study, and send to MLflow what they have done."""
    share = _Share(chosen, data, n_trials, folder)

    def report(_place: int, found: int | Growing) -> None:
        if not isinstance(found, int):
            to_mlflow.log_growing(run, *found, study.objective)
            return
        to_mlflow.log_missing(run, study.trials(), folder, study.objective, everywhere=True)
        _send_progress(run, study, folder)

    for _ in completed(_work_on, share, range(n_places), chosen.params.executor, report, fills_cores=True):
        report(0, 0)
    log.info("study %s: %d of %d trials done", study.name, finished(study.trials()), n_trials)


def _work_on(share: _Share, _place: int, report: Report) -> None:
    """Run trials until there are enough, in a process of an executor."""
    logging.getLogger("datspect").setLevel(logging.INFO)
    tune = share.chosen.params.tune
    with _opened(share.chosen) as study:
        search = Search(study, share.chosen.space, share.data, tune.check_epochs, share.folder, report)
        run_trials(search, share.n_trials, tune.minutes, lambda _: report(finished(study.trials())))


@contextmanager
def _opened(chosen: Chosen) -> Iterator[Study]:
    """Open the study, and close its connections to the database at the end of the block."""
    tune, first = chosen.params.tune, chosen.space.base_values()
    with quiet_optuna():
        storage = open_storage(storage_address(tune.storage))
        try:
            if first is None:
                log.warning("%s: the values of params.yaml lie outside of tune.space; they are no trial", chosen.name)
            sampler = build_sampler(tune.sampler, tune.seed)
            yield open_study(chosen.name, storage, chosen.identity, sampler=sampler, pruner=chosen.pruner, first=first)
        finally:
            storage.engine.dispose()


def _inner(chosen: Chosen, fold: int) -> Chosen:
    """Return the study for an outer fold, which has the fold in its name and its identity."""
    identity = replace(chosen.identity, training={**chosen.identity.training, "outer_fold": fold})
    name = f"{chosen.name}-nested-{fold}"
    return replace(chosen, name=name, identity=identity, folder=chosen.folder / f"nested-{fold}")


def _run(chosen: Chosen, name: str, key: str) -> AbstractContextManager[tracking.Run]:
    """Open the run in MLflow that `key` finds again."""
    # Space and name have places of their own; the address says nothing of the search.
    search = chosen.params.tune.model_dump(mode="json", exclude={"storage", "space", "study"})
    params = shown(chosen.params.model_dump(mode="json"), chosen.data.kind)
    params |= {"tune": search, "space": chosen.space.description(), "features": of_the_bank(chosen.data.bank_record)}
    params["training"] |= chosen.identity.training  # of a nested search with the outer fold
    tags, experiment = record.data_tags(chosen.data, chosen.identity.split), chosen.params.tracking.experiment
    return to_mlflow.open_study_run(name, key, experiment=experiment, params=params, tags=tags)


def _write_summary(chosen: Chosen, study: Study) -> dict[str, Any]:
    summary = study_summary(study, chosen.space, chosen.data.cohort["kind"])
    write_json(chosen.folder / "study.json", summary)
    write_table(chosen.folder / "trials.csv", trials_table(study))
    for name, figure in study_figures(study, chosen.cohort).items():
        write_figure(chosen.folder / f"{name}.png", figure)
    return summary
