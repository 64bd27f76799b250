"""The page on an answer shows what it is given, says PHANTOM, and keeps its texts apart."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.text import Text

from datspect.evaluation.normal_range import AgainstControls, Compared
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
        against_controls=None,
        convention="radiological",
        striatal_share=0.51,
        missed=0.0087,
        is_complete=True,
        z_offset_voxels=3.5,
        noise="",
    )


def test_it_shows_the_slices_the_map_and_the_ratios(shown: Explanation) -> None:
    figure = draw_explanation(shown)
    slices = figure.axes[:6:2]
    for channel, axes in enumerate(slices):
        np.testing.assert_array_equal(axes.images[0].get_array(), shown.image[:, ::-1, channel])
        assert axes.get_title() == f"slice {40 + channel}"
    for channel, axes in enumerate(figure.axes[1:6:2]):
        np.testing.assert_array_equal(axes.images[1].get_array(), shown.attribution[:, ::-1, channel])
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert {"1.94", "2.14", "0.63", "0.93"} <= set(texts)
    assert "within the striatum, before the blur: 51%" in texts[-1]
    assert "PHANTOM" in figure.get_suptitle()
    assert "no diagnosis" in figure.get_suptitle()


def test_ratios_stand_beside_the_range_of_controls_with_their_z(shown: Explanation) -> None:
    against = AgainstControls(
        {name: Compared(-2.5, 1.5, 3.5) for name in MEASURES}, "168 controls, for age 60 and male sex"
    )
    with_range = draw_explanation(Explanation(**{**vars(shown), "against_controls": against})).axes[7]
    assert with_range.texts[0].get_text() == "2.14\nz -2.5"  # the patient's right is on the left
    assert "against 168 controls, for age 60 and male sex" in with_range.get_xlabel().replace("\n", " ")
    lines = [line for bars in with_range.containers if hasattr(bars, "has_yerr") for line in bars[2][0].get_segments()]
    np.testing.assert_allclose([segment[:, 1] for segment in lines], [[1.5, 3.5]] * 4)
    assert not draw_explanation(shown).axes[7].get_xlabel()


def test_colours_are_the_same_on_both_sides_of_zero(shown: Explanation) -> None:
    low, high = draw_explanation(shown).axes[1].images[1].get_clim()
    assert low == -high < 0


def test_an_incomplete_map_is_said_not_to_be_read(shown: Explanation) -> None:
    incomplete = Explanation(**{**vars(shown), "is_complete": False, "missed": 0.3})
    texts = [text.get_text() for axes in draw_explanation(incomplete).axes for text in axes.texts]
    assert "NOT COMPLETE" in texts[-1]
    assert "misses 0.30 log odds" in texts[-1]


def test_no_attribution_at_all_can_be_drawn(shown: Explanation) -> None:
    empty = {**vars(shown), "attribution": np.zeros((109, 91, 3)), "striatum": np.zeros((109, 91, 3), bool)}
    draw_explanation(Explanation(**empty)).draw_without_rendering()


def test_a_withheld_scan_is_shown_without_what_would_tell_the_answer(shown: Explanation) -> None:
    figure = draw_explanation(replace(shown, withheld=True))
    pictures = [picture for axes in figure.axes for picture in axes.images]
    assert len(pictures) == 3
    for channel, picture in enumerate(pictures):
        np.testing.assert_array_equal(picture.get_array(), shown.image[:, ::-1, channel])
    words = " ".join(text.get_text() for text in figure.findobj(Text))
    assert not [said for said in ("log odds", "51%", "attribution") if said in words]
    assert "no map" in words
    assert "scan lies +3.5 voxels above MNI" in words
