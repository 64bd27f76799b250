"""Striata are seen where they are, and their absence is."""

import numpy as np
import pytest
from tests.normalisation.moved_heads import OFFSET_VOXELS

from datspect.errors import ScanError
from datspect.imaging.orientation import mni_ras_affine
from datspect.imaging.volume import MNI_SHAPE, Volume
from datspect.normalisation import verdict
from datspect.normalisation.striata import REACH_VOXELS, striata_of
from datspect.phantom.template import mean_phantom


def head(shift: tuple[int, int, int] = (0, 0, 0), scale: float = 1.0) -> Volume:
    noise = np.random.default_rng(4).normal(0, 0.05, MNI_SHAPE)
    data = np.roll(np.asarray(mean_phantom(OFFSET_VOXELS).data), shift, (0, 1, 2)) + noise
    return Volume((scale * np.maximum(data, 0)).astype(np.float32), mni_ras_affine())


def test_those_of_the_mean_phantom_lie_where_they_should_at_any_scale() -> None:
    found = striata_of(head(), OFFSET_VOXELS)
    assert found.offset_mm == 0
    assert found.likeness > 0.98
    assert found.contrast > 2
    scaled = striata_of(head(scale=1e3), OFFSET_VOXELS)
    assert scaled.contrast == pytest.approx(found.contrast, rel=1e-3)
    assert scaled.likeness == pytest.approx(found.likeness, abs=1e-4)


@pytest.mark.parametrize("shift", [(4, 0, 0), (0, -4, 0), (0, 0, REACH_VOXELS), (-2, 2, 4)])
def test_how_far_off_they_are_is_told_within_reach(shift: tuple[int, int, int]) -> None:
    found = striata_of(head(shift), OFFSET_VOXELS)
    assert found.offset_mm == pytest.approx(2 * np.linalg.norm(shift))
    assert found.likeness > 0.95


def test_the_height_of_the_cohort_is_where_they_are_looked_for() -> None:
    at_mni = Volume(np.asarray(mean_phantom(0.0).data), mni_ras_affine())
    assert striata_of(at_mni, 0.0).offset_mm == 0
    assert striata_of(at_mni, OFFSET_VOXELS).offset_mm == 2 * OFFSET_VOXELS


def test_a_head_without_striata_has_no_contrast() -> None:
    level = head()
    flat = Volume(np.minimum(level.data, 1.05), level.affine)
    assert striata_of(flat, OFFSET_VOXELS).contrast < verdict.LEAST_CONTRAST


def test_an_empty_volume_is_refused() -> None:
    with pytest.raises(ScanError, match="nothing in the volume stands out"):
        striata_of(Volume(np.zeros(MNI_SHAPE, np.float32), mni_ras_affine()), OFFSET_VOXELS)
