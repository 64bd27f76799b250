"""Command `relog`: send to MLflow what did not arrive when its stage ran; the stage does not run again."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from datspect.params.running import TrackingParams
    from datspect.tracking.connection import Connection

log = logging.getLogger("datspect.relog")

STAGES = ("cv", "final", "grouped")


def relog(
    reports: Annotated[Path, typer.Option(help="Read the reports of the stages in this folder.")] = Path("reports"),
    models: Annotated[Path, typer.Option(help="Read the models of the stages in this folder.")] = Path("models"),
    params: Annotated[
        Path, typer.Option(help="Read here the experiment, and whether a server may be shown single real subjects.")
    ] = Path("params.yaml"),
    again: Annotated[
        bool, typer.Option("--again", help="Send them though MLflow has all of it; new runs replace the old ones.")
    ] = False,
) -> None:
    """Send to MLflow the results of cv, final and grouped that did not arrive there, arrived in part, or were lost.

    The command trains nothing, changes no output, and without --again it sends nothing that is complete in MLflow and
    can be opened there. It sends to the experiment that params.yaml names now.
    """
    # Here, so that `datspect --help` does not wait for pandas.
    from datspect import tracking
    from datspect.params.whole import load_params
    from datspect.training.to_mlflow import RecordError

    settings = load_params(params).tracking
    stages = [stage for stage in STAGES if (reports / stage / "run.json").is_file()]
    if not stages:
        raise RecordError(f"{reports}: no run.json of {' or '.join(STAGES)}; run `dvc repro`, or `dvc checkout`")
    with tracking.alone():
        for stage in stages:
            _relog_stage(stage, reports / stage, models / stage, settings, again=again)
        if "final" in stages:
            _relog_report(reports, settings)


def _relog_stage(
    stage: str, reports_folder: Path, models_folder: Path, settings: "TrackingParams", *, again: bool
) -> None:
    from datspect import tracking
    from datspect.io.records import read_json
    from datspect.training import to_mlflow

    brief = read_json(reports_folder / "run.json")
    with tracking.required_connection(settings.experiment) as connection:
        earlier = tracking.earlier_runs(connection, stage, brief["result_id"])
        if not again and any(_is_whole(connection, run_id, brief) for run_id in earlier.finished):
            return
        if earlier.in_progress:
            log.info("%s: run %s is still being filled; nothing sent", stage, earlier.in_progress)
            return
        record = to_mlflow.read_whole_record(reports_folder, models_folder)
        log.info("%s: sending result %s ...", stage, record["result_id"])
        with to_mlflow.open_relogged_run(record, connection) as run:
            to_mlflow.LOGGERS[stage](
                run, reports_folder, models_folder, share_subject_level=settings.share_subject_level
            )
            tracking.mark_superseded(connection, [*earlier.finished, *earlier.incomplete], str(run.run_id))
    log.info("%s: sent, as run %s", stage, run.run_id)


def _is_whole(connection: "Connection", run_id: str, brief: dict[str, Any]) -> bool:
    """Tell whether the store has all files of a complete run, as they were sent; say so either way."""
    from datspect.release.run_files import in_words, lost_files

    lost = lost_files(connection, run_id, brief)
    if lost:
        log.warning("%s: MLflow has run %s, but cannot open of it: %s", brief["stage"], run_id, in_words(lost))
    else:
        log.info("%s: MLflow has all of it, as run %s; nothing sent", brief["stage"], run_id)
    return not lost


def _relog_report(reports: Path, settings: "TrackingParams") -> None:
    from datspect import tracking
    from datspect.io.records import read_json
    from datspect.training import to_mlflow

    record = read_json(reports / "final/run.json")
    with tracking.required_connection(settings.experiment) as connection:
        run_id = tracking.earlier_runs(connection, "final", record["result_id"]).complete
        if run_id is not None:
            to_mlflow.log_report(connection, run_id, reports, share_subject_level=settings.share_subject_level)
