"""Draw how binding is spread within the striatum of one side: what a picture shows beyond regional means.

One law holds for everybody: a side's pattern follows from how much of its own former binding it has lost.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datspect.imaging.regions import Fractions

_PUTAMEN_CENTRE_MM, _CAUDATE_CENTRE_MM = (25.0, -2.0, 1.0), (11.5, 10.7, 4.1)
_BACK_AND_UP = (0.25, -0.8, 0.55)
"""From the ventral anterior to the dorsal posterior putamen: the way in which it is lost. [assumed]"""
_ALONG_CAUDATE = (0.0, -0.67, 0.74)
"""From the head of the caudate to its body."""
_FOCUS_MM, _FOCUS_RADIUS_MM = (28.0, -12.0, 5.0), 11.0
"""Where the early loss in part of the putamen begins. [assumed]"""
_LOWEST = 0.05
"""A pattern leaves at least this share of a region's mean anywhere."""

# By how much a pattern changes from no loss to the loss of everything. [assumed]
_SLOPE, _SLOPE_BY_LOSS = 0.02, 0.40
_FOCUS_BY_LOSS = 1.2
_CAUDATE_SLOPE, _CAUDATE_SLOPE_BY_LOSS = 0.03, 0.30
_THINNING_BY_LOSS = 0.12


@dataclass(frozen=True)
class Pattern:
    """The spread of binding within one side.

    slope : fall of binding per centimetre towards the dorsal posterior putamen, as a share of the region's mean
    focus : share that is lost in the middle of a focus in the posterior putamen
    caudate_slope : fall per centimetre from the head of the caudate to its body
    thickness : of the putamen, as a factor
    """

    slope: float
    focus: float
    caudate_slope: float
    thickness: float


EVEN = Pattern(0.0, 0.0, 0.0, 1.0)


def draw_pattern(putamen_loss: float, caudate_loss: float, scatter: float, rng: np.random.Generator) -> Pattern:
    """Draw the pattern of a side that has lost these shares of its former binding, both in [0, 1).

    `scatter`: standard deviation of the slopes around their law; the other parts scatter in proportion.
    """
    noise = rng.standard_normal(4)
    return Pattern(
        slope=_SLOPE + _SLOPE_BY_LOSS * putamen_loss + scatter * noise[0],
        # A focus stands out while the rest still binds: it is gone when everything is.
        focus=max(0.0, _FOCUS_BY_LOSS * putamen_loss * (1 - putamen_loss) + 2 * scatter * noise[1]),
        caudate_slope=_CAUDATE_SLOPE + _CAUDATE_SLOPE_BY_LOSS * caudate_loss + scatter * noise[2],
        thickness=1 - _THINNING_BY_LOSS * putamen_loss + 0.5 * scatter * noise[3],
    )


def spread(
    region: str,
    share: Fractions,
    pattern: Pattern,
    mm: list[NDArray[np.float32]],
    counts: Fractions,
) -> Fractions:
    """Return `share`, shape (X, Y, Z), of a region times its pattern, such that what it measures stays as it was.

    `mm`: coordinates of the undeformed head, x counted outwards from the middle; they broadcast to (X, Y, Z).
    `counts`: how much a voxel counts for what the region measures, shape (X, Y, Z); its sum over the region was 1.
    """
    if region.startswith("caudate"):
        field = 1 - np.float32(pattern.caudate_slope / 10) * _along(_ALONG_CAUDATE, _CAUDATE_CENTRE_MM, mm)
    else:
        field = 1 - np.float32(pattern.slope / 10) * _along(_BACK_AND_UP, _PUTAMEN_CENTRE_MM, mm)
        field = field * (1 - np.float32(pattern.focus) * _focus(mm))
    spread_out = share * np.maximum(field, np.float32(_LOWEST))
    return np.asarray(spread_out * (1 / (counts * spread_out).sum(dtype=np.float64)), dtype=np.float32)


def _along(direction: tuple[float, ...], centre_mm: tuple[float, ...], mm: list[NDArray[np.float32]]) -> Fractions:
    x, y, z = (np.float32(d) * (axis - np.float32(c)) for d, c, axis in zip(direction, centre_mm, mm, strict=True))
    return np.asarray(x + y + z, dtype=np.float32)


def _focus(mm: list[NDArray[np.float32]]) -> Fractions:
    """Return 1 in the middle of the focus, falling to 0 at its edge."""
    radius = np.float32(_FOCUS_RADIUS_MM)
    x, y, z = (((axis - np.float32(c)) / radius) ** 2 for c, axis in zip(_FOCUS_MM, mm, strict=True))
    return np.asarray(np.maximum(1 - (x + y + z), np.float32(0)), dtype=np.float32)
