import zipfile
from pathlib import Path

import numpy as np
import pytest

from datspect import tracking

N_FEATURES = 8


@pytest.fixture
def head():
    import keras

    layers = [keras.layers.Dense(4, activation="relu"), keras.layers.Dropout(0.5), keras.layers.Dense(1, "sigmoid")]
    return keras.Sequential([keras.Input((N_FEATURES,)), *layers])


@pytest.fixture
def features(rng):
    return rng.random((5, N_FEATURES)).astype(np.float32)


def log_model(model, **options):
    with tracking.open_run("final", stage="final", experiment="datspect") as run:
        run.log_metrics({"holdout/accuracy": 0.9})
        return run.log_keras_model(model, name="model", input_shape=(N_FEATURES,), **options)


def model_files(project: Path) -> dict[str, Path]:
    (mlmodel,) = (project / "mlruns").rglob("MLmodel")
    return {path.relative_to(mlmodel.parent).as_posix(): path for path in mlmodel.parent.rglob("*") if path.is_file()}


def test_a_model_loaded_back_gives_the_same_output(recorded, project, head, features, monkeypatch):
    import mlflow

    model_id = log_model(head)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project}/mlflow.db")
    expected = head.predict(features, verbose=0)
    loaded = mlflow.keras.load_model(f"models:/{model_id}")
    np.testing.assert_array_equal(loaded.predict(features, verbose=0), expected)
    served = mlflow.pyfunc.load_model(f"models:/{model_id}")
    np.testing.assert_array_equal(served.predict(features), expected)
    assert str(served.metadata.signature.inputs) == f"[Tensor('float32', (-1, {N_FEATURES}))]"
    assert str(served.metadata.signature.outputs) == "[Tensor('float32', (-1, 1))]"


def test_a_model_belongs_to_its_run_and_shows_the_runs_metrics(recorded, head):
    model_id = log_model(head)
    run = recorded.by_name()["final"]
    model = recorded.client.get_logged_model(model_id)
    assert (model.name, model.source_run_id, model.status.value) == ("model", run.info.run_id, "READY")
    assert [(metric.key, metric.value) for metric in model.metrics] == [("holdout/accuracy", 0.9)]
    assert [output.model_id for output in run.outputs.model_outputs] == [model_id]
    assert recorded.history(run.info.run_id, "holdout/accuracy") == [(0, 0.9)]


def test_a_model_holds_no_pickle_and_pins_what_it_needs(recorded, project, head):
    log_model(head)
    files = model_files(project)
    expected = {"MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt", "data/keras_module.txt"}
    assert set(files) == {*expected, "data/model.keras"}
    with zipfile.ZipFile(files["data/model.keras"]) as archive:
        assert set(archive.namelist()) == {"config.json", "metadata.json", "model.weights.h5"}
    requirements = dict(line.split("==") for line in files["requirements.txt"].read_text().split())
    assert set(requirements) >= {"mlflow", "keras", "numpy"}
    assert len(requirements) == 4  # and the backend


def test_a_model_on_disk_is_logged_byte_for_byte(recorded, project, head, tmp_path):
    path = tmp_path / "head.keras"
    head.save(path)
    log_model(path)
    assert model_files(project)["data/model.keras"].read_bytes() == path.read_bytes()


def test_a_file_is_sent_without_being_read_and_with_the_releases_it_was_made_with(recorded, project, tmp_path):
    path = tmp_path / "no model at all.keras"
    path.write_bytes(b"")
    assert log_model(path, requirements=["keras==3.0.1", "numpy==2.0.0"]) is not None
    requirements = model_files(project)["requirements.txt"].read_text().split()
    assert {"keras==3.0.1", "numpy==2.0.0"} < set(requirements)


def test_shapes_become_the_signature(recorded, project, tmp_path):
    import mlflow

    path = tmp_path / "model.keras"
    path.write_bytes(b"")
    with tracking.open_run("final", stage="final", experiment="datspect") as run:
        run.log_keras_model(path, name="model", input_shape=(109, 91, 3))
    signature = mlflow.models.Model.load(model_files(project)["MLmodel"]).signature
    assert str(signature.inputs) == "[Tensor('float32', (-1, 109, 91, 3))]"
    assert str(signature.outputs) == "[Tensor('float32', (-1, 1))]"
