"""Say which versions have an alias, without changing anything: no database, experiment or address is written.

Run as a program, it prints them as JSON, since loading MLflow takes seconds and a server may not answer.
"""

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from datspect.cohort.scope import Scope
from datspect.release.reading import registry_at
from datspect.release.registry import CHALLENGER, CHAMPION, DIGEST_TAG, PREVIOUS, Version
from datspect.running.addresses import repository_root, sqlite_path
from datspect.running.launch import log_plainly, with_clear_errors
from datspect.tracking.connection import TrackingError
from datspect.tracking.environment import quiet_mlflow
from datspect.tracking.remedies import refuse_folders
from datspect.tracking.store import tracking_uri

ALIASES = (CHAMPION, CHALLENGER, PREVIOUS)

Standing = Mapping[str, Any]


def versions_by_alias() -> dict[str, Standing | None]:
    """Return what the tags of each named version say, None for an alias that names none.

    Raises
    ------
    TrackingError : the store cannot be reached, is not ready, or fails.
    """
    root = repository_root()
    uri = tracking_uri(root)
    refuse_folders(uri, root)
    path = sqlite_path(uri)
    if path is not None and not path.is_file():
        return dict.fromkeys(ALIASES)
    with quiet_mlflow():
        if path is not None and not _is_whole(path):
            raise TrackingError(
                f"{path.name}: its tables are not those of this MLflow: it is being made, or is of another release. "
                "Ask again; dvc repro and datspect register bring it up to date"
            )
        registry = registry_at(lambda: uri)
        return {alias: _standing(registry.version(alias)) for alias in ALIASES}


def _is_whole(path: Path) -> bool:
    """Tell whether a database has the tables of the installed MLflow, which would make or change others when opened."""
    from mlflow.store.db.utils import _get_latest_schema_revision

    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            found = database.execute("SELECT version_num FROM alembic_version").fetchall()
    except sqlite3.Error:
        return False
    return found == [(_get_latest_schema_revision(),)]


def _standing(version: Version | None) -> Standing | None:
    if version is None:
        return None
    tags = version.tags
    return {
        "version": int(version.number),
        "run_id": version.run_id,
        "model_digest": tags.get(DIGEST_TAG),
        "cohort_kind": tags.get("datspect.cohort_kind"),
        "recipe": Scope.of_tags(tags).recipe,
        "promoted": tags.get("datspect.promoted"),
        "measures": {key.removeprefix("dev."): value for key, value in tags.items() if key.startswith("dev.")},
    }


def main() -> None:
    """Print the versions by alias."""
    log_plainly()
    print(json.dumps(versions_by_alias()))  # noqa: T201  (its answer)


if __name__ == "__main__":
    with_clear_errors(main)
