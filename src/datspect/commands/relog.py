"""Command `relog`: send to MLflow what did not arrive when its stage ran, without running the stage again."""

import logging
from pathlib import Path
from typing import Annotated

import typer

log = logging.getLogger("datspect.relog")

STAGES = ("cv", "final")


def relog(
    reports: Annotated[Path, typer.Option(help="where the stages wrote their reports")] = Path("reports"),
    models: Annotated[Path, typer.Option(help="where the stages saved their models")] = Path("models"),
    params: Annotated[Path, typer.Option(help="says whether single real subjects may be shown to a server")] = Path(
        "params.yaml"
    ),
) -> None:
    """Send results of cv and final to MLflow that did not arrive there, or only in part.

    Nothing is trained and no output changes; what is complete in MLflow is not sent twice.
    """
    # Here, so that `datspect --help` does not wait for pandas.
    from datspect import tracking
    from datspect.params.whole import load_params
    from datspect.training.to_mlflow import RecordError

    share = load_params(params).tracking.share_subject_level
    stages = [stage for stage in STAGES if (reports / stage / "run.json").is_file()]
    if not stages:
        raise RecordError(f"{reports}: no run.json of {' or '.join(STAGES)}; run `dvc repro`, or `dvc checkout`")
    with tracking.alone():
        for stage in stages:
            _relog_stage(stage, reports / stage, models / stage, share)


def _relog_stage(stage: str, reports_folder: Path, models_folder: Path, share: bool) -> None:
    from datspect import tracking
    from datspect.io.tables import read_json
    from datspect.training import to_mlflow

    brief = read_json(reports_folder / "run.json")
    with tracking.required_connection(brief["mlflow"]["experiment"]) as connection:
        earlier = tracking.earlier_runs(connection, stage, brief["result_id"])
        if earlier.complete:
            log.info("%s: MLflow has all of it, as run %s; nothing sent", stage, earlier.complete)
            return
        if earlier.in_progress:
            log.info("%s: run %s is still being filled; nothing sent", stage, earlier.in_progress)
            return
        record = to_mlflow.read_whole_record(reports_folder, models_folder)
        log.info("%s: sending result %s ...", stage, record["result_id"])
        with to_mlflow.open_relogged_run(record, connection) as run:
            to_mlflow.RECORDERS[stage](run, reports_folder, models_folder, share_subject_level=share)
            tracking.mark_superseded(connection, earlier.incomplete, str(run.run_id))
    log.info("%s: sent, as run %s", stage, run.run_id)
