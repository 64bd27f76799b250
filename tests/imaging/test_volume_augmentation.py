from typing import Any

import numpy as np
import pytest

from datspect.imaging.regions import structure, structure_fractions
from datspect.imaging.slabs import SLABS_SHAPE, slabs
from datspect.imaging.striatal_box import BOX_SHAPE, box_affine
from datspect.imaging.volume_augmentation import (
    altered,
    altered_views,
    draw_alterations,
    striatal_share,
    with_binding_lowered,
)
from datspect.params.striatum import AlterParams

NOTHING: dict[str, Any] = {
    "draws": 3, "shift_mm": 0.0, "turn_degrees": 0.0, "scale": 0.0, "gain": 0.0, "blur_mm": 0.0, "noise": 0.0,
    "noise_fwhm_mm": 8.0, "swap_sides": False, "lowered_share": 0.0, "lowered_to": [0.2, 0.5], "seed": 5,
}  # fmt: skip


def params(**changes: Any) -> AlterParams:
    return AlterParams(**(NOTHING | changes))


@pytest.fixture
def boxes():
    """Three heads of uptake 1 whose putamina bind 1, 2 and 3."""
    putamina = sum(
        structure_fractions(structure("putamen", side), BOX_SHAPE, box_affine()) for side in ("left", "right")
    )
    return np.stack([1 + binding * putamina for binding in (1.0, 2.0, 3.0)]).astype(np.float16)


ALL_CONTROLS = np.ones(3, bool)


def test_ranges_of_zero_change_nothing(boxes):
    views = np.concatenate(list(altered_views(boxes, draw_alterations(params(), ALL_CONTROLS), params())))
    np.testing.assert_allclose(views, np.tile(slabs(boxes), (3, 1, 1, 1)), atol=1e-6)


def test_draws_fill_their_ranges_evenly():
    wide = params(
        draws=200, shift_mm=4.0, turn_degrees=3.0, scale=0.05, gain=0.1, blur_mm=8.0, noise=0.2, swap_sides=True
    )
    drawn = draw_alterations(wide, np.ones(50, bool))
    kinds = ((drawn.shift_mm, 4.0), (drawn.turn, np.deg2rad(3)), (drawn.scale - 1, 0.05), (drawn.gain - 1, 0.1))
    for values, limit in kinds:
        assert np.abs(values).max() <= limit
        assert values.mean() == pytest.approx(0, abs=0.03 * limit)
        assert values.std() == pytest.approx(limit / np.sqrt(3), rel=0.03)
    assert (drawn.fwhm_mm == 0).mean() == pytest.approx(0.5, abs=0.02)
    assert drawn.fwhm_mm.max() == pytest.approx(8, rel=0.01)
    assert drawn.noise.mean() == pytest.approx(0.1, rel=0.03)
    assert drawn.swapped.mean() == pytest.approx(0.5, abs=0.02)


def test_more_draws_and_more_subjects_leave_the_others_unchanged(boxes):
    changes: dict[str, Any] = {"shift_mm": 3.0, "noise": 0.1, "lowered_share": 0.5}
    few, many = params(draws=2, **changes), params(draws=4, **changes)
    some = np.stack(list(altered_views(boxes[:2], draw_alterations(few, ALL_CONTROLS[:2]), few)))
    more = np.stack(list(altered_views(boxes, draw_alterations(many, ALL_CONTROLS), many)))
    np.testing.assert_allclose(some, more[:2, :2], atol=1e-6)


def test_blocks_of_another_size_hold_the_same_views(boxes):
    wide = params(shift_mm=3.0, noise=0.1, blur_mm=6.0)
    drawn = draw_alterations(wide, ALL_CONTROLS)
    one, all_at_once = (np.concatenate(list(altered_views(boxes, drawn, wide, n))) for n in (1, 3))
    np.testing.assert_allclose(one, all_at_once, atol=1e-5)


def test_exchanged_sides_are_the_mirrored_view(boxes):
    boxes[:, :30] *= np.float16(1.5)
    wide = params(draws=8, swap_sides=True)
    drawn = draw_alterations(wide, ALL_CONTROLS)
    views = np.stack(list(altered_views(boxes, drawn, wide)))
    plain = slabs(boxes)
    assert drawn.swapped.any()
    for draw, row in np.argwhere(drawn.swapped):
        np.testing.assert_allclose(views[draw, row], plain[row, ::-1], atol=1e-5)
    for draw, row in np.argwhere(~drawn.swapped):
        np.testing.assert_allclose(views[draw, row], plain[row], atol=1e-5)


def test_noise_is_what_filtered_voxels_leave_in_the_means_and_grows_with_the_root_of_the_counts(rng):
    boxes = np.ones((400, *BOX_SHAPE), np.float16)
    boxes[200:] = 4
    drawn = draw_alterations(params(draws=1, noise=0.3), np.ones(400, bool))[0]
    drawn.noise[:] = 0.1
    views = altered(boxes, drawn, rng.standard_normal((400, *SLABS_SHAPE)), 8.0)
    quiet, bright = views[:200] - 1, views[200:] - 4
    assert bright.std() / quiet.std() == pytest.approx(2.0, rel=0.02)
    # Monte Carlo of the same: white voxels of 1 mm, filtered and averaged along one axis; the axes multiply.
    fine = rng.standard_normal((20000, 100))
    kernel = np.exp(-0.5 * (np.arange(-20, 21) / (8.0 / 2.3548)) ** 2)
    filtered = np.apply_along_axis(np.convolve, 1, fine, kernel / np.sqrt((kernel**2).sum()), "same")
    expected = 0.1 * filtered[:, 48:52].mean(axis=1).std() ** 2 * filtered[:, 44:56].mean(axis=1).std()
    assert quiet.std() == pytest.approx(expected, rel=0.05)


def test_lowered_controls_have_that_share_of_their_binding_and_nothing_else_changes(boxes):
    wide = params(draws=40, lowered_share=0.25)
    is_control = np.array([True, False, True])
    drawn = draw_alterations(wide, is_control)
    assert not drawn.lowered[:, 1].any()
    assert 5 < drawn.lowered[:, [0, 2]].sum() < 40
    assert drawn.lowered_to[drawn.lowered].min() >= 0.2
    assert drawn.lowered_to[drawn.lowered].max() <= 0.5
    half = with_binding_lowered(boxes.astype(np.float32), np.full(3, 0.5))
    np.testing.assert_allclose(half, 1 + (boxes.astype(np.float32) - 1) / 2, atol=1e-3)


def test_all_of_a_blurred_nucleus_counts_as_striatum_and_the_rim_of_the_box_does_not():
    share = striatal_share()
    for side in ("left", "right"):
        assert share[structure_fractions(structure("putamen", side), BOX_SHAPE, box_affine()) > 0.5].min() == 1
    for face in (share[:4], share[-4:], share[:, :4], share[:, -4:]):
        assert not face.any()
