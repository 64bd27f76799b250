"""Refuse a volume that was stored in so few grey levels that no striatum can be told from the brain."""

import numpy as np

from datspect.errors import ScanError
from datspect.imaging.volume import Voxels

FEWEST = 8
"""Binding between nothing and healthy spans half of the scale: fewer levels leave it less than four. [assumed]"""

_EVERY = 8


def check_grey_levels(data: Voxels) -> None:
    """Refuse voxels `data`, any shape, that differ and hold fewer than `FEWEST` values; those that are all one pass.

    Raises
    ------
    ScanError : too few grey levels.
    """
    for part in (data[(slice(None, None, _EVERY),) * data.ndim], data):  # the first settles it for nearly every scan
        n_levels = len(np.unique(part))
        if n_levels >= FEWEST:
            return
    if n_levels > 1:
        raise ScanError(
            f"only {n_levels} grey levels, and at least {FEWEST} must tell the striatum from the brain; export the "
            "scan anew, with all its bits"
        )
