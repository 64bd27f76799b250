"""The bank of features as one .npy file, (draws + 1, subjects, features) in float16; draw 0 is the clean image."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datspect.errors import WeightsError
from datspect.io.arrays import read_array, write_blocks

LOWERED = "lowered.npy"
"""Beside a bank of slabs: which control counts as pd in which draw."""


def write_bank(path: Path, shape: tuple[int, int, int], blocks: Iterable[NDArray[np.float16]]) -> None:
    """Write the bank from its rows in order, block by block; raises as `write_blocks` does."""
    write_blocks(path, shape, "<f2", blocks)


def read_bank(path: Path, *, memory_mapped: bool = False) -> NDArray[np.float16]:
    """Read a bank.

    Raises
    ------
    CohortError : the file is missing or no array.
    WeightsError : it is not a bank of float16 features.
    """
    bank = read_array(path, memory_mapped=memory_mapped)
    if bank.ndim != 3 or bank.dtype != np.float16:
        raise WeightsError(f"{path}: expected a float16 array of 3 axes, got {bank.dtype} of shape {bank.shape}")
    return bank


def draw_digests(bank: NDArray[np.float16]) -> list[str]:
    """Return the SHA-256 of each draw of a bank, shape (draws + 1, N, F), to tell where two machines part."""
    return [hashlib.sha256(np.ascontiguousarray(draw, "<f2").tobytes()).hexdigest() for draw in bank]
