"""Sends what a training stage left on disk to its run in MLflow, for the stage and for `datspect relog` alike."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from datspect import tracking
from datspect.cohort.kind import CohortKind
from datspect.errors import DatspectError
from datspect.evaluation.curves import mean_curves
from datspect.evaluation.metrics import TABLE_1_MEASURES
from datspect.io.digests import file_digest
from datspect.io.records import read_json
from datspect.io.tables import read_table
from datspect.tracking.provenance import GitState
from datspect.training.description import NOTE_TAG, description, with_link
from datspect.training.settings import of_the_bank, without_places

log = logging.getLogger(__name__)

_FILES = (
    "confusion.csv", "curves.csv", "history.csv", "metrics.json", "pr.csv", "pr.png", "predictions.csv", "roc.csv",
    "roc.png", "training.png",
)  # fmt: skip
FILES: Mapping[str, tuple[str, ...]] = {
    "cv": (*_FILES, "table1.csv"),
    "final": (*_FILES, "dev_predictions.csv", "misclassified.png", "table2.csv"),
    "grouped": (*_FILES, "table1.csv"),
}
"""What each stage reports, beside run.json; nothing else in its folder is ever sent."""

REPORT = "report.html"
"""What stage `report` writes beside the folders of the stages; it belongs to the run of stage `final`."""

SUBJECT_LEVEL = frozenset({"predictions.csv", "dev_predictions.csv", "misclassified.png", REPORT})
"""Reports that show single subjects: of a real cohort they stay on this machine, unless they are to be shared."""

ARRIVING: Mapping[str, str] = {
    REPORT: "datspect.report_sha256",
    "robustness.csv": "datspect.robustness_table_sha256",
    "robustness.png": "datspect.robustness_figure_sha256",
}
"""What arrives at the run of stage `final` once it is over, with the tag that holds its digest: the page, and what
stage `robustness` found of altered scans of the test set, which for that reason is among no run's metrics."""

_FOLDER = "reports"
_LINKED = {
    "cv": ("training.png", "roc.png", "table1.csv"),
    "final": ("training.png",),
    "grouped": ("training.png", "roc.png"),
}
_NOT_LOGGED = ("parameters_from", "holdout")
"""Neither the number of a trial, which measures nothing, nor the test set: who compares runs would look at it each time
(it is in the files of the run)."""
_ASIDE = ("fold", "n_train", "n_validation")  # columns of table1.csv that are not measures
_TO_MEND = "run `dvc checkout`, or `make verify`, which says how to mend them, if that does not help"


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
    """Send what `cv` or `grouped` left: the whole and means on `run`, each fold's curves and head on its own child."""
    record = read_json(reports_folder / "run.json")
    metrics = _log_whole(run, record, reports_folder, "predictions.csv", "cross-validation", share=share_subject_level)
    run.log_metrics({f"fold/{name}": metrics["cv"][f"{name}_mean"] for name in TABLE_1_MEASURES})
    history = _log_curves(run, record, reports_folder, None)
    last_epochs = read_table(reports_folder / "table1.csv", _ASIDE).drop(columns=list(_ASIDE)).to_dict("records")
    for head, model, measures in zip(record["heads"], record["models"], last_epochs, strict=True):
        with run.child(head["name"], **fold_labels(head["name"], head["seed"], head["n_train"])) as child:
            child.log_metrics({f"fold/{name}": value for name, value in measures.items()})
            child.log_history(head_curves(history, head["name"]))
            _log_model(child, record, model, models_folder, "head")


def log_final(run: tracking.Run, reports_folder: Path, models_folder: Path, *, share_subject_level: bool) -> None:
    """Send what stage `final` left: metrics, curves of the final head, and the whole model."""
    record = read_json(reports_folder / "run.json")
    _log_whole(run, record, reports_folder, "dev_predictions.csv", "training", share=share_subject_level)
    (model,) = record["models"]
    _log_curves(run, record, reports_folder, model["head"])
    _log_model(run, record, model, models_folder, "model")


def send_report(reports_folder: Path, *, share_subject_level: bool) -> None:
    """Send what is `ARRIVING` to the run of the present result of stage `final`; if MLflow fails, warn."""
    record = read_json(reports_folder / "final/run.json")
    try:
        with tracking.required_connection(record["mlflow"]["experiment"]) as connection:
            run_id = tracking.earlier_runs(connection, "final", record["result_id"]).complete
            if run_id is None:
                log.info("%s: MLflow has no whole run of stage final; `datspect relog` sends both", REPORT)
                return
            log_report(connection, run_id, reports_folder, share_subject_level=share_subject_level)
    except tracking.TrackingError as error:
        log.warning("%s is not in MLflow yet, `datspect relog` sends it later: %s", REPORT, error)


def log_report(connection: Any, run_id: str, reports_folder: Path, *, share_subject_level: bool) -> bool:
    """Send what is `ARRIVING` to the run of stage `final`, once; return whether anything was sent.

    What was made of another result is left where it is.
    """
    record = read_json(reports_folder / "final/run.json")
    run = tracking.existing_run(connection, run_id)
    tags = run.tags()
    digests = {path: file_digest(path) for path in _arriving(reports_folder, record)}
    new = {path: digest for path, digest in digests.items() if tags.get(ARRIVING[path.name]) != digest}
    withheld = _withheld(run, record, [path.name for path in new], share=share_subject_level)
    sent = {path: digest for path, digest in new.items() if path.name not in withheld}
    if not sent:
        return False
    run.log_files(list(sent), _FOLDER)
    if any(path.name == REPORT for path in sent):
        run.set_tags({NOTE_TAG: with_link(tags.get(NOTE_TAG, ""), _link(run, REPORT))})
    run.set_tags({ARRIVING[path.name]: digest for path, digest in sent.items()})
    log.info("%s: sent to the run of stage final, %s", ", ".join(path.name for path in sent), run_id)
    return True


def _arriving(reports_folder: Path, record: Mapping[str, Any]) -> Iterator[Path]:
    """Yield the paths of what was made of this result of stage `final`."""
    page, panel = reports_folder / REPORT, reports_folder / "robustness"
    if page.is_file() and record["result_id"] in page.read_text("utf-8"):
        yield page
    models = {model["sha256"] for model in record["models"]}
    if (panel / "metrics.json").is_file() and read_json(panel / "metrics.json")["model_sha256"] in models:
        yield from (panel / name for name in ARRIVING if name != REPORT)


LOGGERS: Mapping[str, Callable[..., None]] = {"cv": log_cv, "final": log_final, "grouped": log_cv}
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
) -> dict[str, Any]:
    """Log the cohort as the run's input (`subjects` names the table of those in use), the metrics and the files.

    Return the metrics.
    """
    cohort = record["cohort"]
    run.log_dataset(read_table(folder / subjects), name=cohort["kind"], digest=cohort["digest"], context=context)
    metrics: dict[str, Any] = read_json(folder / "metrics.json")
    run.log_metrics(flat_metrics({name: value for name, value in metrics.items() if name not in _NOT_LOGGED}))
    withheld = _withheld(run, record, record["files"], share=share)
    if withheld:
        run.set_tags({"datspect.subject_level": "withheld"})
    run.log_files([folder / name for name in ("run.json", *sorted(set(record["files"]) - withheld))], _FOLDER)
    pictures = [_link(run, name) for name in _LINKED[record["stage"]]]
    run.set_tags({NOTE_TAG: description(record["stage"], metrics, record["tags"].get(NOTE_TAG), pictures)})
    return metrics


def _withheld(run: tracking.Run, record: Mapping[str, Any], files: Iterable[str], *, share: bool) -> set[str]:
    """Return which of the files must not leave this machine, and say so."""
    may_leave = share or record["cohort"]["kind"] == CohortKind.PHANTOM  # whatever is not a phantom stays
    withheld = SUBJECT_LEVEL & set(files) if run.leaves_this_machine and not may_leave else set()
    if withheld:
        log.info(
            "%s: MLflow is on another machine; not sent, since they show single subjects: %s "
            "(tracking.share_subject_level: true in params.yaml would send them)",
            record["stage"],
            ", ".join(sorted(withheld)),
        )
    return set(withheld)


def _link(run: tracking.Run, name: str) -> str:
    return f"[{name}]({run.artifact_page(f'{_FOLDER}/{name}')})"


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


def head_curves(history: pd.DataFrame, head: str) -> dict[str, Any]:
    """Return the curves of one head, shape (epochs,) each; `history` is what history.csv holds."""
    return _curves(history[history["head"] == head].sort_values("epoch").drop(columns=["head", "epoch"]), "epoch")


def stage_curves(history: pd.DataFrame, n_heads: int, own_head: str | None) -> dict[str, Any]:
    """Return what the run of a stage shows: means over its heads, for the epochs that all of them have done.

    Stage `final` shows its own head, and the means of the other, development heads beside it.
    """
    if own_head is None:
        return _mean_curves(history, n_heads, "epoch")
    others = history[history["head"] != own_head]
    return head_curves(history, own_head) | _mean_curves(others, n_heads - 1, "dev_epoch")


def _mean_curves(history: pd.DataFrame, n_heads: int, prefix: str) -> dict[str, Any]:
    done_by_all = history[history.groupby("epoch")["head"].transform("size") == n_heads]
    return _curves(mean_curves(done_by_all).drop(columns="epoch"), prefix)


def _curves(columns: pd.DataFrame, prefix: str) -> dict[str, Any]:
    """Return the columns without those that hold nothing, such as validation on nobody."""
    return {f"{prefix}/{name}": columns[name].to_numpy() for name in columns if np.isfinite(columns[name]).any()}


def _log_curves(run: tracking.Run, record: Mapping[str, Any], folder: Path, own_head: str | None) -> pd.DataFrame:
    """Send what is missing of the stage's own curves, and return those of all heads."""
    history = read_table(folder / "history.csv", ["head", "epoch"])
    run.log_history(stage_curves(history, len(record["heads"]), own_head))
    return history


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
