"""Say what to install where a model needs a backend of Keras and there is none; the package itself asks for none."""

from collections.abc import Callable
from functools import wraps

from datspect.errors import DatspectError

_BACKENDS = ("tensorflow", "jax", "torch")


class NoBackendError(DatspectError):
    """A command needs a backend of Keras that is not installed."""


def naming_backend(program: Callable[[], None]) -> Callable[[], None]:
    """Make a program that lacks a backend of Keras end with a `NoBackendError`."""

    @wraps(program)
    def named() -> None:
        try:
            program()
        except ModuleNotFoundError as error:
            if error.name not in _BACKENDS:
                raise
            raise NoBackendError(
                f"{error.name} is not installed, and this needs a backend of Keras: install datspect with one, such as "
                'pip install "datspect[cpu]" (docs/install.md); predictors of the striatum are answered without'
            ) from error

    return named
