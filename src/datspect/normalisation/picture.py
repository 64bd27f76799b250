"""Show how a scan lies on the MNI grid, against the outlines of the template's head and striata."""

import numpy as np
from matplotlib.figure import Figure
from nibabel.affines import apply_affine

from datspect.figures.head_views import HeadView, draw_head_views
from datspect.imaging.orientation import mni_ras_affine
from datspect.imaging.volume import Volume
from datspect.normalisation.placing import NotPlacedError, head_template
from datspect.normalisation.verdict import RegistrationQuality

_PLANES_MM = {"axial": (2, 4.0), "coronal": (1, 2.0), "sagittal": (0, 24.0)}
"""Axis across each plane, and where along it, MNI mm: through putamen and caudate."""
_STRIATUM = 1.9
"""The mean phantom's striata have this many times the uptake of its occipital region, and more."""


def refusal_figure(refused: NotPlacedError, title: str) -> Figure:
    """Draw a scan that was registered and refused, and why."""
    return registration_figure(refused.volume, refused.quality, refused.z_offset_voxels, f"{title}: refused")


def registration_figure(volume: Volume, quality: RegistrationQuality, z_offset_voxels: float, title: str) -> Figure:
    """Draw a volume on the MNI grid, RAS+, that registration has put `z_offset_voxels` above MNI."""
    template = head_template(z_offset_voxels)
    striatum = np.asarray(template.volume.data) > _STRIATUM
    data = np.clip(np.asarray(volume.data, dtype=np.float32), 0, None)
    to_voxel = np.linalg.inv(mni_ras_affine())
    views = []
    for name, (axis, place_mm) in _PLANES_MM.items():
        point_mm = np.zeros(3)
        point_mm[axis] = place_mm + (template.z_offset_mm if axis == 2 else 0)
        number = round(float(apply_affine(to_voxel, point_mm)[axis]))
        cut = [np.take(each, number, axis=axis).T[::-1] for each in (data, template.head, striatum)]
        views.append(HeadView(f"{name}, {point_mm[axis]:.0f} mm", *cut))
    legend = f"{title} (blue: the template's head, orange: its striata)"
    return draw_head_views(views, legend, [*quality.reasons, _values(quality)])


def _values(quality: RegistrationQuality) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:.2f}" for name, value in quality.measures.items())
