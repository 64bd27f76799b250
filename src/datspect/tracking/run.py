"""Open a run for one execution of a stage, fill it from what is on disk, and close it with its true state."""

import json
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from datspect.running.signals import Stopped, stopping_signals_raised
from datspect.tracking.connection import Connection, while_connected
from datspect.tracking.environment import drop_launching_run, mute_thread, patient_uploads, quiet_mlflow
from datspect.tracking.labels import Nested, Tags, columns, common_tags, flat_params
from datspect.tracking.locality import beyond_this_machine
from datspect.tracking.models import Shape, write_keras_model
from datspect.tracking.ownership import close_orphans
from datspect.tracking.provenance import GitState, git_state
from datspect.tracking.search import all_runs

if TYPE_CHECKING:
    import pandas as pd

_METRICS_PER_BATCH, _PARAMS_PER_BATCH = 1000, 100  # MLflow's limits
_SYSTEM_METRICS_SECONDS = 5.0
_DIGEST_LENGTH = 36  # MLflow's limit
_DESCRIPTION = "mlflow.note.content"


Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Times:
    """When a run that is sent afterwards began and ended, in milliseconds since 1970."""

    started_ms: int
    ended_ms: int


@contextmanager
def open_run(
    name: str,
    *,
    stage: str,
    experiment: str,
    params: Nested | None = None,
    tags: Tags | None = None,
    git: GitState | None = None,
) -> Iterator["Run"]:
    """Open a run of `stage` and close it as FINISHED, FAILED (an error) or KILLED (Ctrl-C, SIGTERM, SIGHUP).

    Runs that a killed process of this host left open are closed first. An error of MLflow or the way to it costs one
    warning and the rest of the record, never the caller; a run is FINISHED only if all of it arrived.

    Parameters
    ----------
    params : nested sections become dotted keys, values are written as in YAML (null, true, [1, 2])
    tags : kept beside the run's own: stage, git commit, host and process
    git : the state of the code; None for what is checked out now
    """
    launcher = drop_launching_run()
    with stopping_signals_raised(), quiet_mlflow():
        connection = Connection.open(experiment)
        if connection.alive:
            with connection.protected():
                close_orphans(connection.client, connection.experiment_id, stage)
        common = common_tags(stage, git or git_state(), launcher)
        with _opened(connection, name, common, params, tags) as run, run._system_metrics():
            yield run


@contextmanager
def open_late_run(
    name: str, *, connection: Connection, stage: str, params: Nested, tags: Tags, git: GitState, times: Times
) -> Iterator["Run"]:
    """Open a run for what happened at earlier `times`, which everything in it carries, over an open connection.

    It closes as `open_run` says. The connection decides what an error of the store leads to.
    """
    common = common_tags(stage, git, drop_launching_run())
    with stopping_signals_raised(), _opened(connection, name, common, params, tags, times) as run:
        yield run


def existing_run(connection: Connection, run_id: str) -> "Run":
    """Return a run that has ended, to add to it; it stays ended."""
    run = Run(connection, "", {})
    with connection.protected():
        run.adopt(connection.client.get_run(run_id).info)
    return run


class Run:
    """A run in MLflow; once the store cannot be reached, its methods may still be called and do nothing."""

    def __init__(
        self, connection: Connection, name: str, common_tags: Mapping[str, str], times: Times | None = None
    ) -> None:
        self.connection = connection
        self.name = name
        self._common_tags = common_tags
        self._times = times
        self._run_id: str | None = None
        self._artifact_uri = ""
        self._handed_over = False
        self._summary: list[Any] = []  # metrics of the run as a whole, repeated on its models
        self._n_sent: dict[str, int] = {}  # points of each curve
        self._begun: dict[str, Run] = {}  # children that are filled while this run's work goes on

    @property
    def run_id(self) -> str | None:
        """The id in MLflow; None if the run could not be created."""
        return self._run_id

    @property
    def leaves_this_machine(self) -> bool:
        """True if what is logged goes to another machine, see `beyond_this_machine`; False if it goes nowhere."""
        if not self.connection.alive or self.run_id is None:
            return False
        return any(beyond_this_machine(uri) for uri in (self.connection.client.tracking_uri, self._artifact_uri))

    @contextmanager
    def child(
        self, name: str, *, params: Nested | None = None, tags: Tags | None = None, times: Times | None = None
    ) -> Iterator["Run"]:
        """Open a run below this one, or go on with the one of that name that `begin_child` opened.

        It closes as `open_run` says, at its true `times` if it is over already. One that was begun gets the `tags` now.
        """
        if begun := self._begun.pop(name, None):
            with begun.ended():
                begun.set_tags(tags or {})
                yield begun
            return
        if times is None and self._times:
            times = Times(self._times.ended_ms, self._times.ended_ms)
        with _opened(self.connection, name, self._tags_of_children(), params, tags, times) as run:
            yield run

    def begin_child(self, name: str, *, params: Nested | None = None, tags: Tags | None = None) -> "Run":
        """Open a run below this one, or return the one that is open, to be filled bit by bit.

        It is open until `child` goes on with it. If this run ends before, it ends in the same state, FAILED at best.
        """
        if name not in self._begun:
            self._begun[name] = run = Run(self.connection, name, self._tags_of_children())
            run.create(params, tags)
        return self._begun[name]

    def artifact_page(self, path: str) -> str:
        """Return the address, within MLflow's pages, of the page that shows an artifact of this run."""
        return f"#/experiments/{self.connection.experiment_id}/runs/{self.run_id}/artifacts/{path}"

    def tags(self) -> dict[str, str]:
        """Return the tags that the run has in MLflow; none when not connected."""
        found = self._read()
        return {} if found is None else dict(found.data.tags)

    def steps(self, key: str) -> set[int]:
        """Return the steps at which the run has a value of a metric; none when not connected."""
        return {point.step for point in self._points(key) or ()}

    def finished_children(self, tag: str, value: str | None = None) -> set[str]:
        """Return the values of `tag` over the FINISHED children, or those with `value`; empty when not connected."""
        runs = self._children(tag, value)
        return {run.data.tags[tag] for run in runs if run.info.status == "FINISHED" and tag in run.data.tags}

    @while_connected
    def supersede_children(self, tag: str, value: str, by: "Run") -> None:
        """Close every unfinished child with `tag` = `value` and tag it as replaced by the run `by`."""
        for run in self._children(tag, value):
            if run.info.status != "FINISHED" and run.info.run_id != by.run_id:
                self.connection.client.set_tag(run.info.run_id, "datspect.superseded_by", by.run_id)
                if run.info.status == "RUNNING":
                    self.connection.client.set_terminated(run.info.run_id, "KILLED")

    @while_connected
    def mark_child(self, tag: str, value: str, text: str) -> None:
        """End the description of the child with `tag` = `value` with `text`, and of no other child."""
        for run in self._children(tag, None):
            description = run.data.tags.get(_DESCRIPTION, "")
            wanted = description.replace(text, "").rstrip()
            if run.data.tags.get(tag) == value:
                wanted = f"{wanted}\n\n{text}".lstrip()
            if wanted != description:
                self.connection.client.set_tag(run.info.run_id, _DESCRIPTION, wanted)

    @property
    def address(self) -> str:
        """Where the UI shows the run, from its root."""
        return f"#/experiments/{self.connection.experiment_id}/runs/{self.run_id}"

    def hand_over(self) -> None:
        """Leave the run RUNNING at the end, however this process ends: another goes on with it."""
        self._handed_over = True

    @while_connected
    def set_tags(self, tags: Tags) -> None:
        """Add tags, or change them."""
        for key, value in tags.items():
            self.connection.client.set_tag(self.run_id, key, str(value))

    @while_connected
    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log one value per metric; NaN is kept, an infinity becomes the largest double."""
        now = self._now_ms()
        self._summary += (batch := [_metric(key, value, now, step) for key, value in metrics.items()])
        self._log_metrics(batch)

    @while_connected
    def log_history(self, history: Mapping[str, Array]) -> None:
        """Log curves, each of shape (epochs,), at steps 1, 2, ..., in batches; no point goes into this run twice.

        NaN is kept, an infinity becomes the largest double. All points carry the time of logging.
        """
        now, batch = self._now_ms(), []
        for key, curve in history.items():
            n_sent = self._n_sent.get(key, 0)
            batch += [_metric(key, value, now, step) for step, value in enumerate(curve[n_sent:], n_sent + 1)]
        self._log_metrics(batch)
        self._n_sent |= {key: max(len(curve), self._n_sent.get(key, 0)) for key, curve in history.items()}

    @while_connected
    def log_dataset(self, frame: "pd.DataFrame", *, name: str, digest: str, context: str) -> None:
        """List a dataset as an input: columns, types and number of rows of `frame`, none of its values.

        `digest` is cut to the 36 characters that MLflow keeps.
        """
        from mlflow.data.code_dataset_source import CodeDatasetSource
        from mlflow.entities import Dataset, DatasetInput, InputTag

        source = CodeDatasetSource({key: self._common_tags[key] for key in ("mlflow.source.name", "datspect.stage")})
        dataset = Dataset(
            name=name,
            digest=digest[:_DIGEST_LENGTH],
            source_type="code",
            source=source.to_json(),
            schema=json.dumps({"mlflow_colspec": columns(frame)}),
            profile=json.dumps({"num_rows": len(frame), "num_elements": int(frame.size)}),
        )
        tag = InputTag("mlflow.data.context", context)
        self.connection.client.log_inputs(self.run_id, datasets=[DatasetInput(dataset, [tag])])

    def log_files(self, paths: Iterable[Path], folder: str | None = None) -> None:
        """Copy files into the run's artifacts, under `folder`.

        Raises
        ------
        FileNotFoundError : a path names no file.
        """
        files = list(paths)
        if missing := [str(path) for path in files if not path.is_file()]:
            raise FileNotFoundError(f"cannot log {', '.join(missing)}: no such file")
        self._upload_files(files, folder)

    def log_keras_model(
        self,
        model: Any,
        *,
        name: str,
        input_shape: Shape,
        output_shape: Shape = (1,),
        requirements: Sequence[str] | None = None,
    ) -> str | None:
        """Log a Keras model, or the .keras file that a path names, as an MLflow model, and return its id.

        MLflow shows the metrics that `log_metrics` has logged with the model too. `write_keras_model` explains
        `input_shape`, `output_shape` and `requirements`.
        """
        logged = self._create_model(name)
        if logged is None:
            return None
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "model"
            write_keras_model(
                model,
                folder,
                mlflow_model=model_description(logged, self.run_id),
                input_shape=input_shape,
                output_shape=output_shape,
                requirements=requirements,
            )
            return self._upload_model(logged.model_id, folder)

    @while_connected
    def create(self, params: Nested | None, tags: Tags | None) -> None:
        """Create the run in MLflow."""
        from mlflow.entities import Param

        client = self.connection.client
        started = self._times.started_ms if self._times else None
        all_tags = {**self._common_tags, **{key: str(value) for key, value in (tags or {}).items()}}
        self.adopt(client.create_run(self.connection.experiment_id, started, all_tags, self.name).info)
        flat = [Param(key, text) for key, text in flat_params(params or {}).items()]
        for start in range(0, len(flat), _PARAMS_PER_BATCH):
            client.log_batch(self._run_id, params=flat[start : start + _PARAMS_PER_BATCH])

    def adopt(self, info: Any) -> None:
        """Become the run that exists in MLflow as `info`."""
        self._run_id, self._artifact_uri = info.run_id, info.artifact_uri

    @contextmanager
    def ended(self) -> Iterator[None]:
        """End the run with the block, in the state that `open_run` says."""
        status = "FAILED"
        try:
            yield
            status = "FINISHED"
        except (KeyboardInterrupt, Stopped):
            status = "KILLED"
            raise
        finally:
            if self._run_id and not self._handed_over:
                self.connection.end_run(self._run_id, status, self._times.ended_ms if self._times else None)
            for child in self._begun.values():
                if child.run_id:
                    self.connection.end_run(child.run_id, "KILLED" if status == "KILLED" else "FAILED")

    def _tags_of_children(self) -> dict[str, str]:
        return {**self._common_tags, "mlflow.parentRunId": str(self.run_id)}

    def _children(self, tag: str, value: str | None) -> list[Any]:
        condition = f"tags.`mlflow.parentRunId` = '{self.run_id}'"
        if value is not None:
            condition += f" and tags.`{tag}` = '{value}'"
        return self._search(condition) or []  # None when not connected

    @while_connected
    def _read(self) -> Any:
        return self.connection.client.get_run(self.run_id)

    @while_connected
    def _points(self, key: str) -> Any:
        return self.connection.client.get_metric_history(self.run_id, key)

    @while_connected
    def _search(self, condition: str) -> list[Any]:
        return all_runs(self.connection.client, self.connection.experiment_id, condition)

    def _now_ms(self) -> int:
        return self._times.ended_ms if self._times else int(time.time() * 1000)

    def _log_metrics(self, metrics: list[Any]) -> None:
        for start in range(0, len(metrics), _METRICS_PER_BATCH):
            self.connection.client.log_batch(self.run_id, metrics=metrics[start : start + _METRICS_PER_BATCH])

    @while_connected
    def _upload_files(self, paths: list[Path], folder: str | None) -> None:
        with patient_uploads():
            for path in paths:
                self.connection.client.log_artifact(self.run_id, str(path), folder)

    @while_connected
    def _create_model(self, name: str) -> Any:
        from mlflow.entities import LoggedModelOutput

        client, experiment_id = self.connection.client, self.connection.experiment_id
        tags = {key: value for key, value in self._common_tags.items() if key.startswith("mlflow.source.")}
        logged = client.create_logged_model(experiment_id, name=name, source_run_id=self.run_id, tags=tags)
        client.log_outputs(self.run_id, [LoggedModelOutput(logged.model_id, step=0)])
        return logged

    @while_connected
    def _upload_model(self, model_id: str, folder: Path) -> str:
        client = self.connection.client
        with patient_uploads():
            client.log_model_artifacts(model_id, str(folder))
        client.finalize_logged_model(model_id, "READY")
        self._log_metrics([_metric(m.key, m.value, m.timestamp, m.step, model_id) for m in self._summary])
        return model_id

    @contextmanager
    def _system_metrics(self) -> Iterator[None]:
        """Sample load, memory, disk and network in the background."""
        monitor = self._start_monitor()
        try:
            yield
        finally:
            if monitor is not None:
                self._stop_monitor(monitor)

    @while_connected
    def _start_monitor(self) -> Any:
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        uri = self.connection.client.tracking_uri
        monitor = SystemMetricsMonitor(self.run_id, sampling_interval=_SYSTEM_METRICS_SECONDS, tracking_uri=uri)
        monitor.start()
        return monitor

    def _stop_monitor(self, monitor: Any) -> None:
        if self.connection.alive:
            with self.connection.protected():
                monitor.finish()
        else:
            monitor._shutdown_event.set()  # finish() would wait, and send the last samples to a store that is gone
            mute_thread("SystemMetricsMonitor")


@contextmanager
def _opened(
    connection: Connection,
    name: str,
    common: Mapping[str, str],
    params: Nested | None,
    tags: Tags | None,
    times: Times | None = None,
) -> Iterator[Run]:
    run = Run(connection, name, common, times)
    with run.ended():
        run.create(params, tags)
        yield run


def _metric(key: str, value: float, timestamp_ms: int, step: int, model_id: str | None = None) -> Any:
    from mlflow.entities import Metric

    return Metric(key, float(value), timestamp_ms, step, model_id=model_id)


def model_description(logged: Any, run_id: str | None) -> Any:
    """Return MLflow's own record of a model that it knows as `logged`."""
    from mlflow.models import Model

    return Model(
        artifact_path=logged.artifact_location, model_uuid=logged.model_id, run_id=run_id, model_id=logged.model_id
    )
