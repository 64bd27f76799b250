"""The picture of a refused scan has three sides, outlines, and the reason."""

from dataclasses import replace

import numpy as np
from tests.normalisation.moved_heads import OFFSET_VOXELS
from tests.normalisation.test_verdict import GOOD

from datspect.imaging.orientation import mni_ras_affine
from datspect.imaging.volume import Volume
from datspect.normalisation.picture import refusal_figure
from datspect.normalisation.placing import NotPlacedError
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


def test_an_empty_volume_can_be_drawn() -> None:
    refusal_figure(refused(Volume(np.zeros((91, 109, 91), np.int16), mni_ras_affine())), "S").canvas.draw()
