"""What a network sees of a scan is the same from the arrays of the graph as from the scan itself."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.prediction.made_up_predictor import random_ensemble

from datspect.errors import CohortError, WeightsError
from datspect.imaging.slabs import SLABS_SHAPE
from datspect.imaging.striatal_box import BOX_SHAPE
from datspect.io.arrays import write_array
from datspect.modeling.model_files import write_model
from datspect.modeling.whole_ensemble import build_ensemble
from datspect.prediction.networks import BATCH_SIZE, outputs_once, read_network, read_seen


def test_slabs_are_read_rounded_as_in_the_bank_and_images_as_they_are(rng: np.random.Generator, tmp_path: Path) -> None:
    boxes, images = rng.random((4, *BOX_SHAPE)).astype(np.float16), rng.random((4, 5, 6, 3)).astype(np.float32)
    write_array(tmp_path / "striatal_box.npy", boxes)
    write_array(tmp_path / "images.npy", images)
    seen = read_seen(tmp_path, "striatum", np.array([2, 0]))
    assert seen.shape == (2, *SLABS_SHAPE)
    assert seen.dtype == np.float32
    np.testing.assert_array_equal(seen, seen.astype(np.float16))
    np.testing.assert_allclose(seen[1].mean(), boxes[0].mean(), atol=0.01)
    np.testing.assert_array_equal(read_seen(tmp_path, "paper", np.array([2, 0])), images[[2, 0]])
    (tmp_path / "striatal_box.npy").unlink()
    with pytest.raises(CohortError, match="striatal_box"):
        read_seen(tmp_path, "striatum", np.array([0]))


def test_more_scans_than_a_batch_have_the_answers_that_each_has_alone(tmp_path: Path) -> None:
    write_model(tmp_path / "model.keras", build_ensemble(random_ensemble(2, 3, 2), 0.0))
    network = read_network(tmp_path, "striatum", stays=False)
    views = np.random.default_rng(1).random((BATCH_SIZE + 3, *SLABS_SHAPE)).astype(np.float32) * 4
    together = network.outputs(views)
    for row in (0, BATCH_SIZE, BATCH_SIZE + 2):
        alone = network.outputs(views[row : row + 1])
        for one, all_of_them in zip(alone, together, strict=True):
            assert one is not None
            assert all_of_them is not None
            np.testing.assert_allclose(one[0], all_of_them[row], rtol=1e-4, atol=1e-5)


def test_a_network_is_given_equal_scans_once_and_each_has_its_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(tmp_path / "model.keras", build_ensemble(random_ensemble(2, 3, 2), 0.0))
    network = read_network(tmp_path, "striatum", stays=False)
    one, other = np.random.default_rng(1).random((2, *SLABS_SHAPE)).astype(np.float32) * 4
    expected = network.outputs(np.stack([one, other]))
    shown: list[int] = []
    outputs = type(network).outputs

    def counted(self: Any, seen: np.ndarray) -> Any:
        shown.append(len(seen))
        return outputs(self, seen)

    monkeypatch.setattr(type(network), "outputs", counted)
    found = outputs_once(network, [one, other, one.copy(), other, other])
    assert shown == [2]
    for all_of_them, each in zip(found, expected, strict=True):
        assert all_of_them is not None
        assert each is not None
        np.testing.assert_array_equal(all_of_them, each[[0, 1, 0, 1, 1]])


def test_a_single_member_has_no_spread(tmp_path: Path) -> None:
    write_model(tmp_path / "model.keras", build_ensemble(random_ensemble(2, 3, 1), 0.0))
    network = read_network(tmp_path, "striatum", stays=True)
    assert network.outputs(np.ones((2, *network.input_shape), np.float32)).spread is None


def test_a_folder_without_a_network_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"model\.keras: no such file"):
        read_network(tmp_path, "striatum", stays=False)
