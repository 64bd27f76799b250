"""Find the true activity that gives wished-for measured binding ratios: describe partial volume and undo it.

The measured ratios depend nearly linearly on the true ones (a geometric transfer matrix; Rousset 1998, J Nucl Med
39:904). The matrix is averaged over sampled heads and cameras, so that a subject's own anatomy and camera still show.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from datspect.arrays import FloatArray
from datspect.imaging.quantification import measure_binding
from datspect.imaging.regions import Regions
from datspect.imaging.volume import Affine
from datspect.phantom.acquisition import Acquisition, Camera, acquire_together, coarsened, stored_scan
from datspect.phantom.anatomy import HeadActivity
from datspect.phantom.background import Activity
from datspect.phantom.binding import MEASURED

_USUAL_BINDING = np.array([3.5, 3.5, 2.5, 2.5, 2.5, 2.5])
"""True ratios about which the reconstruction is taken to be linear, in the order of `MEASURED`: between the groups."""
_LOWERED = 0.5
"""Each nucleus in turn is lowered to this share of its usual binding, on both sides at once."""


@dataclass(frozen=True)
class Recovery:
    """A linear map, measured = matrix @ true + offset, of binding ratios in the order of `MEASURED`.

    matrix : shape (6, 6)
    offset : shape (6,), what a scan without any binding measures
    """

    matrix: FloatArray
    offset: FloatArray

    def true_binding(self, measured: FloatArray) -> FloatArray:
        """Return true binding ratios, shape (6,), none negative, that come closest to `measured`, shape (6,)."""
        true, _ = nnls(self.matrix, measured - self.offset)
        return np.asarray(true, dtype=np.float64)


def head_recovery(
    head: HeadActivity, to_atlas: Affine, acquisition: Acquisition, camera: Camera, regions: Regions
) -> Recovery:
    """Return the recovery of one head by one camera, without noise; what spills from side to side counts as own."""
    lowered = [_USUAL_BINDING.copy() for _ in range(0, len(MEASURED), 2)]
    for i, binding in enumerate(lowered):
        binding[2 * i : 2 * i + 2] *= _LOWERED
    bindings = [_USUAL_BINDING, *lowered]
    activities = np.stack([coarsened(head.activity(binding)) for binding in bindings], axis=2)
    images = acquire_together(activities, [acquisition] * len(bindings), camera, rngs=None)
    usual, *responses = (_measured(image, acquisition, to_atlas, regions) for image in np.moveaxis(images, 2, 0))
    matrix = np.zeros((len(MEASURED), len(MEASURED)))
    for i, (binding, measured) in enumerate(zip(lowered, responses, strict=True)):
        nucleus = 2 * i
        response = (usual - measured) / (_USUAL_BINDING[nucleus] - binding[nucleus])
        matrix[0::2, nucleus], matrix[1::2, nucleus + 1] = response[0::2], response[1::2]
    return Recovery(matrix, usual - matrix @ _USUAL_BINDING)


def _measured(image: Activity, acquisition: Acquisition, to_atlas: Affine, regions: Regions) -> FloatArray:
    """Return the measured binding ratios, shape (6,), of a reconstruction on the 4 mm grid."""
    ratios = measure_binding(stored_scan(image, acquisition, to_atlas), regions)
    return np.array([ratios[name] for name in MEASURED])


def mean_recovery(recoveries: list[Recovery], weights: FloatArray) -> Recovery:
    """Return the weighted average of several; `weights` has shape (recoveries,)."""
    matrices, offsets = zip(*((recovery.matrix, recovery.offset) for recovery in recoveries), strict=True)
    return Recovery(np.average(matrices, axis=0, weights=weights), np.average(offsets, axis=0, weights=weights))
