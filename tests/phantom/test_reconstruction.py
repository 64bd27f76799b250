import numpy as np
import pytest

from datspect.phantom.acquisition import Camera
from datspect.phantom.background import Activity
from datspect.phantom.projector import N_ANGLES, build_projector, scattered
from datspect.phantom.reconstruction import build_subsets, filtered_backprojection, osem

SHAPE = (46, 55, 8)


@pytest.fixture(scope="module")
def cylinder() -> np.ndarray:
    """Return a cylinder of activity 2, radius 60 mm, shape SHAPE."""
    x, y = (4.0 * (np.arange(size) - (size - 1) / 2) for size in SHAPE[:2])
    return np.repeat(2 * (np.hypot(x[:, np.newaxis], y) < 60)[:, :, np.newaxis], SHAPE[2], axis=2).astype(np.float32)


def test_filtered_backprojection_keeps_the_level_of_a_uniform_object(cylinder):
    model = build_projector(SHAPE, blurred=False)
    image = filtered_backprojection(model.forward(cylinder), model)
    assert image[15:31, 20:35].mean() == pytest.approx(2, rel=0.02)
    assert np.abs(image[15:31, 20:35] - 2).max() < 0.2
    assert abs(image[1:4, 1:4].mean()) < 0.1


def test_subsets_share_out_all_angles_once():
    subsets = build_subsets(build_projector(SHAPE, blurred=False), n_subsets=8)
    assert sorted(angle for subset in subsets.angles for angle in subset) == list(range(N_ANGLES))
    # Those that follow each other see the head from far apart.
    assert [subset.start for subset in subsets.angles[:2]] == [0, 4]


def test_osem_recovers_an_object_without_noise_when_it_knows_the_camera(striatal_activity: Activity, camera: Camera):
    primary = camera.true.forward(striatal_activity)
    scatter = scattered(primary)
    image = osem(primary + scatter, scatter, camera.corrected, n_iterations=8)
    brain = striatal_activity > 0.8
    assert image[brain].mean() == pytest.approx(striatal_activity[brain].mean(), rel=0.03)
    error = (image - striatal_activity)[8:38, 12:42, 14:24]
    assert np.sqrt((error**2).mean()) < 0.35
    explained = camera.true.forward(image)
    assert np.abs(explained - primary).max() < 0.05 * primary.max()


def test_more_iterations_explain_the_counts_better(striatal_activity: Activity, camera: Camera):
    primary = camera.true.forward(striatal_activity)
    nothing = np.zeros_like(primary)

    def misfit(n_iterations: int) -> float:
        image = osem(primary, nothing, camera.corrected, n_iterations)
        return float(np.abs(camera.true.forward(image) - primary).mean())

    assert misfit(4) < 0.6 * misfit(1)


def test_an_image_of_osem_is_never_negative(striatal_activity: Activity, camera: Camera, rng):
    primary = camera.true.forward(striatal_activity)
    counts = rng.poisson(primary * (1e5 / primary.sum())).astype(np.float32)
    assert osem(counts, None, camera.uncorrected, 2).min() >= 0
