"""What makes up a member of the ensemble on slabs: its weights by name and shape, and the scale of what it sees."""

from dataclasses import dataclass

import numpy as np

from datspect.imaging.slabs import SLABS_SHAPE

UPTAKE_MIDDLE, UPTAKE_SPREAD = 1.5, 1.0
PEAK_MIDDLE, PEAK_SPREAD = 0.45, 0.25
"""About the mean and the spread of slabs in uptake units and over their own peak, so that inputs are about 1 in size.
[run, default phantom]"""
LEAST_PEAK = 1e-3
"""A peak below counts as this: an empty scan has none."""
NAMES = ("conv1", "conv1_bias", "conv2", "conv2_bias", "conv3", "conv3_bias", "units", "units_bias", "out", "out_bias")
N_READING = NAMES.index("out")
"""So many of a member's weights come before those of its decision, which the head of the ensemble holds."""
_HEMISPHERE_PIXELS_AT_THE_END = 3 * 6


@dataclass(frozen=True)
class Size:
    """Maps of the first convolution (the others have twice as many) and units of the dense layer."""

    maps: int
    units: int

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Return the shapes of the weights, in the order of `NAMES`."""
        c, d, n_channels = self.maps, self.units, 2 * SLABS_SHAPE[2]
        dense = (_HEMISPHERE_PIXELS_AT_THE_END * 2 * c, d)
        convolutions = ((3, 3, n_channels, c), (c,), (3, 3, c, 2 * c), (2 * c,), (3, 3, 2 * c, 2 * c), (2 * c,))
        return (*convolutions, dense, (d,), (2 * d,), ())

    @property
    def n_weights(self) -> int:
        """Return the number of weights of a member.

        >>> Size(maps=12, units=16).n_weights
        15661
        """
        return sum(int(np.prod(shape)) for shape in self.shapes)
