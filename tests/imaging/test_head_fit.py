"""A head is fitted to where it is, whatever its striata have left and whatever is cut off."""

from functools import cache

import numpy as np
import pytest
from nibabel.affines import apply_affine
from scipy.linalg import expm
from tests.normalisation.moved_heads import OFFSET_VOXELS, STRIATA_MM, distances_mm, imaged, pose

from datspect.arrays import FloatArray
from datspect.imaging import head_fit
from datspect.imaging.head_fit import HeadParts, fitted_affine
from datspect.imaging.head_image import HeadImage, field_of_view, head_images
from datspect.imaging.volume import Affine, Volume
from datspect.normalisation.placing import head_template
from datspect.phantom.template import mean_phantom

TEMPLATE = head_template(OFFSET_VOXELS)
TURNED = pose((12, -8, 15), (40, -25, 30), (0.97, 0.95, 0.96))
NEAR = pose((2, -1.5, 2), (3, -2, 4), 1.03)
CORNERS_MM = np.array(np.meshgrid((-50.0, 50.0), (-70.0, 40.0), (-20.0, 60.0))).reshape(3, -1).T


@cache
def parts() -> HeadParts:
    return TEMPLATE.parts


def seen(volume: Volume) -> HeadImage:
    return head_images(field_of_view(volume))[0]


def with_one_putamen() -> Volume:
    """A head that has lost nearly all binding but that of its left caudate."""
    head = mean_phantom(OFFSET_VOXELS)
    data = np.array(head.data)
    places = apply_affine(head.affine, np.moveaxis(np.indices(data.shape), 0, -1))
    near = np.linalg.norm(places[..., None, :] - STRIATA_MM[1:], axis=-1).min(axis=-1) < 22
    data[near] = np.minimum(data[near], 1.2)
    return Volume(data, head.affine)


def test_the_parts_are_the_template_and_nuclei_lie_where_they_are() -> None:
    image = TEMPLATE.images[0]
    places = np.rint((parts().points_mm - image.corner_mm) / image.step_mm).astype(int)
    np.testing.assert_allclose(parts().parts.sum(axis=1), image.values[tuple(places.T)], atol=1e-5)
    head, nuclei = parts().parts[:, 0], parts().parts[:, 1:]
    far = np.linalg.norm(parts().points_mm[:, None] - STRIATA_MM, axis=-1).min(axis=1) > 45
    assert not nuclei[far].any()
    assert head.max() < 2 < parts().parts.sum(axis=1).max()


@pytest.mark.parametrize("head", [None, with_one_putamen()], ids=["as the template", "sick on one side"])
def test_a_head_is_found_whatever_its_striata_have_left(head: Volume | None) -> None:
    scan = seen(imaged(TURNED, head=head))
    found = fitted_affine(scan, parts(), TURNED @ NEAR)
    assert distances_mm(TURNED @ NEAR, TURNED).min() > 3
    assert distances_mm(found, TURNED).max() < 0.6
    assert distances_mm(found, TURNED, CORNERS_MM).max() < 1.5


def test_a_cut_head_keeps_a_size_that_people_have() -> None:
    cut = imaged(TURNED, shape=(64, 64, 24), sizes_mm=(4, 4, 3.5))
    found = fitted_affine(seen(cut), parts(), TURNED @ pose(size=(1.0, 1.0, 1.12)))
    assert distances_mm(found, TURNED).max() < 1.5
    assert np.linalg.norm(found[:3, 2]) == pytest.approx(0.96, abs=0.03)


def test_flips_stay_and_what_shows_no_head_keeps_its_start() -> None:
    mirrored = pose((6, -4, 8), (20, -10, 15), 0.95, "z")
    found = fitted_affine(seen(imaged(mirrored)), parts(), mirrored @ NEAR)
    assert distances_mm(found, mirrored).max() < 0.6
    away = pose(shift_mm=(5000, 0, 0))
    np.testing.assert_array_equal(fitted_affine(seen(imaged(mirrored)), parts(), away), away)


def test_every_move_is_one_of_a_millimetre_about_the_middle() -> None:
    moves = head_fit._generators()
    middle = head_fit.CENTRE_MM
    ring = middle + 60 * np.concatenate([np.eye(3), -np.eye(3)])
    for move in moves[3:]:
        np.testing.assert_allclose(apply_affine(expm(move), middle[None]), middle[None], atol=1e-9)
        moved = np.linalg.norm(apply_affine(np.eye(4) + move, ring) - ring, axis=1)
        assert moved.max() == pytest.approx(1.0)
    assert np.linalg.matrix_rank(moves[:, :3].reshape(12, 12)) == 12


def test_how_unusual_a_head_is_counts_standard_deviations_and_changes_as_it_says() -> None:
    def unusual(size: FloatArray | list[float]) -> FloatArray:
        return head_fit._unusual(pose((10, 20, -30), (5, 6, 7), size))

    np.testing.assert_allclose(unusual([0.95] * 3), 0, atol=1e-12)
    np.testing.assert_allclose(unusual([0.95 * np.exp(0.08)] * 3), [0, 0, 0, 1, 0, 0, 0], atol=1e-12)
    sides = 0.95 * np.exp(np.array([0.03, -0.03, 0.0]))
    np.testing.assert_allclose(unusual(sides), [1, -1, 0, 0, 0, 0, 0], atol=1e-12)
    near: Affine = np.eye(4)
    for step, change in zip(np.eye(12), head_fit._change_of_unusual().T, strict=True):
        moved = near @ expm(1e-3 * np.einsum("p,pij->ij", step, head_fit._generators()))
        found = (head_fit._unusual(moved) - head_fit._unusual(near)) / 1e-3
        np.testing.assert_allclose(found, change, atol=2e-3)
