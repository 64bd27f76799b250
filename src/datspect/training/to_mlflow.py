"""Sends what a training stage left on disk to its run in MLflow, for the stage and for `datspect relog` alike."""

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from datspect import tracking
from datspect.cohort.kind import CohortKind
from datspect.errors import DatspectError
from datspect.io.digests import file_digest
from datspect.io.records import read_json
from datspect.io.tables import read_table
from datspect.tracking.provenance import GitState
from datspect.training.settings import of_the_bank, without_places

log = logging.getLogger(__name__)

_FILES = (
    "confusion.csv", "curves.csv", "history.csv", "metrics.json", "pr.csv", "pr.png", "predictions.csv", "roc.csv",
    "roc.png", "training.png",
)  # fmt: skip
FILES: Mapping[str, tuple[str, ...]] = {
    "cv": (*_FILES, "table1.csv"),
    "final": (*_FILES, "dev_predictions.csv", "misclassified.png", "table2.csv"),
}
"""What each stage reports, beside run.json; nothing else in its folder is ever sent."""

SUBJECT_LEVEL = frozenset({"predictions.csv", "dev_predictions.csv", "misclassified.png"})
"""Reports that show single subjects: of a real cohort they stay on this machine, unless they are to be shared."""

_ASIDE = ("fold", "n_train", "n_validation")  # columns of table1.csv that are not measures
_TO_MEND = "run `dvc checkout`, or `dvc repro` if that does not help"


class RecordError(DatspectError):
    """What a stage left on disk is not whole, or not of one execution."""


@contextmanager
def open_stage_run(record: Mapping[str, Any]) -> Iterator[tracking.Run]:
    """Open the run of a stage that starts; `record` is the first part of its run.json."""
    stage, experiment = record["stage"], record["mlflow"]["experiment"]
    with tracking.open_run(
        _name(record), stage=stage, experiment=experiment, params=_params(record), tags=record["tags"], git=_git(record)
    ) as run:
        yield run


@contextmanager
def open_relogged_run(record: Mapping[str, Any], connection: Any) -> Iterator[tracking.Run]:
    """Open a run for the result of a stage that ended before; `record` is its run.json."""
    stage = record["stage"]
    tags = {**record["tags"], "datspect.relogged": "true"}
    times = tracking.Times(_milliseconds(record["started"]), _milliseconds(record["written"]))
    with tracking.open_late_run(
        _name(record),
        connection=connection,
        stage=stage,
        params=_params(record),
        tags=tags,
        git=_git(record),
        times=times,
    ) as run:
        yield run


def log_cv(run: tracking.Run, reports_folder: Path, models_folder: Path, *, share_subject_level: bool) -> None:
    """Send what stage `cv` left: the whole on `run`, each fold's curves and head on a child of its own."""
    record = read_json(reports_folder / "run.json")
    _log_whole(run, record, reports_folder, "predictions.csv", "cross-validation", share=share_subject_level)
    history = read_table(reports_folder / "history.csv", ["head", "epoch"])
    last_epochs = read_table(reports_folder / "table1.csv", _ASIDE).drop(columns=list(_ASIDE)).to_dict("records")
    for head, model, measures in zip(record["heads"], record["models"], last_epochs, strict=True):
        with run.child(head["name"], **fold_labels(head["name"], head["seed"], head["n_train"])) as child:
            child.log_metrics({f"fold/{name}": value for name, value in measures.items()})
            child.log_history(_curves(history, head["name"]))
            _log_model(child, record, model, models_folder, "head")


def log_final(run: tracking.Run, reports_folder: Path, models_folder: Path, *, share_subject_level: bool) -> None:
    """Send what stage `final` left: metrics, curves of the final head, and the whole model."""
    record = read_json(reports_folder / "run.json")
    _log_whole(run, record, reports_folder, "dev_predictions.csv", "training", share=share_subject_level)
    (model,) = record["models"]
    run.log_history(_curves(read_table(reports_folder / "history.csv", ["head", "epoch"]), model["head"]))
    _log_model(run, record, model, models_folder, "model")


LOGGERS: Mapping[str, Callable[..., None]] = {"cv": log_cv, "final": log_final}
"""By stage."""


def read_whole_record(reports_folder: Path, models_folder: Path) -> dict[str, Any]:
    """Return run.json if all that belongs to it is there and unchanged.

    Raises
    ------
    RecordError : a file is missing or another than was written with run.json; all of them are named.
    """
    path = reports_folder / "run.json"
    record: dict[str, Any] = read_json(path)
    if missing := {"files", "models", "heads", "started", "written", "tags"} - set(record):
        raise RecordError(f"{path}: no {', '.join(sorted(missing))} in it, as in earlier releases; run `dvc repro`")
    expected = {reports_folder / name: digest for name, digest in record["files"].items()}
    expected |= {models_folder / model["file"]: model["sha256"] for model in record["models"]}
    problems = [problem for file, digest in expected.items() if (problem := _problem(file, digest))]
    if problems:
        lines = [f"{path}: {len(problems)} file(s) of this result are not as they were; {_TO_MEND}", *problems]
        raise RecordError("\n  ".join(lines))
    return record


def flat_metrics(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Return nested metrics as `outer/inner` numbers; text is left out.

    >>> flat_metrics({"cv": {"accuracy": 0.5, "note": "text"}, "n": 3})
    {'cv/accuracy': 0.5, 'n': 3.0}
    """
    flat: dict[str, float] = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            flat |= flat_metrics(value, f"{prefix}{name}/")
        elif isinstance(value, int | float):
            flat[f"{prefix}{name}"] = float(value)
    return flat


def _log_whole(
    run: tracking.Run, record: Mapping[str, Any], folder: Path, subjects: str, context: str, *, share: bool
) -> None:
    """Log the cohort as the run's input (`subjects` names the table of those in use), the metrics and the files."""
    cohort = record["cohort"]
    run.log_dataset(read_table(folder / subjects), name=cohort["kind"], digest=cohort["digest"], context=context)
    metrics: dict[str, Any] = read_json(folder / "metrics.json")
    # Not the number of the trial, which measures nothing: a tag holds it.
    run.log_metrics(flat_metrics({name: value for name, value in metrics.items() if name != "parameters_from"}))
    may_leave = share or cohort["kind"] == CohortKind.PHANTOM  # whatever is not a phantom stays
    withheld = SUBJECT_LEVEL & set(record["files"]) if run.leaves_this_machine and not may_leave else set()
    if withheld:
        run.set_tags({"datspect.subject_level": "withheld"})
        log.info(
            "%s: MLflow is on another machine; not sent, since they show single subjects: %s "
            "(tracking.share_subject_level: true in params.yaml would send them)",
            record["stage"],
            ", ".join(sorted(withheld)),
        )
    run.log_files([folder / name for name in ("run.json", *sorted(set(record["files"]) - withheld))], "reports")


def _log_model(run: tracking.Run, record: Mapping[str, Any], model: Mapping[str, Any], folder: Path, name: str) -> None:
    if not model["file"].endswith(".keras"):  # arrays of the layers that training changed
        run.log_files([folder / model["file"]], "model")
        return
    run.log_keras_model(
        folder / model["file"],
        name=name,
        input_shape=tuple(model["input_shape"]),
        requirements=record["requirements"],
    )


def _curves(history: pd.DataFrame, head: str) -> dict[str, Any]:
    """Return the curves of one head without those that it does not have, such as validation on nobody."""
    columns = history[history["head"] == head].sort_values("epoch").drop(columns=["head", "epoch"])
    return {f"epoch/{name}": columns[name].to_numpy() for name in columns if columns[name].map(math.isfinite).all()}


def _problem(file: Path, digest: str) -> str | None:
    if not file.is_file():
        return f"{file}: missing"
    return None if file_digest(file) == digest else f"{file}: not the file that was written with run.json"


def fold_labels(name: str, seed: int, n_train: int) -> dict[str, Any]:
    """Return the parameters and tags of a fold's run.

    >>> fold_labels("fold-03", 7, 593)
    {'params': {'fold': 3, 'seed': 7, 'n_train': 593}, 'tags': {'datspect.fold': 3}}
    """
    fold = int(name.rpartition("-")[2])
    return {"params": {"fold": fold, "seed": seed, "n_train": n_train}, "tags": {"datspect.fold": fold}}


def _name(record: Mapping[str, Any]) -> str:
    return str(record.get("name", record["stage"]))  # earlier releases called a run after its stage


def _params(record: Mapping[str, Any]) -> dict[str, Any]:
    identity = {name: without_places(name, section) for name, section in record["params"].items()}
    return {**record.get("settings", {}), **identity, "features": of_the_bank(record["features"])}


def _git(record: Mapping[str, Any]) -> GitState:
    return GitState.from_dict(record["git"])


def _milliseconds(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp() * 1000)
