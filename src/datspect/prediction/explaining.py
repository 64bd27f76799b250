"""Explain an answer by an attribution map over the template, with the binding ratios beside it."""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from datspect.arrays import BoolArray
from datspect.cohort.kind import CohortKind
from datspect.errors import ScanError
from datspect.figures.explanation import Explanation, draw_explanation
from datspect.imaging.orientation import mni_ras_affine
from datspect.imaging.regions import mni_affine_of, striatal_structures, structure_mask
from datspect.imaging.slabs import slabs
from datspect.imaging.slices import axial_slices
from datspect.imaging.volume import MNI_SHAPE, Volume
from datspect.imaging.volume_augmentation import striatal_share
from datspect.io.mni_maps import template_t1
from datspect.phantom.uprightness import check_uprightness
from datspect.prediction.attribution import Attribution, IntegratedGradients
from datspect.prediction.predictor import Answer, Predictor, PreparedScan

_GROWN_VOXELS = 2
"""The striatum is grown by 4 mm, about half the width at half maximum of a SPECT camera."""


@dataclass(frozen=True, eq=False)
class Explained:
    """An attribution, the share of its absolute values within the striata, and the scan's vertical offset."""

    attribution: Attribution
    striatal_share: float
    z_offset_voxels: float


class Explainer:
    """Explain the answers of one predictor."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self._gradients = IntegratedGradients(predictor.network)

    def explain(self, scan: PreparedScan) -> Explained:
        """Attribute the log odds of a scan to its image.

        The baseline is the same image with everything brighter than the median of the head cut down to that median: a
        head without striata. A black baseline would make the head itself the evidence.
        """
        if scan.volume is None:
            raise ValueError("a scan that was prepared without its volume cannot be explained")
        baseline = np.minimum(scan.seen, np.median(scan.seen[scan.seen > 0]))
        attribution = self._gradients.attribute(scan.seen, baseline)
        offset = check_uprightness(scan.volume).z_offset_voxels
        inside = _striatum(self.predictor.parts.preprocess.slices, offset) if scan.slabs is None else _slab_striatum()
        return Explained(attribution, _share(attribution.values, inside), offset)

    def figure(self, scan: PreparedScan, answer: Answer, title: str) -> Figure:
        """Draw one page with slices, the attribution over the template, and binding ratios; see `draw_explanation`.

        Raises
        ------
        ScanError : the model sees slabs, or images of another size than the slices: no template can be laid over them.
        """
        parts = self.predictor.parts
        if parts.model != "paper":
            raise ScanError("figures show slices, and this model sees slabs; leave --figure out")
        if parts.preprocess.input_size != "native":
            raise ScanError("a figure needs a model of preprocess.input_size: native; leave --figure out")
        found, slices = self.explain(scan), parts.preprocess.slices
        return draw_explanation(
            Explanation(
                title=title,
                cohort=f"model of a {CohortKind.of(parts.cohort_kind).caption}",
                slices=tuple(slices),
                image=scan.image,
                template=_on_image(template_t1(found.z_offset_voxels), slices),
                attribution=found.attribution.values,
                striatum=_striatum(slices, found.z_offset_voxels),
                answer=_in_words(answer),
                measures=answer.measures,
                striatal_share=found.striatal_share,
                completeness_error=found.attribution.error,
                is_complete=found.attribution.complete,
                z_offset_voxels=found.z_offset_voxels,
            )
        )


def _in_words(answer: Answer) -> str:
    sure = "INCONCLUSIVE" if answer.inconclusive else "conclusive"
    unlike = f"; unlike the training cohort: {', '.join(answer.unlike)}" if answer.unlike else ""
    ratios = f", {answer.ratio_probability:.3f} by the binding ratios"
    probability = f"P(PD) {answer.probability:.3f} at {100 * answer.prevalence:.3g} % PD"
    return f"{answer.prediction}, {probability}{ratios}, {sure}{unlike}"


def _striatum(slices: list[int], z_offset_voxels: float) -> BoolArray:
    """Return where caudates and putamina, grown by `_GROWN_VOXELS`, lie in the slices; shape (H, W, 3)."""
    to_mni = mni_affine_of(mni_ras_affine(), z_offset_voxels)
    masks = [structure_mask(each, MNI_SHAPE, to_mni) for each in striatal_structures().values()]
    grown = binary_dilation(np.any(masks, axis=0), iterations=_GROWN_VOXELS)
    return _on_image(Volume(grown, mni_ras_affine()), slices) > 0


def _slab_striatum() -> BoolArray:
    """Return where the striata and their blur lie in the slabs, shape (28, 24, 4)."""
    return np.asarray(slabs((striatal_share() == 1)[np.newaxis])[0] > 0.5)


def _on_image(volume: Volume, slices: list[int]) -> NDArray[np.float64]:
    return np.asarray(axial_slices(volume, slices))


def _share(values: NDArray[np.floating], inside: BoolArray) -> float:
    total = float(np.abs(values).sum())
    return float(np.abs(values)[inside].sum()) / total if total > 0 else 0.0
