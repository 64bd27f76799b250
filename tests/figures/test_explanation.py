"""The page on an answer shows what it is given, says PHANTOM, and keeps its texts apart."""

import numpy as np
import pytest

from datspect.figures.explanation import Explanation, draw_explanation

MEASURES = {f"sbr_{region}_{side}": value for region, side, value in (
    ("caudate", "left", 1.94), ("caudate", "right", 2.14), ("putamen", "left", 0.63), ("putamen", "right", 0.93)
)}  # fmt: skip


@pytest.fixture
def shown(rng: np.random.Generator) -> Explanation:
    striatum = np.zeros((109, 91, 3), bool)
    striatum[40:60, 30:40] = True
    return Explanation(
        title="scan.nii",
        cohort="model of a PHANTOM cohort, simulated",
        slices=(40, 41, 42),
        image=rng.random((109, 91, 3)),
        template=rng.random((109, 91, 3)),
        attribution=rng.normal(size=(109, 91, 3)),
        striatum=striatum,
        answer="pd, P(PD) 0.989, conclusive, 100% of heads agree",
        measures=MEASURES,
        striatal_share=0.51,
        completeness_error=0.0087,
        is_complete=True,
        z_offset_voxels=3.5,
    )


def test_it_shows_the_slices_the_map_and_the_ratios(shown: Explanation) -> None:
    figure = draw_explanation(shown)
    slices = figure.axes[:6:2]
    for channel, axes in enumerate(slices):
        np.testing.assert_array_equal(axes.images[0].get_array(), shown.image[:, :, channel])
        assert axes.get_title() == f"slice {40 + channel}"
    for channel, axes in enumerate(figure.axes[1:6:2]):
        np.testing.assert_array_equal(axes.images[1].get_array(), shown.attribution[:, :, channel])
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert {"1.94", "2.14", "0.63", "0.93"} <= set(texts)
    assert "within the striatum: 51%" in texts[-1]
    assert "PHANTOM" in figure.get_suptitle()
    assert "no diagnosis" in figure.get_suptitle()


def test_colours_are_the_same_on_both_sides_of_zero(shown: Explanation) -> None:
    low, high = draw_explanation(shown).axes[1].images[1].get_clim()
    assert low == -high < 0


def test_an_incomplete_map_is_said_not_to_be_read(shown: Explanation) -> None:
    incomplete = Explanation(**{**vars(shown), "is_complete": False, "completeness_error": 0.3})
    texts = [text.get_text() for axes in draw_explanation(incomplete).axes for text in axes.texts]
    assert "NOT COMPLETE" in texts[-1]
    assert "30.00%" in texts[-1]


def test_no_attribution_at_all_can_be_drawn(shown: Explanation) -> None:
    empty = {**vars(shown), "attribution": np.zeros((109, 91, 3)), "striatum": np.zeros((109, 91, 3), bool)}
    draw_explanation(Explanation(**empty)).draw_without_rendering()
