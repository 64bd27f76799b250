"""Put slices that each have a position into the order in which they lie, and refuse what is no stack of slices."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datspect.errors import ScanError
from datspect.imaging.placement import FrameGeometry, axis_directions

STEP_TOLERANCE = 0.1
"""How far the distance of two neighbours may be from the usual one, as a share of it."""

SIDEWAYS_TOLERANCE_MM = 1.0
"""How far a slice may lie beside the normal through the first one."""


@dataclass(frozen=True)
class Stack:
    """The order in which N slices lie, how far apart, and where the first begins.

    `order`, shape (N,), holds indices of the slices along the normal, the cross product of their two directions.
    `position_mm` (LPS) is that of the first slice in this order.
    """

    order: NDArray[np.intp]
    spacing_mm: float
    position_mm: tuple[float, ...]


def stacked(positions: Sequence[Sequence[float]], orientation: tuple[float, ...] | None) -> Stack:
    """Return how slices with these positions (N of x, y, z; mm, LPS) and this orientation are stacked.

    >>> stacked([(0, 0, 4), (0, 0, 0), (0, 0, 2)], None).order.tolist()
    [1, 2, 0]

    Raises
    ------
    ScanError : there are fewer than two slices, two lie at one place, one is missing, or they form no straight stack.
    """
    found = np.asarray(positions, dtype=np.float64)
    if found.ndim != 2 or found.shape[1] != 3 or len(found) < 2 or not np.isfinite(found).all():
        raise ScanError("expected two or more slices, each with a position of three numbers; export the series anew")
    directions = axis_directions(FrameGeometry(orientation)) * [[-1.0], [-1.0], [1.0]]  # RAS to LPS
    along = found @ directions[:, 2]
    order = np.argsort(along, kind="stable")
    steps = np.diff(along[order])
    spacing = float(np.median(steps))
    _check_steps(steps, spacing)
    offsets = (found - found[order[0]]) @ directions[:, :2]
    if np.abs(offsets).max() > SIDEWAYS_TOLERANCE_MM:
        raise ScanError(
            f"slices lie up to {np.abs(offsets).max():.1f} mm beside one another, so they form no straight stack; "
            "export the series reformatted, one angle for all"
        )
    return Stack(order, float(along[order[-1]] - along[order[0]]) / len(steps), tuple(map(float, found[order[0]])))


def _check_steps(steps: NDArray[np.float64], spacing: float) -> None:
    """Refuse slices at one place and gaps; `steps` (mm) are in the order of the stack, `spacing` is the usual one."""
    n_slices, tolerance = len(steps) + 1, STEP_TOLERANCE * spacing
    twice = int((steps <= max(tolerance, 1e-3)).sum())
    if twice:
        raise ScanError(
            f"{twice} of {n_slices} slices lie where another does: files twice, or several volumes under one number; "
            "export one volume alone"
        )
    wide = np.flatnonzero(np.abs(steps - spacing) > tolerance)
    if len(wide):
        raise ScanError(
            f"slices are missing: {spacing:.4g} mm lie between most of the {n_slices} slices, {steps[wide[0]]:.4g} mm "
            f"between number {wide[0] + 1} and the next; download or export the whole series anew"
        )
