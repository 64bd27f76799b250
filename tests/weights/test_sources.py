"""Where weights lie in Keras' cache, told without loading Keras."""

from pathlib import Path
from typing import Any, get_args

import pytest

from datspect.params.network import Architecture
from datspect.weights.sources import keras_cache_folder, keras_file


def test_the_cache_is_where_the_environment_says_else_in_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_HOME", raising=False)
    assert keras_cache_folder() == tmp_path / ".keras/models"
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "elsewhere"))
    assert keras_cache_folder() == tmp_path / "elsewhere/models"


def test_every_architecture_has_a_file_of_its_own() -> None:
    files = [keras_file(name) for name in get_args(Architecture)]
    assert len({file.name for file in files}) == len(files)
    assert all(file.in_cache.name == file.name for file in files)


@pytest.mark.parametrize("architecture", get_args(Architecture))
def test_address_name_and_digest_are_those_of_keras(
    architecture: Architecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras
    from keras.src.utils import file_utils

    asked: dict[str, Any] = {}

    def get_file(name: str, origin: str, *, file_hash: str | None = None, **_: Any) -> None:
        asked.update(name=name, address=origin, md5=file_hash)
        raise InterruptedError

    monkeypatch.setattr(file_utils, "get_file", get_file)
    with pytest.raises(InterruptedError):
        getattr(keras.applications, architecture)(include_top=False, weights="imagenet", input_shape=(224, 224, 3))
    file = keras_file(architecture)
    assert asked == {"name": file.name, "address": file.address, "md5": file.md5}
