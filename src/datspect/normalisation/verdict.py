"""Judge a registration before anybody uses it: a scan that was placed badly looks like a sick one."""

from dataclasses import dataclass

import numpy as np
from nibabel.affines import apply_affine

from datspect.imaging.registration import Registration, Template, is_plausible, shear_of, sizes_of
from datspect.imaging.volume import Affine, Volume
from datspect.normalisation.striata import Striata

# Limits that ordinary phantoms of seed 991 keep. They were set by hand between those and hopeless ones, by what
# benchmarks/registration.py shows of each; no scan of a person was looked at.
LEAST_LIKENESS = 0.94
LEAST_IN_VIEW = 0.70
LEAST_NEEDED_IN_VIEW = 0.995
LEAST_CONTRAST = 1.5
LEAST_STRIATAL_LIKENESS = 0.66
MOST_STRIATAL_OFFSET_MM = 8.0
SURE = 0.25
"""A scan that keeps less of a margin is worth a look."""

MEASURES = (
    *("likeness", "in_view", "needed_in_view", "smallest_size", "largest_size", "shear"),
    *("striatal_contrast", "striatal_likeness", "striatal_offset_mm", "margin"),
)
"""Measures of a registration, in the order of tables."""


@dataclass(frozen=True)
class RegistrationQuality:
    """How well a scan was placed.

    likeness : correlation with the template's head
    in_view : share of the template's head that lies within the scan's field of view
    needed_in_view : the same for the striata and the occipital reference
    sizes : smallest and largest size of the head along any direction, over the template's
    shear : largest cosine between directions that are at right angles in the template
    is_plausible : whether people have heads of these sizes and this shear
    striata : what is seen of them
    """

    likeness: float
    in_view: float
    needed_in_view: float
    sizes: tuple[float, float]
    shear: float
    is_plausible: bool
    striata: Striata

    @property
    def margin(self) -> float:
        """How far the scan keeps from all limits: 1 as an ordinary one does, 0 at one of them, below 0 refused."""
        ordinary = (
            (self.likeness, LEAST_LIKENESS, 0.99),
            (self.in_view, LEAST_IN_VIEW, 1.0),
            (self.striata.contrast, LEAST_CONTRAST, 2.9),
            (self.striata.likeness, LEAST_STRIATAL_LIKENESS, 0.94),
            (-self.striata.offset_mm, -MOST_STRIATAL_OFFSET_MM, 0.0),
        )
        return min((value - limit) / (usual - limit) for value, limit, usual in ordinary)

    @property
    def measures(self) -> dict[str, float]:
        """What tables say of it; the keys are `MEASURES`."""
        return {
            "likeness": self.likeness,
            "in_view": self.in_view,
            "needed_in_view": self.needed_in_view,
            "smallest_size": self.sizes[0],
            "largest_size": self.sizes[1],
            "shear": self.shear,
            "striatal_contrast": self.striata.contrast,
            "striatal_likeness": self.striata.likeness,
            "striatal_offset_mm": self.striata.offset_mm,
            "margin": self.margin,
        }

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the registration is not to be trusted, in words; empty if it is."""
        kept = {
            "the field of view does not hold both striata and the occipital lobes": (
                self.needed_in_view >= LEAST_NEEDED_IN_VIEW
            ),
            "too little of the head lies in the field of view": self.in_view >= LEAST_IN_VIEW,
            "it does not look like a DaT scan of a head": self.likeness >= LEAST_LIKENESS,
            "it fits only a head of a size and shape that people do not have": self.is_plausible,
            "no striata stand out where they should be": (
                self.striata.contrast >= LEAST_CONTRAST and self.striata.likeness >= LEAST_STRIATAL_LIKENESS
            ),
            "what stands out does not lie where striata do": self.striata.offset_mm <= MOST_STRIATAL_OFFSET_MM,
        }
        return tuple(reason for reason, is_kept in kept.items() if not is_kept)


def quality_of(
    registration: Registration, scan: Volume, template: Template, striata: Striata, needed_mm: Affine
) -> RegistrationQuality:
    """Return how well `scan` was placed; `needed_mm`: points that must be in view, shape (N, 3), mm of the template."""
    head = template.head_points_mm
    return RegistrationQuality(
        likeness=registration.likeness,
        in_view=_share_in_view(scan, apply_affine(registration.to_scan, head)),
        needed_in_view=_share_in_view(scan, apply_affine(registration.to_scan, needed_mm)),
        sizes=sizes_of(registration.to_scan),
        shear=shear_of(registration.to_scan),
        is_plausible=is_plausible(registration.to_scan),
        striata=striata,
    )


def _share_in_view(scan: Volume, points_mm: Affine) -> float:
    """Return the share of points, shape (N, 3), mm of the scan, that lie within its voxels."""
    index = apply_affine(np.linalg.inv(scan.affine), points_mm)
    inside = ((index > -0.5) & (index < np.array(scan.data.shape) - 0.5)).all(axis=1)
    return float(inside.mean())
