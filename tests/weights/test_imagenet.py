import logging
import os
import time
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from datspect.errors import WeightsError
from datspect.modeling.backbone import build_backbone, layer_arrays, model_digest, set_random_weights
from datspect.weights import imagenet, sources
from datspect.weights.imagenet import WeightsOrigin, set_weights
from datspect.weights.sources import keras_file

SHAPE = (109, 91)


@pytest.fixture
def small() -> keras.Model:
    return build_backbone("MobileNetV2", SHAPE)


@pytest.fixture
def other() -> keras.Model:
    """Return weights to be read from a file."""
    model = build_backbone("MobileNetV2", SHAPE)
    set_random_weights(model, seed=99)
    return model


@pytest.fixture(autouse=True)
def keras_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a Keras cache for this test alone."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras-home"))
    return tmp_path / "keras-home"


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, refusing_address: str) -> None:
    """Let every download meet a refused connection."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://{refusing_address}")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://{refusing_address}/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_NO_INDEX", "false")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Keras' host be within reach."""
    monkeypatch.setattr(imagenet, "out_of_reach", lambda *_: None)


def write_layered(path: Path, model: keras.Model, *, inside: str | None = None, parts: int = 1) -> None:
    """Write an HDF5 file as Keras 2 did: `inside` a group for a whole model, its names in `parts`."""
    with h5py.File(path, "w") as file:
        root = file if inside is None else file.create_group(inside)
        names = ["image"]  # a layer without weights
        root.create_group("image").attrs["weight_names"] = np.array([], dtype="S1")
        for name, arrays in layer_arrays(model):
            group = root.create_group(name)
            group.attrs["weight_names"] = [f"{name}/{k}:0".encode() for k in range(len(arrays))]
            for k, array in enumerate(arrays):
                group[f"{name}/{k}:0"] = array
            names.append(name)
        encoded = np.array([name.encode() for name in names])
        if parts == 1:
            root.attrs["layer_names"] = encoded
        else:
            for k, part in enumerate(np.array_split(encoded, parts)):
                root.attrs[f"layer_names{k}"] = part


def test_random_weights_are_announced_and_seeded(
    small: keras.Model, backbone_params: Any, caplog: pytest.LogCaptureFixture
) -> None:
    origin = set_weights(small, backbone_params(seed=5))
    assert origin.source == "random, seed 5"
    assert origin.tensor_digest == model_digest(small)
    assert origin.equals_known_imagenet is None
    assert "RANDOM, from seed 5" in caplog.text
    assert caplog.records[0].levelno == logging.WARNING


def test_a_file_of_this_project_is_read(
    small: keras.Model, other: keras.Model, backbone_params: Any, tmp_path: Path
) -> None:
    other.save_weights(tmp_path / "backbone.weights.h5")
    origin = set_weights(small, backbone_params(weights=str(tmp_path / "backbone.weights.h5")))
    assert origin.tensor_digest == model_digest(other)
    assert origin.source == "file backbone.weights.h5"  # the folder may name a person
    assert origin.file_sha256 is not None


@pytest.mark.parametrize("layout", [{}, {"inside": "model_weights"}, {"parts": 3}])
def test_a_keras_application_file_is_read(
    small: keras.Model, other: keras.Model, backbone_params: Any, tmp_path: Path, layout: dict[str, Any]
) -> None:
    write_layered(tmp_path / "notop.h5", other, **layout)
    origin = set_weights(small, backbone_params(weights=str(tmp_path / "notop.h5")))
    assert origin.tensor_digest == model_digest(other)


def test_a_whole_model_with_a_head_is_read(
    small: keras.Model, other: keras.Model, backbone_params: Any, tmp_path: Path
) -> None:
    image = keras.Input((*SHAPE, 3))
    keras.Model(image, keras.layers.Dense(1)(other(image))).save(tmp_path / "whole.keras")
    origin = set_weights(small, backbone_params(weights=str(tmp_path / "whole.keras")))
    assert origin.tensor_digest == model_digest(other)


@pytest.mark.parametrize("kind", ["own.weights.h5", "notop.h5", "whole.keras"])
def test_a_file_of_another_network_is_refused_by_name(
    small: keras.Model, backbone_params: Any, tmp_path: Path, kind: str
) -> None:
    stranger = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), keras.layers.Conv2D(2, 3)])
    path = tmp_path / kind
    match kind:
        case "own.weights.h5":
            stranger.save_weights(path)
        case "notop.h5":
            write_layered(path, stranger)
        case _:
            stranger.save(path)
    with pytest.raises(WeightsError, match=rf"{kind}: .*MobileNetV2"):
        set_weights(small, backbone_params(weights=str(path)))


@pytest.mark.parametrize("name", ["broken.weights.h5", "broken.h5", "broken.keras", "missing.h5"])
def test_a_broken_or_missing_file_is_refused_by_name(
    small: keras.Model, backbone_params: Any, tmp_path: Path, name: str
) -> None:
    if name.startswith("broken"):
        (tmp_path / name).write_bytes(b"no weights at all")
    with pytest.raises(WeightsError, match=name):
        set_weights(small, backbone_params(weights=str(tmp_path / name)))


def test_a_model_that_carries_code_is_refused(small: keras.Model, backbone_params: Any, tmp_path: Path) -> None:
    image = keras.Input((2,))
    keras.Model(image, keras.layers.Lambda(lambda x: x)(image)).save(tmp_path / "code.keras")
    with pytest.raises(WeightsError, match=r"code\.keras: not a Keras model that loads in safe mode"):
        set_weights(small, backbone_params(weights=str(tmp_path / "code.keras")))


def test_a_file_in_the_keras_cache_is_used_without_a_download(
    small: keras.Model, other: keras.Model, backbone_params: Any, keras_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (keras_home / "models").mkdir(parents=True)
    write_layered(keras_home / "models" / keras_file("MobileNetV2").name, other)
    monkeypatch.setattr(imagenet, "out_of_reach", pytest.fail)
    monkeypatch.setattr(imagenet, "run_while_progressing", pytest.fail)
    origin = set_weights(small, backbone_params(weights="imagenet"))
    assert origin.source == "Keras"
    assert origin.tensor_digest == model_digest(other)


@pytest.mark.usefixtures("answering")
def test_a_damaged_file_in_the_keras_cache_is_not_used(
    backbone_params: Any, other: keras.Model, keras_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (keras_home / "models").mkdir(parents=True)
    write_layered(keras_home / "models" / "xception_weights_tf_dim_ordering_tf_kernels_notop.h5", other)

    def no_network(*args: Any, **options: Any) -> None:
        raise WeightsError("no network")

    monkeypatch.setattr(imagenet, "run_while_progressing", no_network)
    with pytest.raises(WeightsError, match="is incomplete or damaged: its MD5 is not b0042744bf5b25fce3cb969f33bebb97"):
        set_weights(other, backbone_params(architecture="Xception", weights="imagenet"))


@pytest.mark.usefixtures("answering")
def test_a_download_from_keras_host_is_used_and_kept_in_its_cache(
    small: keras.Model, other: keras.Model, backbone_params: Any, keras_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(command: Any, watched: Path, **options: Any) -> None:
        assert options["stalled_seconds"] == 30
        watched.mkdir()
        write_layered(Path(command[-1]), other)

    monkeypatch.setattr(imagenet, "run_while_progressing", download)
    origin = set_weights(small, backbone_params(weights="imagenet"))
    assert origin.source == "Keras"
    assert [path.name for path in (keras_home / "models").iterdir()] == [keras_file("MobileNetV2").name]


@pytest.mark.usefixtures("offline")
def test_no_download_is_begun_from_a_host_out_of_reach(
    small: keras.Model, backbone_params: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imagenet, "run_while_progressing", pytest.fail)
    with pytest.raises(WeightsError, match=r"Keras' host: failed .*: its host cannot be reached: .*refused"):
        set_weights(small, backbone_params(weights="imagenet"))


@pytest.mark.parametrize(("architecture", "patience"), [("InceptionV3", imagenet.ANSWER_SECONDS), ("MobileNetV2", 30)])
def test_a_silent_host_is_waited_for_where_no_other_source_follows(
    architecture: str, patience: float, backbone_params: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    def silent(_address: str, seconds: float) -> str:
        asked.append(seconds)
        return "no answer"

    monkeypatch.setattr(imagenet, "out_of_reach", silent)
    wanted = backbone_params(weights="imagenet", architecture=architecture, download_seconds=30)
    with pytest.raises(WeightsError, match="cannot be reached"):
        imagenet._from_keras(None, wanted)
    assert asked == [patience]


def test_a_host_that_was_out_of_reach_is_asked_again(
    small: keras.Model, other: keras.Model, backbone_params: Any, monkeypatch: pytest.MonkeyPatch, weights_server: Path
) -> None:
    monkeypatch.setattr(imagenet, "SERVER", "http://127.0.0.1:1/")
    with pytest.raises(WeightsError, match="its host cannot be reached"):
        set_weights(small, backbone_params(weights="imagenet"))
    monkeypatch.setattr(imagenet, "SERVER", sources.SERVER)
    write_layered(weights_server / "mobilenet_v2" / keras_file("MobileNetV2").name, other)
    assert set_weights(small, backbone_params(weights="imagenet")).tensor_digest == model_digest(other)


@pytest.mark.usefixtures("weights_server")
def test_a_host_that_has_no_such_file_is_named_as_such(small: keras.Model, backbone_params: Any) -> None:
    with pytest.raises(WeightsError, match=r"Keras' host: failed .*404"):
        set_weights(small, backbone_params(weights="imagenet"))


def test_a_wheel_that_was_tampered_with_is_not_used(
    backbone_params: Any, small: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(command: Any, watched: Path, **options: Any) -> None:
        if "pip" not in command:
            raise WeightsError("no network")
        folder = Path(command[command.index("--dest") + 1])
        folder.mkdir()
        with zipfile.ZipFile(folder / "plantdoc_predictor-0.2.1-py3-none-any.whl", "w") as wheel:
            wheel.writestr(imagenet.PACKAGE_FILE, b"something else")

    monkeypatch.setattr(imagenet, "run_while_progressing", download)
    with pytest.raises(WeightsError, match=f"wheel sha256 is .*, expected {imagenet.WHEEL_SHA256}; not used"):
        set_weights(small, backbone_params(architecture="InceptionV3", weights="imagenet"))


def test_other_weights_in_the_right_wheel_are_not_used(
    backbone_params: Any, small: keras.Model, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def download(command: Any, watched: Path, **options: Any) -> None:
        if "pip" not in command:
            raise WeightsError("no network")
        folder = Path(command[command.index("--dest") + 1])
        folder.mkdir()
        write_layered(tmp_path / "model.h5", small, inside="model_weights")
        wheel_path = folder / "plantdoc_predictor-0.2.1-py3-none-any.whl"
        with zipfile.ZipFile(wheel_path, "w") as wheel:
            wheel.write(tmp_path / "model.h5", imagenet.PACKAGE_FILE)
        monkeypatch.setattr(imagenet, "WHEEL_SHA256", imagenet.file_digest(wheel_path, "sha256"))

    monkeypatch.setattr(imagenet, "run_while_progressing", download)
    with pytest.raises(WeightsError, match=f"tensor digest is .*, expected {imagenet.INCEPTION_V3_DIGEST}; not used"):
        set_weights(small, backbone_params(architecture="InceptionV3", weights="imagenet"))


def test_imagenet_weights_that_differ_from_the_known_ones_are_used_and_reported(
    backbone_params: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    backbone = build_backbone("InceptionV3", SHAPE)
    monkeypatch.setattr(imagenet, "_set_imagenet_weights", lambda backbone, params: {"source": "Keras"})
    origin = set_weights(backbone, backbone_params(architecture="InceptionV3", weights="imagenet"))
    assert origin.equals_known_imagenet is False
    assert "their digest differs from the one known" in caplog.text


@pytest.mark.slow
@pytest.mark.usefixtures("offline")
def test_without_any_network_the_error_names_every_attempt_and_the_way_out(
    small: keras.Model, backbone_params: Any, caplog: pytest.LogCaptureFixture
) -> None:
    before = model_digest(small)
    with caplog.at_level(logging.INFO, "datspect"), pytest.raises(WeightsError) as failure:
        set_weights(small, backbone_params(architecture="InceptionV3", weights="imagenet"))
    message = str(failure.value)
    for part in (
        "Keras' cache: failed",
        "Keras' host: failed",
        "package index (plantdoc-predictor 0.2.1): fail",
    ):
        assert part in message
        assert part in caplog.text
    assert "cannot be reached: [Errno 111] Connection refused" in message
    assert "set backbone.weights to its path" in message
    assert model_digest(small) == before  # never random weights in silence


@pytest.mark.slow
def test_servers_that_never_answer_cost_the_bounded_time(
    small: keras.Model, backbone_params: Any, monkeypatch: pytest.MonkeyPatch, silent_server: str
) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://{silent_server}")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://{silent_server}/simple")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    started = time.monotonic()
    with pytest.raises(WeightsError) as failure:
        set_weights(small, backbone_params(architecture="InceptionV3", weights="imagenet", download_seconds=2.0))
    assert "its host cannot be reached" in str(failure.value)
    assert str(failure.value).count("no progress for 2 s") == 1  # pip
    assert time.monotonic() - started < 60  # mostly an interpreter that starts


@pytest.mark.slow
def test_the_package_index_recipe_gives_the_known_tensors(pretrained: tuple[keras.Model, WeightsOrigin]) -> None:
    _, origin = pretrained
    assert origin.source.startswith(("Keras", "package index"))
    if origin.source.startswith("package index"):
        assert origin.wheel_sha256 == imagenet.WHEEL_SHA256
