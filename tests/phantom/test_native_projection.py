import numpy as np
import pytest

from datspect.phantom.acquisition import Acquisition
from datspect.phantom.native_projection import N_ACROSS, N_BEYOND, _ways_out, acquire_field
from datspect.phantom.projector import N_ANGLES, ways_out


def acquisition(family="osem_recovery", n_iterations=4):
    return Acquisition("site01", family, n_iterations, True, 6.0, 2e6, 1.0)


@pytest.fixture(scope="module")
def cylinder():
    """A cylinder of activity 1, radius 80 mm, across the whole field and beyond."""
    place = np.arange(N_ACROSS) - (N_ACROSS - 1) / 2
    disc = (np.hypot(place[:, np.newaxis], place) < 20).astype(np.float32)
    return np.repeat(disc[:, :, np.newaxis], 24 + 2 * N_BEYOND, axis=2)


def test_ways_out_of_a_disc_are_those_of_geometry():
    place = np.arange(N_ACROSS) - (N_ACROSS - 1) / 2
    x, y = np.meshgrid(place, place, indexing="ij")
    disc = np.hypot(x, y) < 20
    ways = _ways_out(disc[:, :, np.newaxis]).reshape(N_ANGLES, N_ACROSS, N_ACROSS)
    for angle in (0, 17, 45, 95):
        radians = 2 * np.pi * angle / N_ANGLES
        across, along = x * np.cos(radians) + y * np.sin(radians), y * np.cos(radians) - x * np.sin(radians)
        expected = np.sqrt(np.maximum(400 - across**2, 0)) - along
        difference = (ways[angle] - expected)[np.hypot(x, y) < 18]  # rays along the rim see its steps
        assert np.abs(difference).max() < 1.6
        assert abs(difference.mean()) < 0.15


def test_ways_out_agree_with_the_walk_of_the_default_phantom(cylinder):
    head = cylinder[:, :, :2] > 0
    head[25:, 30:, 1] = False
    difference = (_ways_out(head).astype(int) - ways_out(head))[:, head.reshape(-1, 2)]
    assert np.mean(np.abs(difference) > 2) < 0.02
    assert abs(difference.mean()) < 0.3


@pytest.mark.parametrize(("family", "n_iterations"), [("osem_recovery", 4), ("osem_chang", 3)])
def test_a_cylinder_of_activity_1_is_seen_as_1(cylinder, family, n_iterations):
    field = cylinder[:, :, N_BEYOND:-N_BEYOND]
    image = acquire_field(cylinder, acquisition(family, n_iterations), float(field.sum()), rng=None)
    assert image.shape == field.shape
    assert image[27:37, 27:37, 6:-6].mean() == pytest.approx(1, abs=0.12)


def test_counts_belong_to_the_reference_activity(cylinder):
    """Twice the activity beyond the reference doubles the counts, so that the noise of a voxel stays."""
    field = float(cylinder[:, :, N_BEYOND:-N_BEYOND].sum())

    def noise(reference):
        image = acquire_field(cylinder, acquisition("osem_chang", 3), reference, np.random.default_rng(5))
        middle = image[24:40, 24:40, 4:-4]
        return float(middle.std() / middle.mean())

    assert noise(field) / noise(field / 4) == pytest.approx(2, rel=0.3)


def test_a_field_without_activity_gives_zeros(cylinder):
    nothing = acquire_field(np.zeros_like(cylinder), acquisition(), 1.0, np.random.default_rng(1))
    assert nothing.shape == (N_ACROSS, N_ACROSS, 24)
    assert not nothing.any()


def test_what_lies_outside_the_circle_is_not_seen(cylinder):
    beside = cylinder.copy()
    beside[:3, :3] = 100
    field = float(cylinder.sum())
    seen = [acquire_field(each, acquisition(), field, rng=None) for each in (cylinder, beside)]
    np.testing.assert_array_equal(*seen)
