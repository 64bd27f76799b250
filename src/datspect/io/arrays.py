"""Read and write NumPy arrays."""

from collections.abc import Iterable
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


def write_blocks(path: Path, shape: tuple[int, ...], dtype: str, blocks: Iterable[NDArray[Any]]) -> None:
    """Write a .npy file from its values in order, block by block: memory stays flat however long it gets.

    Appended to a plain file, since the pages that a memory map has touched count as memory of the process.

    Raises
    ------
    ValueError : the blocks do not add up to `shape`.
    """
    n_values = 0
    with replacing(path) as unfinished:
        with unfinished.open("wb") as file:
            header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for block in blocks:
                file.write(np.ascontiguousarray(block, dtype).tobytes())
                n_values += block.size
        if n_values != np.prod(shape):
            raise ValueError(f"an array of shape {shape} holds {np.prod(shape)} values, got {n_values}")


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write a .npy file of an array of any shape."""
    with replacing(path) as unfinished:
        np.save(unfinished, array, allow_pickle=False)
