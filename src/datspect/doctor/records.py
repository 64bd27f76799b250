"""Look whether MLflow answers, and what the registry there holds; nothing is written to it."""

import json
import os
import sys

from datspect.doctor.check import Check, Place
from datspect.running.addresses import sqlite_path
from datspect.running.programs import TOO_SLOW, Said, said_by
from datspect.tracking.secrets import without_secrets
from datspect.tracking.store import tracking_uri

_PROBE = [sys.executable, "-m", "datspect.release.standing"]
_START = "start it, or mend MLFLOW_TRACKING_URI; docs/tracking-server.md"


def checks(place: Place) -> list[Check]:
    """Ask for the registry by a program of its own, since loading MLflow takes seconds."""
    given = os.environ.get("MLFLOW_TRACKING_URI")
    if not place.is_project and not given:
        return [Check("MLflow", "ok", "not asked: no project here, and MLFLOW_TRACKING_URI is not set")]
    uri = tracking_uri(place.root)
    path = sqlite_path(uri)
    where = without_secrets(uri, uri) if given else f"{path.name if path else uri} of this project"
    if path is not None and not path.is_file():
        return [Check("MLflow", "ok", f"{where}: not there yet, the first run makes it"), _no_versions()]
    said = said_by(_PROBE, seconds=place.seconds, folder=place.root)
    if said.code:
        return [mlflow_failed(where, said, uri)]
    return [Check("MLflow", "ok", f"{where} answers"), registry_check(json.loads(said.out.splitlines()[-1]))]


def mlflow_failed(where: str, said: Said, uri: str) -> Check:
    """Say why MLflow did not answer."""
    if said.code == TOO_SLOW:
        remedy = f"ask again with --seconds 60; if it stays so, {_START}"
        return Check("MLflow", "warning", f"{where}: {said.err}", remedy)
    why = without_secrets(said.last_line.removeprefix("error: "), uri).partition("; check MLFLOW_TRACKING_URI")[0]
    return Check("MLflow", "problem", why if where in why else f"{where}: {why}", _START)


def registry_check(versions: dict[str, dict[str, object] | None]) -> Check:
    """Say which versions have an alias, given the version or None by alias."""
    named = {alias: version for alias, version in versions.items() if version}
    if not named:
        return _no_versions()
    listed = ", ".join(f"{alias} is version {version['version']}" for alias, version in named.items())
    return Check("registry", "ok", listed)


def _no_versions() -> Check:
    return Check("registry", "ok", "no version yet; datspect register makes one of the final model")
