"""Explain an answer by an attribution map over the template, with the binding ratios beside it."""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, gaussian_filter

from datspect.arrays import BoolArray, FloatArray
from datspect.errors import ScanError
from datspect.figures.convention import DEFAULT_CONVENTION
from datspect.figures.explanation import Explanation, draw_explanation
from datspect.figures.panels import Strip, slab_strips, slice_strips
from datspect.figures.slab_explanation import SlabExplanation, draw_slab_explanation
from datspect.imaging.orientation import mni_ras_affine
from datspect.imaging.regions import mni_affine_of, striatal_structures, structure_mask
from datspect.imaging.slabs import SLAB_EDGES_MM, slabs, slices_of_slabs
from datspect.imaging.slices import axial_slices
from datspect.imaging.striatal_box import BOX_CENTRES_MM, BOX_SHAPE, VOXEL_MM, box_affine, brain_voxels, striatal_box
from datspect.imaging.volume import FWHM_PER_SD, MNI_SHAPE, Volume
from datspect.io.mni_maps import template_t1
from datspect.params.figures import Convention
from datspect.params.striatum import Model
from datspect.phantom.uprightness import check_uprightness
from datspect.prediction.attribution import Attribution, IntegratedGradients, Noise
from datspect.prediction.predictor import Answer, Predictor, PreparedScan
from datspect.prediction.statement import bounded, percent

_GROWN_VOXELS = 2
"""The striatum is grown by 4 mm, about half the width at half maximum of a SPECT camera."""
_NOISE_MM, _BLUR_MM = 8.0, 12.0
"""Width at half maximum of the noise and of the blur of the drawn map, about that of a SPECT camera: gradients change
from pixel to pixel as no scan can."""
_DRAWS, _NOISE_SD = 8, 0.1
_WITHIN = 1 / 3
"""A pixel of a slab, 12 mm high, lies within the striatum if more than this share of it does."""


@dataclass(frozen=True, eq=False)
class Explained:
    """An attribution, the share of its absolute values within the striata, and the scan's vertical offset.

    smoothed : the attribution blurred to the resolution of a camera, with the same sum; of the shape of its values
    """

    attribution: Attribution
    smoothed: FloatArray
    striatal_share: float
    z_offset_voxels: float


class Explainer:
    """Explain the answers of one predictor."""

    def __init__(self, predictor: Predictor, convention: Convention = DEFAULT_CONVENTION) -> None:
        self.predictor = predictor
        self.convention: Convention = convention
        pixels = _NOISE_MM / _pixel_mm(predictor.parts.model)
        self._gradients = IntegratedGradients(predictor.network, Noise(_DRAWS, _NOISE_SD, pixels))

    def explain(self, scan: PreparedScan) -> Explained:
        """Attribute the log odds of a scan to what the network sees of it, against a baseline.

        That of an image is the same image with everything brighter than the median of the head cut down to that median:
        a head without striata. A black baseline would make the head itself the evidence. That of slabs, which are in
        units of uptake and in one place, is the mean control: the map says what is otherwise than in the healthy. The
        map is a mean over draws in which what lies between scan and baseline is scaled by smooth noise.
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
        smoothed = _blurred(attribution.values, parts.model)
        return Explained(attribution, smoothed, _share(attribution.values, inside), offset)

    def shown(self, scan: PreparedScan, answer: Answer, title: str) -> Explanation | SlabExplanation:
        """Return what is drawn: what the network sees, the attribution over the template, and binding ratios.

        Of a withheld scan the attribution is not drawn: it would tell the answer.

        Raises
        ------
        ScanError : the model sees images of another size than the slices: no template can be laid over them.
        """
        parts = self.predictor.parts
        if parts.model == "paper" and parts.preprocess.input_size != "native":
            raise ScanError("pictures need a model of preprocess.input_size: native; leave --figure and --page out")
        found = self.explain(scan)
        if parts.normal is not None:
            return self._on_slabs(scan, found, answer, title, parts.normal)
        slices = parts.preprocess.slices
        return Explanation(
            title=title,
            cohort=f"model of a {parts.scope.caption}",
            slices=tuple(slices),
            image=scan.image,
            template=_on_image(template_t1(found.z_offset_voxels), slices),
            attribution=found.smoothed,
            noise=_NOISE_IN_WORDS,
            striatum=_striatum(slices, found.z_offset_voxels),
            answer=_in_words(answer),
            measures=answer.measures,
            against_controls=answer.against_controls,
            convention=self.convention,
            striatal_share=found.striatal_share,
            missed=found.attribution.missed,
            is_complete=found.attribution.complete,
            z_offset_voxels=found.z_offset_voxels,
            withheld=bool(answer.withheld),
        )

    def figure(self, shown: Explanation | SlabExplanation) -> Figure:
        """Draw all of it as one picture."""
        return draw_explanation(shown) if isinstance(shown, Explanation) else draw_slab_explanation(shown)

    def strips(self, shown: Explanation | SlabExplanation) -> list[Strip]:
        """Draw it as pictures of their own, for a page."""
        return slice_strips(shown) if isinstance(shown, Explanation) else slab_strips(shown)

    def _on_slabs(
        self, scan: PreparedScan, found: Explained, answer: Answer, title: str, normal: FloatArray
    ) -> SlabExplanation:
        parts, above = self.predictor.parts, found.z_offset_voxels - self.predictor.parts.preprocess.z_offset_voxels
        log_odds = [float(each) for each in self.predictor.network.log_odds(np.stack([normal, scan.seen]))]
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
            attribution=found.smoothed,
            noise=_NOISE_IN_WORDS,
            log_odds=(log_odds[0], log_odds[0] + found.attribution.difference, log_odds[1]),
            n_controls=parts.n_train - parts.n_pd,
            measures=answer.measures,
            against_controls=answer.against_controls,
            convention=self.convention,
            striatal_share=found.striatal_share,
            missed=found.attribution.missed,
            is_complete=found.attribution.complete,
            offset_mm=VOXEL_MM * above,
            withheld=bool(answer.withheld),
        )


_NOISE_IN_WORDS = (
    f"mean over {_DRAWS} draws: what differs from the baseline scaled by 1 + noise, sd {_NOISE_SD:g}, as smooth as "
    f"{_NOISE_MM:g} mm; then blurred by {_BLUR_MM:g} mm, the sum kept"
)


def _pixel_mm(model: Model) -> float:
    """Return the width of a pixel of what a network sees."""
    return float(np.diff(SLAB_EDGES_MM[0])[0]) if model == "striatum" else VOXEL_MM


def _blurred(values: FloatArray, model: Model) -> FloatArray:
    """Return values, shape (H, W, C), blurred to a camera's resolution; what would leave comes back: the sum is kept.

    Slices are as far apart as pixels are wide. Slabs are as high as the blur is wide: they are not mixed.
    """
    axes = (0, 1) if model == "striatum" else (0, 1, 2)
    sd_pixels = _BLUR_MM / _pixel_mm(model) / FWHM_PER_SD
    return np.asarray(gaussian_filter(values, sd_pixels, axes=axes, mode="reflect"))


def _in_words(answer: Answer) -> str:
    if answer.withheld:
        return f"WITHHELD: {'; '.join(answer.withheld)}"
    sure = "INCONCLUSIVE" if answer.inconclusive else "conclusive"
    unlike = f"; unlike the training cohort: {', '.join(answer.unlike)}" if answer.unlike else ""
    ratios = f", {bounded(answer.ratio_probability)} by the binding ratios"
    probability = f"P(PD) {bounded(answer.probability)} at {percent(answer.prevalence)} PD"
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
