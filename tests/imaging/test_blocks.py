"""Means of blocks are those of NumPy, whatever the order of the axes in memory."""

import numpy as np
import pytest

from datspect.imaging.blocks import block_means


@pytest.mark.parametrize("size", [(4, 4, 4), (4, 4, 1), (2, 3, 5), (1, 1, 1)])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_whole_blocks_are_averaged_and_edges_left_out_evenly(
    rng: np.random.Generator, size: tuple[int, int, int], order: tuple[int, int, int]
) -> None:
    data = rng.normal(size=(11, 13, 16)).astype(np.float32)
    expected = np.empty([n // per_block for n, per_block in zip(data.shape, size, strict=True)])
    before = [n % per_block // 2 for n, per_block in zip(data.shape, size, strict=True)]
    for at in np.ndindex(*expected.shape):
        block = tuple(
            slice(start + k * per_block, start + (k + 1) * per_block)
            for k, per_block, start in zip(at, size, before, strict=True)
        )
        expected[at] = data[block].mean(dtype=np.float64)
    stored = np.ascontiguousarray(data.transpose(order)).transpose(np.argsort(order))
    np.testing.assert_allclose(block_means(stored, size), expected, rtol=1e-12)


def test_integers_are_added_without_an_overflow() -> None:
    full = np.full((4, 4, 4), np.iinfo(np.int16).max, np.int16)
    assert block_means(full, (4, 4, 4)).item() == np.iinfo(np.int16).max
    assert block_means(full[::-1], (1, 1, 1)).tolist() == full.tolist()


def test_what_is_averaged_stays_as_it_is() -> None:
    data = np.ones((4, 4, 4))
    block_means(data, (4, 1, 1))
    assert (data == 1).all()
