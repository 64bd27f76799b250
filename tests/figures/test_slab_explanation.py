"""The page on an answer by slabs shows them where they lie in MNI mm, in either convention, and what they add up to."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.text import Text
from tests.figures.test_explanation import MEASURES

from datspect.figures.slab_explanation import LEAST_FULL, SlabExplanation, draw_slab_explanation


@pytest.fixture
def shown(rng: np.random.Generator) -> SlabExplanation:
    striatum = np.zeros((65, 57, 4), bool)
    striatum[20:30, 30:40, 1] = True
    return SlabExplanation(
        title="scan.nii",
        cohort="model of a PHANTOM cohort, simulated",
        answer="pd, P(PD) 0.989, conclusive",
        edges_mm=((-56, 56), (-48, 48), (-22, -10, 2, 14, 26)),
        scan=rng.random((28, 24, 4)),
        control=rng.random((28, 24, 4)),
        template=rng.random((65, 57, 4)),
        template_mm=((-65, 65), (-57, 57)),
        striatum=striatum,
        attribution=rng.normal(size=(28, 24, 4)),
        log_odds=(-5.68, 6.50, 6.74),
        n_controls=168,
        measures=MEASURES,
        against_controls=None,
        convention="radiological",
        striatal_share=0.8,
        missed=0.0029,
        is_complete=True,
        offset_mm=-1.2,
        noise="mean over 8 draws",
    )


def texts(shown: SlabExplanation) -> list[str]:
    return [text.get_text() for axes in draw_slab_explanation(shown).axes for text in axes.texts]


def test_each_slab_lies_where_it_is_in_mm_and_follows_the_convention(shown: SlabExplanation) -> None:
    figure = draw_slab_explanation(shown)
    rows = [figure.axes[start : start + 4] for start in (0, 4, 8)]
    assert [axes.get_title() for axes in rows[0]] == [
        "z -22 to -10 mm", "z -10 to +2 mm", "z +2 to +14 mm", "z +14 to +26 mm"
    ]  # fmt: skip
    for slab in range(4):
        for axes, values in zip((row[slab] for row in rows[:2]), (shown.scan, shown.control), strict=True):
            (picture,) = axes.images
            np.testing.assert_array_equal(picture.get_array(), values[:, :, slab].T)
            assert picture.get_extent() == [-56, 56, -48, 48]
            assert picture.origin == "lower"
        template, parts = rows[2][slab].images
        assert template.get_extent() == [-65, 65, -57, 57]
        assert parts.get_extent() == [-56, 56, -48, 48]
        np.testing.assert_array_equal(parts.get_array(), shown.attribution[:, :, slab].T)
        assert [row[slab].get_xlim() for row in rows] == [(56, -56)] * 3  # radiological: x rises to the left
        left, right = rows[0][slab].texts
        assert (left.get_text(), right.get_text()) == ("R", "L")
        assert left.get_position()[0] < right.get_position()[0]
    other = draw_slab_explanation(replace(shown, convention="neurological"))
    assert [axes.get_xlim() for axes in other.axes[:12]] == [(-56, 56)] * 12


def test_it_says_what_the_map_adds_up_to_and_that_it_is_a_phantom(shown: SlabExplanation) -> None:
    said = texts(shown)[-1]
    assert "mean control -5.68, this scan +6.74" in said
    assert (
        "over the draws +6.50; the map adds\n  up to the difference, +12.18:\n  complete (misses 0.00 log odds)" in said
    )
    assert "within the striatum, before the blur: 80%" in said
    assert "scan lies 1.2 mm below the cohort" in said
    assert {"1.94", "2.14", "0.63", "0.93"} <= set(texts(shown))
    title = draw_slab_explanation(shown).get_suptitle()
    assert "PHANTOM" in title
    assert "no diagnosis" in title


def test_an_incomplete_map_is_said_not_to_be_read(shown: SlabExplanation) -> None:
    assert "NOT COMPLETE" in texts(replace(shown, is_complete=False, missed=0.3))[-1]


def test_colours_mean_the_same_on_both_sides_and_small_parts_stay_pale(shown: SlabExplanation) -> None:
    low, high = draw_slab_explanation(shown).axes[8].images[1].get_clim()
    assert low == -high < 0
    pale = draw_slab_explanation(replace(shown, attribution=shown.attribution * 1e-4)).axes[8].images[1]
    assert pale.get_clim() == (-LEAST_FULL, LEAST_FULL)
    assert pale.get_alpha().max() < 0.01


def test_a_withheld_scan_is_shown_beside_controls_without_what_would_tell_the_answer(shown: SlabExplanation) -> None:
    figure = draw_slab_explanation(replace(shown, withheld=True))
    pictures = [picture for axes in figure.axes for picture in axes.images]
    seen = [values[:, :, slab].T for values in (shown.scan, shown.control) for slab in range(4)]
    assert len(pictures) == 8
    for picture, values in zip(pictures, seen, strict=True):
        np.testing.assert_array_equal(picture.get_array(), values)
    words = " ".join(text.get_text() for text in figure.findobj(Text))
    assert not [said for said in ("log odds", "-5.68", "6.50", "6.74", "80%", "towards", "to PD") if said in words]
    assert "no map" in words
    assert "scan lies 1.2 mm below the cohort" in words
