"""The ensemble in NumPy says what the one in Keras does, and its gradient is that of what it says."""

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras import ops
from scipy.special import expit
from tests.modeling.test_ensemble import head, made_up_material
from tests.prediction.made_up_predictor import random_ensemble

from datspect.errors import WeightsError
from datspect.imaging.slabs import SLABS_SHAPE
from datspect.modeling.compilation import gradient_of
from datspect.modeling.ensemble import fit_ensemble, member_log_odds
from datspect.modeling.heads import FittedHead
from datspect.modeling.model_files import write_model
from datspect.modeling.striatal_network import both_scales as keras_both_scales
from datspect.modeling.whole_ensemble import build_ensemble
from datspect.prediction.striatal_numpy import Ensemble, both_scales, read_ensemble


def trained_ensemble() -> FittedHead:
    return fit_ensemble(head(), made_up_material())


def saved(fitted: FittedHead, folder: Path) -> tuple[keras.Model, Ensemble]:
    model = build_ensemble(fitted, 0.2)
    write_model(folder / "model.keras", model)
    return model, read_ensemble(folder / "model.keras")


def made_up_views(n: int) -> np.ndarray:
    rng = np.random.default_rng(8)
    return np.abs(rng.normal(1.5, 1.0, (n, *SLABS_SHAPE))).astype(np.float32)


@pytest.mark.parametrize(
    "make", [lambda: random_ensemble(12, 16, 3), lambda: random_ensemble(5, 7, 1), trained_ensemble]
)
@pytest.mark.parametrize("n", [1, 70])
def test_readings_and_probabilities_are_those_of_keras(make: Callable[[], FittedHead], n: int, tmp_path: Path) -> None:
    model, ensemble = saved(make(), tmp_path)
    views = made_up_views(n)
    both = keras.Model(model.input, [model.get_layer("features").output, model.output])
    expected, probabilities = (np.asarray(ops.convert_to_numpy(each)) for each in both(views))
    read = ensemble.readings(views)
    np.testing.assert_allclose(read, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(expit(ensemble.log_odds(read)), probabilities[:, 0], atol=1e-5)
    assert read.dtype == np.float32


def test_both_scales_are_those_of_keras() -> None:
    views = made_up_views(3)
    views[0] = 0  # an empty scan has no peak to be over
    np.testing.assert_allclose(both_scales(views), np.asarray(keras_both_scales(views)), rtol=1e-5, atol=1e-5)


def test_the_mean_of_the_members_is_the_ensemble_and_each_speaks_for_itself(tmp_path: Path) -> None:
    fitted = random_ensemble(4, 5, 3)
    _, ensemble = saved(fitted, tmp_path)
    views = made_up_views(6)
    read = ensemble.readings(views)
    members = ensemble.member_log_odds(read)
    assert members.shape == (3, 6)
    np.testing.assert_allclose(members.mean(axis=0), ensemble.log_odds(read), atol=1e-4)
    known = FittedHead(fitted.name, fitted.weights, {}, read, fitted.layers)
    np.testing.assert_allclose(members, member_log_odds(known), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("make", [lambda: random_ensemble(12, 16, 3), trained_ensemble])
def test_the_gradient_is_that_of_keras(make: Callable[[], FittedHead], tmp_path: Path) -> None:
    model, ensemble = saved(make(), tmp_path)
    hidden, _, last = model.get_layer("head").layers
    linear = keras.layers.Dense(1)
    log_odds = linear(hidden(model.get_layer("features").output))
    linear.set_weights(last.get_weights())
    views = made_up_views(5)
    expected = gradient_of(keras.Model(model.input, log_odds))(views)
    found = ensemble.gradient(views)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())


def test_the_gradient_is_that_of_small_differences(tmp_path: Path) -> None:
    _, ensemble = saved(random_ensemble(6, 8, 2), tmp_path)
    views, direction = made_up_views(4).astype(np.float64), np.random.default_rng(2).normal(size=(4, *SLABS_SHAPE))

    def said(step: float) -> np.ndarray:
        return ensemble.log_odds(ensemble.readings(views + step * direction))

    # Within so small a step hardly any unit opens or closes.
    slopes = (said(1e-3) - said(-1e-3)) / 2e-3
    along = (ensemble.gradient(views.astype(np.float32)) * direction).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(along, slopes, rtol=0.02, atol=0.02 * np.abs(slopes).max())


def test_it_is_read_without_keras(tmp_path: Path) -> None:
    saved(random_ensemble(2, 3, 2), tmp_path)
    code = (
        "import sys; from pathlib import Path; from datspect.prediction.striatal_numpy import read_ensemble\n"
        f"read_ensemble(Path({str(tmp_path / 'model.keras')!r}))\n"
        "print(sorted({'keras', 'tensorflow', 'jax'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def rewritten(path: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    with zipfile.ZipFile(path) as file:
        contents = {name: file.read(name) for name in file.namelist()}
    change(contents)
    with zipfile.ZipFile(path, "w") as file:
        for name, content in contents.items():
            file.writestr(name, content)


def other_size(contents: dict[str, bytes]) -> None:
    config = json.loads(contents["config.json"])
    config["config"]["layers"][1]["config"]["units"] = 4
    contents["config.json"] = json.dumps(config).encode()


def no_head(contents: dict[str, bytes]) -> None:
    buffer = io.BytesIO(contents["model.weights.h5"])
    with h5py.File(buffer, "a") as file:
        del file["layers/sequential"]
    contents["model.weights.h5"] = buffer.getvalue()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (other_size, "ValueError: weights of shapes"),
        (no_head, "KeyError: 'hidden'"),
        (lambda contents: contents.update({"model.weights.h5": b"no arrays"}), "OSError"),
        (lambda contents: contents.pop("config.json"), "KeyError"),
        (lambda contents: contents.update({"config.json": b"[]"}), "TypeError"),
    ],
)
def test_another_or_a_damaged_model_is_refused(
    change: Callable[[dict[str, bytes]], None], reason: str, tmp_path: Path
) -> None:
    saved(random_ensemble(2, 3, 2), tmp_path)
    rewritten(tmp_path / "model.keras", change)
    with pytest.raises(WeightsError, match=rf"model\.keras: no ensemble of networks on slabs .{reason}"):
        read_ensemble(tmp_path / "model.keras")


def test_a_missing_or_cut_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"gone\.keras: no such file"):
        read_ensemble(tmp_path / "gone.keras")
    (tmp_path / "cut.keras").write_bytes(b"PK")
    with pytest.raises(WeightsError, match="BadZipFile"):
        read_ensemble(tmp_path / "cut.keras")
