"""Pictures of a page: a slice each, turned and marked by the convention, with letters large enough for a phone."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from tests.figures.test_explanation import MEASURES
from tests.figures.test_slab_explanation import shown as slab_shown  # noqa: F401  (a fixture)

from datspect.evaluation.normal_range import AgainstControls, Compared
from datspect.figures.explanation import Explanation
from datspect.figures.head_views import HeadView
from datspect.figures.panels import binding_panel, head_strip, slab_strips, slice_strips
from datspect.figures.slab_explanation import SlabExplanation
from datspect.params.figures import Convention

PHONE_PIXELS = 350
"""So wide a phone shows a panel."""


@pytest.fixture
def shown(rng: np.random.Generator) -> Explanation:
    image = np.zeros((109, 91, 3))
    image[50, 10] = (0.2, 0.4, 1.0)  # the first columns are the patient's left
    return Explanation(
        title="scan.nii", cohort="model of a PHANTOM cohort", slices=(40, 41, 42), image=image,
        template=rng.random((109, 91, 3)), attribution=rng.normal(size=(109, 91, 3)),
        striatum=np.zeros((109, 91, 3), bool), answer="pd", measures=MEASURES, against_controls=None,
        convention="radiological", striatal_share=0.5, missed=0.0, is_complete=True, noise="mean", z_offset_voxels=4.0,
    )  # fmt: skip


def smallest_letters(figure: Figure) -> float:
    """Height of the smallest letters in pixels of a phone that shows the figure."""
    figure.canvas.draw()
    texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    assert texts
    return min(text.get_fontsize() for text in texts) / 72 * PHONE_PIXELS / figure.get_figwidth()


@pytest.mark.parametrize("convention", ["radiological", "neurological"])
def test_every_slice_is_a_picture_turned_and_marked_by_the_convention(
    shown: Explanation, convention: Convention
) -> None:
    scans, maps = slice_strips(replace(shown, convention=convention))
    assert [len(strip.panels) for strip in (scans, maps)] == [3, 3]
    first, second = ("R", "L") if convention == "radiological" else ("L", "R")
    for number, panel in enumerate(scans.panels):
        axes = panel.figure.axes[0]
        picture = np.asarray(axes.images[0].get_array())
        ((_, column),) = np.argwhere(picture > 0)
        assert picture.max() == shown.image[:, :, number].max()
        assert (column > 45) == (convention == "radiological"), "the patient's left is on the right"
        left, right = axes.texts
        assert (left.get_text(), right.get_text()) == (first, second)
        assert left.get_position()[0] < right.get_position()[0]
        words = "right, right: left" if convention == "radiological" else "left, right: right"
        assert f"slice {40 + number}; left in the picture: the patient's {words}" in panel.shows


def test_letters_are_large_enough_on_a_phone_in_every_picture(
    shown: Explanation,
    slab_shown: SlabExplanation,  # noqa: F811
) -> None:
    panels = [panel for strip in (*slice_strips(shown), *slab_strips(slab_shown)) for panel in strip.panels]
    assert len(panels) == 6 + 12
    assert min(smallest_letters(panel.figure) for panel in panels) > 12
    assert smallest_letters(binding_panel(MEASURES, "radiological").figure) > 12


def test_colours_of_a_map_mean_the_same_in_all_its_slices(shown: Explanation) -> None:
    _, maps = slice_strips(shown)
    limits = {panel.figure.axes[0].images[1].get_clim() for panel in maps.panels}
    ((low, high),) = limits
    assert low == -high < 0


def test_slabs_stand_beside_controls_and_the_difference(slab_shown: SlabExplanation) -> None:  # noqa: F811
    scan, control, maps = slab_strips(slab_shown)
    for slab in range(4):
        for strip, values in ((scan, slab_shown.scan), (control, slab_shown.control)):
            picture = strip.panels[slab].figure.axes[0].images[0]
            np.testing.assert_array_equal(picture.get_array(), values[:, :, slab].T)
            assert strip.panels[slab].figure.axes[0].get_xlim() == (56, -56)  # radiological
        np.testing.assert_array_equal(
            maps.panels[slab].figure.axes[0].images[1].get_array(), slab_shown.attribution[:, :, slab].T
        )
    assert "mean of 168 controls" in control.caption


def test_planes_of_a_refused_head_share_a_scale_and_say_what_lies_where() -> None:
    inside = np.zeros((10, 12), bool)
    inside[3:6, 3:6] = True
    views = [
        HeadView("axial, 4 mm", np.full((10, 12), 4.0), inside, inside, ("R", "L")),
        HeadView("sagittal, 24 mm", np.ones((10, 12)), inside, inside, ("P", "A")),
    ]
    strip = head_strip(views, "radiological")
    assert [panel.figure.axes[0].images[0].get_clim() for panel in strip.panels] == [(0, 4.0), (0, 4.0)]
    assert strip.panels[1].shows.endswith("left in the picture: of the head back, right: front")


@pytest.mark.parametrize("convention", ["radiological", "neurological"])
def test_ratios_are_dots_and_ranges_lines_in_the_order_of_the_pictures(convention: Convention) -> None:
    ranges = {name: Compared(-2.5, value + 0.1, value + 1) for name, value in MEASURES.items()}
    axes = binding_panel(MEASURES, convention, AgainstControls(ranges, "40 controls")).figure.axes[0]
    sides = ("right", "left") if convention == "radiological" else ("left", "right")
    names = [(part, side) for part in ("caudate", "putamen") for side in sides]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == [f"{part}, {side}" for part, side in names]
    assert axes.yaxis_inverted(), "the first is uppermost"
    lines, dots = axes.lines[::2], axes.lines[1::2]
    for place, (part, side) in enumerate(names):
        value = MEASURES[f"sbr_{part}_{side}"]
        assert (list(dots[place].get_xdata()), list(dots[place].get_ydata())) == ([value], [place])
        np.testing.assert_allclose(lines[place].get_xdata(), [value + 0.1, value + 1])
        assert list(lines[place].get_ydata()) == [place, place]
    assert axes.get_xlim()[0] <= 0


def test_a_negative_ratio_is_in_the_picture_too() -> None:
    axes = binding_panel(MEASURES | {"sbr_putamen_left": -0.3}, "radiological").figure.axes[0]
    assert axes.get_xlim()[0] < -0.3


def test_a_withheld_scan_has_pictures_of_what_is_seen_and_no_map(
    shown: Explanation,
    slab_shown: SlabExplanation,  # noqa: F811
) -> None:
    (scans,) = slice_strips(replace(shown, withheld=True))
    assert "the scan" in scans.caption
    scan, controls = slab_strips(replace(slab_shown, withheld=True))
    assert ("The scan" in scan.caption, "controls" in controls.caption) == (True, True)
