import numpy as np
import pytest

from datspect.imaging.regions import structure, structure_fractions
from datspect.imaging.volume import MNI_SHAPE, mni_affine
from datspect.phantom.pattern import EVEN, Pattern, draw_pattern, spread

AFFINE = mni_affine()
MM = [(AFFINE[a, a] * np.arange(n) + AFFINE[a, 3]).astype(np.float32) for a, n in enumerate(MNI_SHAPE)]
OUTWARDS = [values.astype(np.float32) for values in np.ix_(*MM)]


@pytest.fixture(scope="module")
def putamen() -> np.ndarray:
    return structure_fractions(structure("putamen", "right"), MNI_SHAPE, AFFINE)


def spread_out(share: np.ndarray, pattern: Pattern, region: str = "putamen_anterior") -> np.ndarray:
    counts = np.full_like(share, 1 / share.sum(dtype=float))
    return spread(region, share, pattern, OUTWARDS, counts)


def test_an_even_pattern_changes_nothing(putamen):
    np.testing.assert_allclose(spread_out(putamen, EVEN), putamen, atol=1e-5)


def test_a_pattern_keeps_the_sum_and_takes_from_behind(putamen):
    pattern = Pattern(slope=0.3, focus=0.3, caudate_slope=0.1, thickness=1.0)
    image = spread_out(putamen, pattern)
    assert image.sum(dtype=float) == pytest.approx(putamen.sum(dtype=float), rel=1e-4)
    inside = putamen > 0.9
    behind, front = (inside & (OUTWARDS[1] < -8)), (inside & (OUTWARDS[1] > 6))
    assert image[behind].mean() < 0.75 * image[front].mean()
    assert image[inside].min() > 0


def test_the_caudate_falls_from_its_head_to_its_body():
    caudate = structure_fractions(structure("caudate", "right"), MNI_SHAPE, AFFINE)
    image = spread_out(caudate, Pattern(0.0, 0.0, caudate_slope=0.2, thickness=1.0), "caudate")
    inside = caudate > 0.9
    assert image[inside & (OUTWARDS[2] > 8)].mean() < 0.9 * image[inside & (OUTWARDS[2] < 2)].mean()


def test_one_law_grades_patterns_by_what_is_lost():
    def mean_of(loss: float) -> np.ndarray:
        rng = np.random.default_rng(4)
        return np.mean([list(vars(draw_pattern(loss, loss, 0.07, rng)).values()) for _ in range(400)], axis=0)

    slopes, foci, caudate_slopes, thicknesses = np.array([mean_of(loss) for loss in np.linspace(0, 0.8, 17)]).T
    assert (np.diff(slopes) > 0).all()
    assert (np.diff(caudate_slopes) > 0).all()
    assert (np.diff(thicknesses) < 0).all()
    # A focus stands out most while the rest still binds; nothing jumps where a group would begin.
    assert 5 < foci.argmax() < 14
    assert max(np.abs(np.diff(values)).max() for values in (slopes, foci, caudate_slopes, thicknesses)) < 0.06
