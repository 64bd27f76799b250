"""Fitted folds and checkpoints of unfinished ones as files of arrays; nothing is pickled."""

import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from datspect.errors import WeightsError
from datspect.io.atomic import replacing
from datspect.modeling.heads import FittedHead, HeadWeights

if TYPE_CHECKING:
    from datspect.modeling.finetuning import Checkpoint

OWN_FEATURES = "features.npz"

_HEAD = ("kernel", "bias", "output_kernel", "output_bias")


def write_fold(path: Path, fitted: FittedHead, *, features: bool = True) -> None:
    """Write a fold as .npz: its head, the layers that training changed, its curves and, if wanted, its `features`."""
    arrays: dict[str, Any] = {f"head/{name}": getattr(fitted.weights, name) for name in _HEAD}
    arrays |= {f"history/{name}": curve for name, curve in fitted.history.items()}
    arrays |= {f"layers/{name}/{k}": array for name, of in fitted.layers.items() for k, array in enumerate(of)}
    if features and fitted.features is not None:
        arrays["features"] = fitted.features
    _write(path, arrays)


def read_fold(path: Path) -> FittedHead:
    """Read what `write_fold` wrote; the file's name is that of the fold.

    Raises
    ------
    WeightsError : missing, or not such a file.
    """
    arrays = _read(path)
    try:
        kernel, bias, output_kernel, output_bias = (arrays[f"head/{name}"] for name in _HEAD)
    except KeyError as error:
        raise WeightsError(f"{path}: no fitted fold, {error} is missing; remove it and run dvc repro") from None
    layers: dict[str, list[NDArray[Any]]] = {}
    for key, array in arrays.items():
        if key.startswith("layers/"):
            layers.setdefault(key.split("/")[1], []).append(array)
    history = {key.partition("/")[2]: array for key, array in arrays.items() if key.startswith("history/")}
    weights = HeadWeights(kernel, bias, output_kernel, float(output_bias))
    return FittedHead(path.stem, weights, history, arrays.get("features"), layers)


def write_own_features(folder: Path, fitted: Sequence[FittedHead]) -> None:
    """Write the features, shape (N, F), that each fold's own network makes of everybody, by the names of the folds."""
    arrays = {result.name: np.asarray(result.features, np.float32) for result in fitted}
    _write(folder / OWN_FEATURES, arrays)


def read_own_features(folder: Path) -> dict[str, NDArray[np.float32]]:
    """Read what `write_own_features` wrote, arrays of shape (N, F); empty where the network was frozen."""
    path = folder / OWN_FEATURES
    return _read(path) if path.is_file() else {}


@dataclass(eq=False)
class FileCheckpoints:
    """Keeps an unfinished fold in a file, at most once in so many minutes."""

    path: Path
    minutes: float
    _last: float = field(default_factory=time.monotonic)

    def read(self) -> "Checkpoint | None":
        """Return the last checkpoint; None if there is none."""
        from datspect.modeling.finetuning import Checkpoint  # here, since reading folds does without Keras

        if not self.path.is_file():
            return None
        arrays = _read(self.path)
        try:
            return Checkpoint([arrays[f"state/{k}"] for k in range(len(arrays) - 1)], arrays["curves"])
        except KeyError as error:
            raise WeightsError(f"{self.path}: no checkpoint, {error} is missing; remove it and run again") from None

    def offer(self, make: "Callable[[], Checkpoint]") -> None:
        """Write a checkpoint if it is time."""
        if time.monotonic() - self._last < 60 * self.minutes:
            return
        checkpoint = make()
        arrays = {f"state/{k}": array for k, array in enumerate(checkpoint.arrays)}
        _write(self.path, {**arrays, "curves": checkpoint.curves})
        self._last = time.monotonic()


def _write(path: Path, arrays: Mapping[str, Any]) -> None:
    with replacing(path) as unfinished, unfinished.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def _read(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise WeightsError(f"{path}: no such file") from None
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{path}: not a readable file of arrays ({type(error).__name__}); remove it") from error
