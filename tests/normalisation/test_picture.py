"""The picture of a refused scan has three sides, outlines, and the reason."""

from dataclasses import replace

import numpy as np
import pytest
from tests.normalisation.moved_heads import OFFSET_VOXELS
from tests.normalisation.test_verdict import GOOD

from datspect.figures.convention import ends
from datspect.imaging.orientation import mni_ras_affine
from datspect.imaging.volume import Volume
from datspect.normalisation.picture import refusal_figure
from datspect.normalisation.placing import NotPlacedError
from datspect.params.figures import Convention
from datspect.phantom.template import mean_phantom


def refused(volume: Volume) -> NotPlacedError:
    return NotPlacedError(replace(GOOD, likeness=0.5), volume, OFFSET_VOXELS)


def test_planes_go_through_the_striata_with_the_head_upright_and_reasons_below() -> None:
    head = Volume(np.asarray(mean_phantom(OFFSET_VOXELS).data), mni_ras_affine())
    figure = refusal_figure(refused(head), "S-AB$_x$")
    axial, coronal, sagittal = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["axial, 12 mm", "coronal, 2 mm", "sagittal, 24 mm"]
    for axes in figure.axes:
        image = np.asarray(axes.images[0].get_array())
        assert image.max() > 1.9, "the plane holds a striatum"
    rows = np.asarray(sagittal.images[0].get_array()).max(axis=1)
    assert rows[:3].max() < rows[len(rows) // 2], "air above the head, at the top of the picture"
    assert np.asarray(axial.images[0].get_array()).shape == (109, 91)
    assert np.asarray(coronal.images[0].get_array()).shape == (91, 91)
    assert "S-AB" in figure.get_suptitle()
    assert "does not look like a DaT scan of a head" in figure.get_supxlabel()
    assert "likeness 0.50" in figure.get_supxlabel()


@pytest.mark.parametrize("convention", ["radiological", "neurological"])
def test_a_marker_on_the_patients_left_is_where_the_convention_says(convention: Convention) -> None:
    data = np.zeros((91, 109, 91), np.float32)
    data[20:30, 50:80, 20:60] = 1.0  # x rises to the patient's right
    axial, coronal, sagittal = refusal_figure(refused(Volume(data, mni_ras_affine())), "S", convention).axes
    for axes in (axial, coronal):
        columns = np.nonzero(np.asarray(axes.images[0].get_array()))[1]
        assert columns.min() == (61 if convention == "radiological" else 20)
        assert [text.get_text() for text in axes.texts] == list(ends(convention))
    assert [text.get_text() for text in sagittal.texts] == ["P", "A"]


def test_an_empty_volume_can_be_drawn() -> None:
    refusal_figure(refused(Volume(np.zeros((91, 109, 91), np.int16), mni_ras_affine())), "S").canvas.draw()
