import time
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from datspect.errors import WeightsError
from datspect.modeling.model_files import read_model, read_weights, write_model, write_weights


def network(n_units: int = 3) -> keras.Model:
    image = keras.Input((8, 8, 3))
    return keras.Model(image, keras.layers.Dense(n_units)(keras.layers.Flatten()(image)), name="network")


@pytest.fixture
def images(rng: np.random.Generator) -> Any:
    return rng.random((4, 8, 8, 3)).astype(np.float32)


def test_weights_come_back_from_their_file(tmp_path: Path, images: Any) -> None:
    written, read = network(), network()
    write_weights(tmp_path / "new" / "network.weights.h5", written)
    read_weights(tmp_path / "new" / "network.weights.h5", read)
    np.testing.assert_array_equal(written.predict_on_batch(images), read.predict_on_batch(images))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["network.weights.h5"]


def test_the_same_weights_make_the_same_file(tmp_path: Path) -> None:
    model = network()
    write_weights(tmp_path / "a.weights.h5", model)
    time.sleep(1.1)  # no time of writing in it
    write_weights(tmp_path / "b.weights.h5", model)
    assert (tmp_path / "a.weights.h5").read_bytes() == (tmp_path / "b.weights.h5").read_bytes()


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    write_weights(tmp_path / "network.weights.h5", network(4))
    with pytest.raises(WeightsError, match=r"network\.weights\.h5: does not fit network"):
        read_weights(tmp_path / "network.weights.h5", network(3))


def test_a_model_comes_back_whole(tmp_path: Path, images: Any) -> None:
    model = network()
    write_model(tmp_path / "model.keras", model)
    again = read_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(model.predict_on_batch(images), again.predict_on_batch(images))


def test_the_same_model_makes_the_same_file_at_any_time(tmp_path: Path) -> None:
    model = network()
    write_model(tmp_path / "a.keras", model)
    time.sleep(2.1)  # a zip counts in steps of two seconds
    write_model(tmp_path / "b.keras", model)
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.keras", "b.keras"]


def test_another_process_makes_the_same_file(tmp_path: Path, images: Any) -> None:
    """Keras tells the policy that layers share by its address in memory, as another object has here."""
    weights = network().get_weights()
    policies = [keras.DTypePolicy("float32") for _ in range(2)]
    for policy, name in zip(policies, ("a.keras", "b.keras"), strict=True):
        image = keras.Input((8, 8, 3), name="image")
        flat = keras.layers.Flatten(dtype=policy, name="flat")(image)
        model = keras.Model(image, keras.layers.Dense(3, dtype=policy, name="dense")(flat), name="network")
        model.set_weights(weights)
        model.save(tmp_path / f"dated {name}")
        write_model(tmp_path / name, model)
    of_keras = [zipfile.ZipFile(tmp_path / f"dated {name}").read("config.json") for name in ("a.keras", "b.keras")]
    assert of_keras[0] != of_keras[1]
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
    again = read_model(tmp_path / "a.keras")
    np.testing.assert_array_equal(model.predict_on_batch(images), again.predict_on_batch(images))


def test_a_model_nested_without_end_is_refused_in_short(tmp_path: Path) -> None:
    write_model(tmp_path / "whole.keras", network())
    with zipfile.ZipFile(tmp_path / "whole.keras") as whole, zipfile.ZipFile(tmp_path / "deep.keras", "w") as deep:
        for name in whole.namelist():
            deep.writestr(name, "[" * 100_000 + "]" * 100_000 if name == "config.json" else whole.read(name))
    with pytest.raises(WeightsError, match="not a Keras model that loads in safe mode") as refused:
        read_model(tmp_path / "deep.keras")
    assert len(str(refused.value)) < 600 + len(str(tmp_path))


def test_a_model_that_carries_code_is_refused(tmp_path: Path) -> None:
    image = keras.Input((2,))
    write_model(tmp_path / "code.keras", keras.Model(image, keras.layers.Lambda(lambda x: x)(image)))
    with pytest.raises(WeightsError, match=r"code\.keras: not a Keras model that loads in safe mode"):
        read_model(tmp_path / "code.keras")


def test_a_missing_or_broken_model_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"none\.keras: no such file"):
        read_model(tmp_path / "none.keras")
    (tmp_path / "broken.keras").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match=r"broken\.keras: not a Keras model"):
        read_model(tmp_path / "broken.keras")


def test_a_write_that_fails_leaves_the_model_before(
    tmp_path: Path, images: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = network()
    write_model(tmp_path / "model.keras", model)

    def fail(path: Path) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(model, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        write_model(tmp_path / "model.keras", model)
    np.testing.assert_array_equal(
        read_model(tmp_path / "model.keras").predict_on_batch(images), model.predict_on_batch(images)
    )
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]
