"""A marker on the patient's left is seen on the right of every picture in radiological convention, else on the left."""

import io
from collections.abc import Callable

import matplotlib.image
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from tests.figures.test_explanation import MEASURES

from datspect.figures.contact_sheet import contact_sheet
from datspect.figures.convention import as_displayed, ends, mark_ends
from datspect.figures.explanation import Explanation, draw_binding, draw_explanation
from datspect.figures.slab_explanation import SlabExplanation, draw_slab_explanation
from datspect.params.figures import Convention

BOTH = pytest.mark.parametrize("convention", ["radiological", "neurological"])
IMAGE = np.zeros((109, 91, 3))
IMAGE[40:70, 10:30] = 1.0  # columns from the patient's left
SLABS = np.zeros((28, 24, 4))
SLABS[4:9, 8:16] = 5.0  # x from the patient's left
TEXTS = {"title": "scan.nii", "cohort": "PHANTOM", "answer": "pd", "measures": MEASURES, "against_controls": None}
SUMS = {"striatal_share": 0.5, "missed": 0.0, "is_complete": True}


def place_of_marker(figure: Figure, axes: Axes) -> float:
    """The middle of what is bright in a picture as it is drawn, from 0, its left edge, to 1."""
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=100)
    png.seek(0)
    pixels = matplotlib.image.imread(png)[:, :, :3].mean(axis=2)
    box = axes.images[0].get_window_extent().transformed(figure.transFigure.inverted())
    left, right = sorted((box.x0, box.x1))  # x may rise to the left
    height, width = pixels.shape
    part = pixels[int((1 - box.y1) * height) : int((1 - box.y0) * height), int(left * width) : int(right * width)]
    # The marks are in the lowest tenth.
    where = np.nonzero(part[: int(0.85 * len(part))] > 0.8)[1]
    return float(where.mean() / part.shape[1])


def sheet(convention: Convention) -> Figure:
    return contact_sheet(IMAGE[None, :, :, 0], ["S01"], "PHANTOM", convention)


def page(convention: Convention) -> Figure:
    return draw_explanation(Explanation(
        **TEXTS, **SUMS, slices=(40, 41, 42), image=IMAGE, template=IMAGE, attribution=np.zeros_like(IMAGE),
        striatum=IMAGE > 0, convention=convention, z_offset_voxels=4.0, noise="",
    ))  # fmt: skip


def slab_page(convention: Convention) -> Figure:
    return draw_slab_explanation(SlabExplanation(
        **TEXTS, **SUMS, edges_mm=((-56, 56), (-48, 48), (-22, -10, 2, 14, 26)), scan=SLABS, control=SLABS,
        template=SLABS, template_mm=((-56, 56), (-48, 48)), striatum=SLABS > 0, attribution=np.zeros_like(SLABS),
        log_odds=(0.0, 1.0, 1.0), n_controls=3, convention=convention, offset_mm=0.0, noise="",
    ))  # fmt: skip


def marks(axes: Axes) -> list[str]:
    return [text.get_text() for text in sorted(axes.texts, key=lambda text: text.get_window_extent().x0)
            if text.get_text() in {"L", "R"}]  # fmt: skip


@BOTH
@pytest.mark.parametrize("draw", [sheet, page, slab_page])
def test_the_patients_left_is_where_the_convention_says(
    draw: Callable[[Convention], Figure], convention: Convention
) -> None:
    figure = draw(convention)
    heads = [axes for axes in figure.axes if axes.images and marks(axes)]
    assert len(heads) == {sheet: 1, page: 6, slab_page: 12}[draw]
    figure.draw_without_rendering()
    place = place_of_marker(figure, heads[0])
    assert (place > 0.6) if convention == "radiological" else (place < 0.4)
    assert all(marks(axes) == list(ends(convention)) for axes in heads)


@BOTH
def test_template_and_map_are_turned_with_the_scan(convention: Convention) -> None:
    scan, below = page(convention).axes[:2]
    template, parts = below.images
    np.testing.assert_array_equal(template.get_array(), scan.images[0].get_array())
    assert parts.get_array().shape == (109, 91)


@BOTH
def test_bars_stand_in_the_order_of_the_pictures(convention: Convention) -> None:
    axes = Figure().add_subplot()
    draw_binding(axes, MEASURES, convention)
    first = min(axes.patches, key=lambda bar: bar.get_x())
    side = "right" if convention == "radiological" else "left"
    assert first.get_height() == MEASURES[f"sbr_caudate_{side}"]


def test_turning_twice_changes_nothing_and_neurological_is_as_stored(rng: np.random.Generator) -> None:
    images = rng.random((2, 5, 4, 3))
    twice = as_displayed(as_displayed(images, "radiological", columns=2), "radiological", columns=2)
    np.testing.assert_array_equal(twice, images)
    assert as_displayed(images, "neurological") is images
    np.testing.assert_array_equal(as_displayed(images, "radiological", columns=2), images[:, :, ::-1])


def test_marks_stand_in_the_lower_corners() -> None:
    axes = Figure().add_subplot()
    mark_ends(axes, ("R", "L"))
    assert [(text.get_text(), text.get_position()[0]) for text in axes.texts] == [("R", 0.03), ("L", 0.97)]
