"""A program without a backend of Keras says what to install; whatever else is missing is an error of ours."""

import pytest

from datspect.commands.backend import NoBackendError, naming_backend


def lacking(name: str) -> None:
    raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_a_missing_backend_is_named_with_what_to_install(backend: str) -> None:
    with pytest.raises(NoBackendError, match=rf'{backend} is not installed.*pip install "datspect\[cpu\]"'):
        naming_backend(lambda: lacking(backend))()


def test_another_missing_module_is_not_explained_away() -> None:
    with pytest.raises(ModuleNotFoundError, match="pandas"):
        naming_backend(lambda: lacking("pandas"))()
