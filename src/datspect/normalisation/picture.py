"""Show how a scan lies on the MNI grid, against the outlines of the template's head and striata."""

import numpy as np
from matplotlib.figure import Figure
from nibabel.affines import apply_affine

from datspect.figures.convention import DEFAULT_CONVENTION, as_displayed, ends, sides_note
from datspect.figures.head_views import HeadView, draw_head_views
from datspect.imaging.orientation import mni_ras_affine
from datspect.imaging.volume import Volume
from datspect.normalisation.placing import NotPlacedError, head_template
from datspect.normalisation.verdict import RegistrationQuality
from datspect.params.figures import Convention

_PLANES_MM = {"axial": (2, 4.0), "coronal": (1, 2.0), "sagittal": (0, 24.0)}
"""Axis across each plane, and where along it, MNI mm: through putamen and caudate."""
_STRIATUM = 1.9
"""The mean phantom's striata have this many times the uptake of its occipital region, and more."""


def refusal_figure(refused: NotPlacedError, title: str, convention: Convention = DEFAULT_CONVENTION) -> Figure:
    """Draw a scan that was registered and refused, and why."""
    return registration_figure(
        refused.volume, refused.quality, refused.z_offset_voxels, f"{title}: refused", convention
    )


def registration_figure(
    volume: Volume,
    quality: RegistrationQuality,
    z_offset_voxels: float,
    title: str,
    convention: Convention = DEFAULT_CONVENTION,
) -> Figure:
    """Draw a volume on the MNI grid, RAS+, that registration has put `z_offset_voxels` above MNI."""
    views = _views(volume, z_offset_voxels, convention)
    legend = f"{title} (blue: the template's head, orange: its striata)"
    return draw_head_views(views, legend, [*quality.reasons, _values(quality), sides_note(convention)])


def refusal_views(refused: NotPlacedError, convention: Convention = DEFAULT_CONVENTION) -> list[HeadView]:
    """Return the planes of a scan that was registered and refused."""
    return _views(refused.volume, refused.z_offset_voxels, convention)


def _views(volume: Volume, z_offset_voxels: float, convention: Convention) -> list[HeadView]:
    template = head_template(z_offset_voxels)
    striatum = np.asarray(template.volume.data) > _STRIATUM
    data = np.clip(np.asarray(volume.data, dtype=np.float32), 0, None)
    to_voxel = np.linalg.inv(mni_ras_affine())
    views = []
    for name, (axis, place_mm) in _PLANES_MM.items():
        point_mm = np.zeros(3)
        point_mm[axis] = place_mm + (template.z_offset_mm if axis == 2 else 0)
        number = round(float(apply_affine(to_voxel, point_mm)[axis]))
        image, head, inside = (np.take(each, number, axis=axis).T[::-1] for each in (data, template.head, striatum))
        title_of_plane, marks = f"{name}, {point_mm[axis]:.0f} mm", ("P", "A")
        if name != "sagittal":
            image, head, inside = (as_displayed(each, convention) for each in (image, head, inside))
            marks = ends(convention)
        views.append(HeadView(title_of_plane, image, head, inside, marks))
    return views


def _values(quality: RegistrationQuality) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:.2f}" for name, value in quality.measures.items())
