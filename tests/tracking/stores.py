"""A repository whose MLflow holds runs, models, versions and a trace, and what its database says of a place."""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from mlflow import MlflowClient

from datspect import tracking

WEIGHTS = b"these are no weights"


def fill(root: Path) -> str:
    """A run with a report and a model, two versions of that model, and a trace; gives the run's id."""
    (root / "roc.csv").write_text("1,2\n")
    (root / "head.keras").write_bytes(WEIGHTS)
    with tracking.open_run("cv", stage="cv", experiment="datspect") as run:
        run.log_files([root / "roc.csv"], "reports")
        model_id = run.log_keras_model(root / "head.keras", name="head", input_shape=(3,), requirements=["keras==3"])
    client = MlflowClient(f"sqlite:///{root}/mlflow.db")
    location = client.get_logged_model(str(model_id)).artifact_location
    client.create_registered_model("datspect")
    client.create_model_version("datspect", f"models:/{model_id}", run_id=run.run_id, model_id=model_id)
    client.create_model_version("datspect", location, run_id=run.run_id)
    with closing(sqlite3.connect(root / "mlflow.db")) as connection, connection:
        connection.execute(
            "insert into trace_info (request_id, experiment_id, timestamp_ms, status) values ('t',1,0,'OK')"
        )
        address = (root / "mlruns/traces/t/artifacts").as_uri()
        connection.execute("insert into trace_tags values ('mlflow.artifactLocation', ?, 't')", (address,))
    return str(run.run_id)


def mentions(database: Path, place: Path) -> dict[str, list[str]]:
    """Values below a place, by table.column, over the whole database."""
    found = {}
    with closing(sqlite3.connect(database)) as connection:
        tables = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
        for table in tables:
            for column in [row[1] for row in connection.execute(f"pragma table_info('{table}')")]:
                values = [str(value) for (value,) in connection.execute(f'select "{column}" from "{table}"')]
                below = [value for value in values if f"{place}/" in value or f"{quote(str(place))}/" in value]
                if below:
                    found[f"{table}.{column}"] = below
    return found


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file below a folder with its size and time."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }
