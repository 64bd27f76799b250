"""Send a study to MLflow from any of its processes: one run for the study, and a child for each trial."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout

from datspect import tracking
from datspect.io.tables import read_table
from datspect.tuning.trials import Trial, history_path

log = logging.getLogger(__name__)

_STUDY_ID, _STUDY, _TRIAL = "datspect.study_id", "datspect.study", "datspect.trial"
_STATE, _OBJECTIVE = "datspect.trial_state", "datspect.objective"
_CURVES = ("train_loss", "validation_loss", "train_accuracy", "validation_accuracy", "learning_rate")
_CURVES_BY_FOLD = ("train_loss", "validation_loss")
_SCORE = "score"
_LOCK_NAME, _LOCK_SECONDS = "mlflow.lock", 120.0  # a trial takes less than one


def open_study_run(
    study: str, study_id: str, *, experiment: str, params: Mapping[str, Any], tags: Mapping[str, object]
) -> AbstractContextManager[tracking.Run]:
    """Open the run of a study, the same one for every process that works on it; see `tracking.open_joined_run`."""
    key, all_tags = (_STUDY_ID, study_id), {**tags, _STUDY: study}
    return tracking.open_joined_run(study, stage="tune", experiment=experiment, key=key, params=params, tags=all_tags)


def log_growing(
    run: tracking.Run, number: int, values: Mapping[str, Any], curves: Mapping[str, Sequence[float]], objective: str
) -> None:
    """Send what is new of the curves of a running trial to a child of the study's `run`, which `log_trial` completes.

    Only the process that runs the trial, or has it run, sends this. What comes after a trial was sent changes nothing.
    """
    if run.finished_children(_TRIAL, str(number)):
        return
    tags = {_STUDY: run.name, _TRIAL: number, _STATE: "running", _OBJECTIVE: objective}
    child = run.begin_child(_name(number), params=values, tags=tags)
    child.log_history({name: np.asarray(curve) for name, curve in curves.items()})


def log_trial(run: tracking.Run, trial: Trial, folder: Path, objective: str) -> None:
    """Send a complete or pruned trial, once, as a child of the study's `run`; send nothing of any other trial.

    `folder` holds the curves of the trials of this machine. A child that a killed process left unfinished is closed.
    """
    if trial.state not in ("complete", "pruned"):
        return
    number = str(trial.number)
    with _alone(folder, f"trial {trial.number}") as alone:
        if not alone or run.finished_children(_TRIAL, number):
            return
        tags, times = _tags(run, trial, objective), _times(trial)
        with run.child(_name(trial.number), params=trial.values, tags=tags, times=times) as child:
            child.log_metrics(_metrics(trial))
            child.log_history({"fold_score": np.asarray(trial.fold_scores), **_curves(folder, trial)})
            run.supersede_children(_TRIAL, number, child)


def log_missing(
    run: tracking.Run, trials: Iterable[Trial], folder: Path, objective: str, *, everywhere: bool = False
) -> None:
    """Send the trials that no process has sent: those whose curves lie in `folder`, or all with `everywhere`."""
    sent = run.finished_children(_TRIAL)
    for trial in trials:
        if str(trial.number) not in sent and (everywhere or history_path(folder, trial.number).is_file()):
            log_trial(run, trial, folder, objective)


def log_progress(run: tracking.Run, trials: Iterable[Trial], folder: Path, *, lower_is_better: bool) -> None:
    """Send what is new of the best score so far: metric `score` of the study's `run`, over the number of trials done.

    The column of that name then has, beside the score of each trial, the best one of the study.
    """
    with _alone(folder, "progress of the study") as alone:
        if not alone:
            return
        sent = run.steps(_SCORE)
        for n_done, best in best_so_far(trials, lower_is_better=lower_is_better).items():
            if n_done not in sent:
                run.log_metrics({_SCORE: best}, n_done)


def best_so_far(trials: Iterable[Trial], *, lower_is_better: bool) -> dict[int, float]:
    """Return the best score of a complete trial by the number of trials done, from the first complete one on.

    The order is that in which they ended, so that a later trial changes nothing before it.
    """
    ended = [(trial.ended, trial) for trial in trials if trial.ended and trial.state in ("complete", "pruned")]
    better = min if lower_is_better else max
    best: float | None = None
    by_number: dict[int, float] = {}
    for n_done, (_, trial) in enumerate(sorted(ended, key=lambda pair: (pair[0], pair[1].number)), 1):
        if trial.state == "complete" and trial.score is not None:
            best = trial.score if best is None else better(best, trial.score)
        if best is not None:
            by_number[n_done] = best
    return by_number


def log_summary(run: tracking.Run, metrics: Mapping[str, float], files: Sequence[Path], step: int) -> None:
    """Send the study's metrics at `step`, the number of trials done, if it has none there; and files to folder `study`.

    Raises
    ------
    FileNotFoundError : one of `files` is missing.
    """
    if step not in run.steps(next(iter(metrics))):
        run.log_metrics(metrics, step)
    run.log_files(files, "study")


def point_to_pictures(run: tracking.Run, best: Trial, pictures: Sequence[str]) -> None:
    """End the description of the best trial's run with links to the study's pictures, which its parent holds."""
    links = ", ".join(f"[{name}]({run.address}/artifacts/study/{name}.png)" for name in pictures)
    run.mark_child(_TRIAL, str(best.number), f"Best trial of the [study]({run.address}). Its pictures: {links}")


@contextmanager
def _alone(folder: Path, what: str) -> Iterator[bool]:
    """Wait until no other process of this machine sends of this study; give False if that takes too long."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / _LOCK_NAME)
    try:
        lock.acquire(timeout=_LOCK_SECONDS)
    except Timeout:
        log.warning(
            "%s not sent to MLflow: another process has held %s for %g s; the next `datspect tune` sends it",
            what, folder / _LOCK_NAME, _LOCK_SECONDS,
        )  # fmt: skip
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _tags(run: tracking.Run, trial: Trial, objective: str) -> dict[str, object]:
    tags: dict[str, object] = {
        _STUDY: run.name,
        _TRIAL: trial.number,
        _STATE: trial.state,
        _OBJECTIVE: objective,
    }
    if trial.state == "pruned":
        tags["datspect.pruned_after"] = trial.n_epochs if trial.n_folds is None else trial.reached
    return tags


def _metrics(trial: Trial) -> dict[str, float]:
    """Return what was measured over all development folds."""
    metrics = {**trial.measures, "n_epochs": float(trial.n_epochs)}
    if trial.n_folds is not None:
        metrics["n_folds"] = float(trial.n_folds)
    if trial.score is not None:
        metrics[_SCORE] = trial.score
    if trial.seconds is not None:
        metrics["seconds"] = trial.seconds
    return metrics


def trial_curves(history: pd.DataFrame, n_heads: int, *, by_fold: bool) -> dict[str, Any]:
    """Return the means over the heads, shape (epochs,) each, for the epochs that all `n_heads` have done.

    `history`: as of `crossval.history_table`. Heads that train one after another, `by_fold`, have their own losses too.
    """
    done_by_all = history[history.groupby("epoch")["head"].transform("size") == n_heads]
    means = done_by_all.groupby("epoch").mean(numeric_only=True)
    curves = {f"epoch/{name}": means[name].to_numpy() for name in _CURVES if name in means}
    for head, of_head in history.groupby("head") if by_fold else ():
        curves |= {f"{head}/{name}": of_head[name].to_numpy() for name in _CURVES_BY_FOLD if name in of_head}
    return curves


def _curves(folder: Path, trial: Trial) -> dict[str, Any]:
    """Return the curves on disk; none without a file, as for another machine's trial."""
    path = history_path(folder, trial.number)
    if not path.is_file():
        return {}
    history = read_table(path, ["head", "epoch"])
    return trial_curves(history, history["head"].nunique(), by_fold=trial.n_folds is not None)


def _name(number: int) -> str:
    return f"trial-{number:04d}"


def _times(trial: Trial) -> tracking.Times | None:
    if trial.started is None or trial.ended is None:
        return None
    return tracking.Times(int(trial.started.timestamp() * 1000), int(trial.ended.timestamp() * 1000))
