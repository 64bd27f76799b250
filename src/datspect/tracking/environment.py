"""Set MLflow up while a run is open: it is quiet, gives up quickly, and sends nothing to its makers."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

LAUNCHER_VARIABLE = "DATSPECT_LAUNCHED_BY"

_TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
_DEFAULTS = {
    _TIMEOUT: "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
_UPLOAD_SECONDS = "30"  # a server may write a large file to its object store before it answers
_NOISY_LOGGERS = ("mlflow", "alembic", "urllib3.connectionpool")


@contextmanager
def quiet_mlflow() -> Iterator[None]:
    """Import MLflow, keep it quiet and let it give up quickly; what the user has set in the environment stays."""
    with _variables({name: value for name, value in _DEFAULTS.items() if name not in os.environ}):
        import mlflow  # noqa: F401  (configures its loggers when first imported: before they are silenced)

        with _silenced() if "MLFLOW_LOGGING_LEVEL" not in os.environ else _variables({}):
            yield


@contextmanager
def patient_uploads() -> Iterator[None]:
    """Wait longer for the answer to an upload than to a message, unless the user set a time."""
    ours = os.environ.get(_TIMEOUT) == _DEFAULTS[_TIMEOUT]
    with _variables({_TIMEOUT: _UPLOAD_SECONDS} if ours else {}):
        yield


@contextmanager
def single_attempt() -> Iterator[None]:
    """Ask the server once, without retries."""
    with _variables({"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}):
        yield


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """Switch off MLflow's progress bars of files."""
    with _variables({"MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}):
        yield


def mute_thread(name: str) -> None:
    """Silence a thread for good; left to itself, it would report once more that the server is gone."""
    for logger in ("mlflow.system_metrics.system_metrics_monitor", "urllib3.connectionpool"):
        logging.getLogger(logger).addFilter(lambda record: record.threadName != name)


def drop_launching_run() -> str | None:
    """Forget the run that `mlflow run` exports, since every process below would adopt it, and return its id.

    The id stays in a variable of our own, for later runs of this process and its children.
    """
    os.environ.pop("MLFLOW_EXPERIMENT_ID", None)
    run_id = os.environ.pop("MLFLOW_RUN_ID", None)
    if run_id:
        os.environ[LAUNCHER_VARIABLE] = run_id
    return os.environ.get(LAUNCHER_VARIABLE)


@contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def _silenced() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in _NOISY_LOGGERS]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
