import numpy as np
import pytest

from datspect.phantom.hopeless import DOUBTFUL, HOPELESS, OUTSIDE_MM, hopeless_scan, without_striata
from datspect.phantom.native import STRIATA_MNI_MM, draw_native_camera, moved


@pytest.mark.parametrize("kind", [*HOPELESS, *DOUBTFUL])
def test_every_kind_is_a_volume_with_a_place(laboratory, kind):
    volume = hopeless_scan(kind, laboratory, 1)
    assert volume.data.ndim == 3
    assert np.isfinite(volume.data).all()
    assert np.linalg.det(volume.affine[:3, :3]) != 0
    assert volume.data.dtype in (np.uint16, np.int16, np.float32)
    assert (volume.data.max() > volume.data.min()) == (kind not in ("empty", "constant"))


def test_a_kind_repeats_and_goes_on(laboratory):
    one, same, other = (hopeless_scan("cylinder", laboratory, index) for index in (1, 1, 2))
    np.testing.assert_array_equal(one.data, same.data)
    assert one.data.tobytes() != other.data.tobytes()


@pytest.mark.parametrize("above", [True, False])
def test_a_field_without_striata_keeps_its_distance_from_them(laboratory, above):
    rng = np.random.default_rng(4)
    for _ in range(50):
        camera = without_striata(draw_native_camera(laboratory, rng), rng, above=above)
        heights_mm = moved(camera.head_to_camera, STRIATA_MNI_MM)[:, 2]
        gaps_mm = (heights_mm if above else -heights_mm) - camera.axial_mm / 2
        assert OUTSIDE_MM[0] - 0.01 < gaps_mm.min() < OUTSIDE_MM[1] + 0.01


def test_a_ct_holds_air_soft_tissue_and_bone(laboratory):
    ct = hopeless_scan("ct", laboratory, 0).data
    assert ct.min() < -900
    assert ct.max() > 500
    assert np.mean((ct > -20) & (ct < 90)) > 0.02


def test_nothing_stands_out_in_a_head_without_striata(laboratory):
    head = hopeless_scan("head_without_striata", laboratory, 2).data.astype(float)
    assert head.max() / np.median(head[head > head.max() / 5]) < 6
