import numpy as np
import pytest

from datspect.errors import CohortError
from datspect.io.arrays import read_array, write_array


def test_an_array_comes_back_whole_or_memory_mapped(tmp_path, rng):
    array = rng.random((5, 4, 3)).astype(np.float32)
    write_array(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(read_array(tmp_path / "a.npy"), array)
    mapped = read_array(tmp_path / "a.npy", memory_mapped=True)
    assert isinstance(mapped, np.memmap)
    assert not mapped.flags.writeable
    np.testing.assert_array_equal(mapped, array)


def test_objects_are_neither_written_nor_read(tmp_path):
    with pytest.raises(ValueError, match="pickle"):
        write_array(tmp_path / "a.npy", np.array([{}]))
    np.save(tmp_path / "b.npy", np.array([{}]))
    with pytest.raises(CohortError, match=r"b\.npy: not a readable array"):
        read_array(tmp_path / "b.npy")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CohortError, match=r"a\.npy: not found"):
        read_array(tmp_path / "a.npy")
