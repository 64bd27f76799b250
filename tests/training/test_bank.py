from pathlib import Path

import numpy as np
import pytest

from datspect.errors import CohortError, WeightsError
from datspect.training.bank import read_bank, write_bank


@pytest.fixture
def bank(rng: np.random.Generator) -> np.ndarray:
    return rng.random((3, 5, 7)).astype(np.float16)


@pytest.mark.parametrize("memory_mapped", [False, True])
def test_a_bank_written_in_blocks_is_read_whole(tmp_path: Path, bank: np.ndarray, memory_mapped: bool) -> None:
    rows = bank.reshape(-1, 7)
    write_bank(tmp_path / "new" / "bank.npy", bank.shape, iter([rows[:4], rows[4:11], rows[11:]]))
    np.testing.assert_array_equal(read_bank(tmp_path / "new" / "bank.npy", memory_mapped=memory_mapped), bank)


def test_it_is_a_plain_npy_file(tmp_path: Path, bank: np.ndarray) -> None:
    write_bank(tmp_path / "bank.npy", bank.shape, [bank])
    np.save(tmp_path / "plain.npy", bank)
    assert (tmp_path / "bank.npy").read_bytes() == (tmp_path / "plain.npy").read_bytes()


def test_an_interrupted_bank_leaves_the_one_before(tmp_path: Path, bank: np.ndarray) -> None:
    path = tmp_path / "bank.npy"
    write_bank(path, bank.shape, [bank])

    def interrupted():  # type: ignore[no-untyped-def]
        yield bank[:1]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_bank(path, bank.shape, interrupted())
    with pytest.raises(ValueError, match="holds 105 values, got 35"):
        write_bank(path, bank.shape, [bank[:1]])
    np.testing.assert_array_equal(read_bank(path), bank)
    assert [file.name for file in tmp_path.iterdir()] == ["bank.npy"]


def test_what_is_no_bank_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "other.npy", np.zeros((2, 3)))
    with pytest.raises(WeightsError, match=r"other\.npy: expected a float16 array of 3 axes, got float64 of shape"):
        read_bank(tmp_path / "other.npy")
    with pytest.raises(CohortError, match="not found"):
        read_bank(tmp_path / "none.npy")
