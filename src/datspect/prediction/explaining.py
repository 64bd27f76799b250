"""Explain an answer by an attribution map over the template, with the binding ratios beside it."""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from datspect.arrays import BoolArray, FloatArray
from datspect.errors import ScanError
from datspect.figures.explanation import Explanation, draw_explanation
from datspect.figures.slab_explanation import SlabExplanation, draw_slab_explanation
from datspect.imaging.orientation import mni_ras_affine
from datspect.imaging.regions import mni_affine_of, striatal_structures, structure_mask
from datspect.imaging.slabs import SLAB_EDGES_MM, slabs, slices_of_slabs
from datspect.imaging.slices import axial_slices
from datspect.imaging.striatal_box import BOX_CENTRES_MM, BOX_SHAPE, VOXEL_MM, box_affine, brain_voxels, striatal_box
from datspect.imaging.volume import MNI_SHAPE, Volume
from datspect.io.mni_maps import template_t1
from datspect.phantom.uprightness import check_uprightness
from datspect.prediction.attribution import Attribution, IntegratedGradients
from datspect.prediction.predictor import Answer, Predictor, PreparedScan

_GROWN_VOXELS = 2
"""The striatum is grown by 4 mm, about half the width at half maximum of a SPECT camera."""
_WITHIN = 1 / 3
"""A pixel of a slab, 12 mm high, lies within the striatum if more than this share of it does."""


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
        """Attribute the log odds of a scan to what the network sees of it, against a baseline.

        That of an image is the same image with everything brighter than the median of the head cut down to that median:
        a head without striata. A black baseline would make the head itself the evidence. That of slabs, which are in
        units of uptake and in one place, is the mean control: the map says what is otherwise than in the healthy.
        """
        if scan.volume is None:
            raise ValueError("a scan that was prepared without its volume cannot be explained")
        offset, parts = check_uprightness(scan.volume).z_offset_voxels, self.predictor.parts
        if parts.normal is None:
            baseline = np.minimum(scan.seen, np.median(scan.seen[scan.seen > 0]))
            inside = _striatum(parts.preprocess.slices, offset)
        else:
            baseline = parts.normal
            inside = slabs(_striatal_box(offset - parts.preprocess.z_offset_voxels)[np.newaxis])[0] > _WITHIN
        attribution = self._gradients.attribute(scan.seen, baseline)
        return Explained(attribution, _share(attribution.values, inside), offset)

    def figure(self, scan: PreparedScan, answer: Answer, title: str) -> Figure:
        """Draw one page: what the network sees, the attribution over the template, and binding ratios.

        Raises
        ------
        ScanError : the model sees images of another size than the slices: no template can be laid over them.
        """
        parts = self.predictor.parts
        if parts.model == "paper" and parts.preprocess.input_size != "native":
            raise ScanError("a figure needs a model of preprocess.input_size: native; leave --figure out")
        found = self.explain(scan)
        if parts.normal is not None:
            return draw_slab_explanation(self._on_slabs(scan, found, answer, title, parts.normal))
        slices = parts.preprocess.slices
        return draw_explanation(
            Explanation(
                title=title,
                cohort=f"model of a {parts.scope.caption}",
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

    def _on_slabs(
        self, scan: PreparedScan, found: Explained, answer: Answer, title: str, normal: FloatArray
    ) -> SlabExplanation:
        parts, above = self.predictor.parts, found.z_offset_voxels - self.predictor.parts.preprocess.z_offset_voxels
        log_odds = float(self.predictor.network.log_odds(scan.seen[np.newaxis])[0])
        offset = parts.preprocess.z_offset_voxels
        template = striatal_box(template_t1(found.z_offset_voxels), offset, brain_voxels(offset))
        x, y, z = SLAB_EDGES_MM
        return SlabExplanation(
            title=title,
            cohort=f"model of a {parts.scope.caption}",
            answer=_in_words(answer),
            edges_mm=((x[0], x[-1]), (y[0], y[-1]), tuple(z)),
            scan=scan.seen,
            control=normal,
            template=slices_of_slabs(template),
            template_mm=(_ends_mm(0), _ends_mm(1)),
            striatum=slices_of_slabs(_striatal_box(above)) > _WITHIN,
            attribution=found.attribution.values,
            log_odds=(log_odds - found.attribution.difference, log_odds),
            n_controls=parts.n_train - parts.n_pd,
            measures=answer.measures,
            striatal_share=found.striatal_share,
            completeness_error=found.attribution.error,
            is_complete=found.attribution.complete,
            offset_mm=VOXEL_MM * above,
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


def _striatal_box(above_voxels: float) -> FloatArray:
    """Return 1 where the striata, grown, lie in the box of a scan that lies so far above the cohort; `BOX_SHAPE`."""
    to_mni = mni_affine_of(box_affine(), above_voxels)
    masks = [structure_mask(each, BOX_SHAPE, to_mni) for each in striatal_structures().values()]
    return np.asarray(binary_dilation(np.any(masks, axis=0), iterations=_GROWN_VOXELS), np.float32)


def _ends_mm(axis: int) -> tuple[float, float]:
    first, last = BOX_CENTRES_MM[axis]
    return first - VOXEL_MM / 2, last + VOXEL_MM / 2


def _on_image(volume: Volume, slices: list[int]) -> NDArray[np.float64]:
    return np.asarray(axial_slices(volume, slices))


def _share(values: NDArray[np.floating], inside: BoolArray) -> float:
    total = float(np.abs(values).sum())
    return float(np.abs(values)[inside].sum()) / total if total > 0 else 0.0
