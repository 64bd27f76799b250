"""Read and write NumPy arrays."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datspect.errors import CohortError
from datspect.io.atomic import replacing


def read_array(path: Path, *, memory_mapped: bool = False) -> NDArray[Any]:
    """Read a .npy file of an array of any shape without unpickling; `memory_mapped` leaves it on disk, read-only.

    Raises
    ------
    CohortError : the file is missing or is not a plain array.
    """
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r" if memory_mapped else None, allow_pickle=False)
    except FileNotFoundError:
        raise CohortError(f"{path}: not found; run the stage that writes it (dvc repro)") from None
    except (ValueError, EOFError) as error:
        raise CohortError(f"{path}: not a readable array ({type(error).__name__})") from error
    return array


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write a .npy file of an array of any shape."""
    with replacing(path) as unfinished:
        np.save(unfinished, array, allow_pickle=False)
