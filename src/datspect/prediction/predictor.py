"""Answer a scan: bring it onto the grid, cut the network's image from it, predict and judge."""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from datspect.arrays import FloatArray
from datspect.cohort.screening import check_volume, measure_quality, mni_regions, network_image, network_slabs
from datspect.cohort.table import LABELS
from datspect.evaluation.baselines import SBR, ordered_sides
from datspect.evaluation.calibration import log_odds
from datspect.evaluation.normal_range import NOBODY, AgainstControls, Person
from datspect.imaging.regions import Regions
from datspect.imaging.registration import Template
from datspect.imaging.volume import Volume
from datspect.io.scan_reading import ReadScan
from datspect.normalisation.placing import How, Space, head_template, placed
from datspect.prediction.files import PredictorParts, read_parts
from datspect.prediction.judging import MARGIN, Judgements, image_mean, judged, out_of_range, withheld_for
from datspect.prediction.networks import Network, outputs_once, read_network

State = Literal["answer", "inconclusive", "withheld"]
JUDGED = ("prediction", "probability", "likelihood_ratio", "model_probability", "ratio_probability", "error_risk")
"""What is said of a scan only if it is not withheld; else it is kept apart, as unjudged."""


@dataclass(frozen=True, eq=False)
class PreparedScan:
    """A scan that is ready for the network.

    volume : on the MNI grid, RAS+; None if only an answer is wanted
    image : the paper's image, shape (H, W, 3), in [0, 1]
    measures, flags : of the quality control, and how far its registration keeps from the verdict's limits
    slabs : what a model of the striatum sees, shape (28, 24, 4); None for the paper's model
    how : it came to MNI space
    person : what is known of whoever was scanned
    """

    volume: Volume | None
    image: NDArray[np.float32]
    measures: dict[str, float]
    flags: tuple[str, ...]
    slabs: NDArray[np.float32] | None = None
    how: How = "as it is"
    person: Person = NOBODY

    @property
    def seen(self) -> NDArray[np.float32]:
        """What the network sees."""
        return self.image if self.slabs is None else self.slabs


@dataclass(frozen=True)
class Answer:
    """What the model says of one scan.

    probability : of PD, calibrated, where the share of PD is `prevalence`; `prediction` is "pd" if it is at least 0.5
    likelihood_ratio : how many times as probable the scan is in PD as in a control, at any prevalence
    model_probability : of PD, as the network gives it; the pipeline's tables hold this one
    ratio_probability : of PD, by a regression on the scan's binding ratios alone, at the same prevalence
    error_risk : the chance that the class is wrong, by how near the answer is to 0.5 and what the ratios say
    inconclusive : that chance is above the limit, the network sees features unlike those of training, or the scan is
        withheld: do not rely on the class
    withheld : why this is no scan to answer, in words; empty if it is one. The numbers are then worth nothing
    unlike : what is out of the range of the training cohort; if anything is, the answer is an extrapolation
    flags : of the scan's quality control
    how : the scan came to MNI space
    measures : of the scan: binding ratios, peak slice, contrast, feature distance
    against_controls : the binding ratios against those of controls; None if the scan is withheld, or no range is kept
    """

    probability: float
    prevalence: float
    likelihood_ratio: float
    model_probability: float
    prediction: str
    ratio_probability: float
    error_risk: float
    inconclusive: bool
    withheld: tuple[str, ...]
    unlike: tuple[str, ...]
    flags: tuple[str, ...]
    how: How
    measures: dict[str, float]
    against_controls: AgainstControls | None = None

    @property
    def judged(self) -> dict[str, str | float | None]:
        """What is said of the scan, keyed `JUDGED`; None for what is no number, as can be where it is withheld."""
        said = {name: getattr(self, name) for name in JUDGED}
        return {name: value if isinstance(value, str) or math.isfinite(value) else None for name, value in said.items()}

    @property
    def state(self) -> State:
        """Whether the scan has a firm answer, an inconclusive one, or none."""
        if self.withheld:
            return "withheld"
        return "inconclusive" if self.inconclusive else "answer"


@dataclass(frozen=True, eq=False)
class Predictor:
    """A network, read from its folder when it is first needed, and what judges its answers."""

    folder: Path
    parts: PredictorParts
    stays: bool = False

    @classmethod
    def read(cls, folder: Path, *, stays: bool = False) -> "Predictor":
        """Read all but the network; one that `stays`, in a server, compiles programs for few images too.

        Raises
        ------
        DatspectError : a file is missing or not what it must be.
        """
        return cls(folder, read_parts(folder), stays)

    def place(self) -> None:
        """Place what scans are measured in and registered to, so that processes forked later have it."""
        _ = self.regions, head_template(self.parts.preprocess.z_offset_voxels).parts

    def warm_up(self) -> None:
        """Read the network, place regions and template, and compile the program for one scan."""
        self.place()
        self.probabilities(np.zeros((1, *self.network.input_shape), np.float32))

    @cached_property
    def network(self) -> Network:
        """The network.

        Raises
        ------
        WeightsError : its file is missing, or holds another model.
        """
        return read_network(self.folder, self.parts.model, stays=self.stays)

    @cached_property
    def regions(self) -> Regions:
        """The regions in which binding is measured."""
        return mni_regions(self.parts.preprocess)

    def prepare(
        self,
        scan: ReadScan,
        *,
        space: Space = "auto",
        fix_orientation: bool = False,
        template: Template | None = None,
        turn: AbstractContextManager[object] | None = None,
    ) -> PreparedScan:
        """Bring a scan onto the grid, check and measure it, and cut the network's image.

        A head that lies upside down or back to front is turned if `fix_orientation` is set, and refused otherwise.
        `template`: what scans in another space are registered to, None for the mean phantom. `turn`: entered
        while a scan is registered.

        Raises
        ------
        ScanError : the scan cannot be used; the message says why and what to do.
        """
        found = placed(
            scan,
            space=space,
            wrong_way="fix" if fix_orientation else "refuse",
            z_offset_voxels=self.parts.preprocess.z_offset_voxels,
            template=template,
            turn=turn,
        )
        prepared = self.prepare_volume(found.volume, found.how)
        if found.quality is None:
            return prepared
        return replace(prepared, measures=prepared.measures | {MARGIN: found.quality.margin})

    def prepare_volume(self, volume: Volume, how: How = "as it is") -> PreparedScan:
        """Check and measure a volume on the MNI grid, RAS+, and cut the network's image.

        Raises
        ------
        ScanError : the scan cannot be used; the message says why.
        """
        check_volume(volume)
        image = network_image(volume, self.parts.preprocess, self.regions)
        quality = measure_quality(volume, self.parts.preprocess, self.regions)
        measures = {name: float(value) for name, value in quality.items() if name != "flags"}
        measures["image_mean"] = image_mean(image)
        slabs = network_slabs(volume, self.parts.preprocess) if self.parts.model == "striatum" else None
        return PreparedScan(volume, image, measures, tuple(str(quality["flags"]).split()), slabs, how)

    def answers(self, scans: Sequence[PreparedScan], prevalence: float | None = None) -> list[Answer]:
        """Return what the model says of prepared scans, in their order, at a prevalence: None is that of training.

        Raises
        ------
        PrevalenceError : the prevalence does not lie between 0 and 1.
        """
        if not scans:
            return []
        features, probabilities, spread = outputs_once(self.network, [scan.seen for scan in scans])
        # Threads of NumPy's matrix products would wait for those of the network: a third of the time of a batch.
        with threadpool_limits(limits=1, user_api="blas"):
            ratios = ordered_sides(pd.DataFrame([scan.measures for scan in scans]), SBR)
            found = judged(self.parts, log_odds(probabilities), ratios, features, prevalence, spread)
        return [
            self._answer(scan, found, row, float(probabilities[row]), None if spread is None else float(spread[row]))
            for row, scan in enumerate(scans)
        ]

    def _answer(
        self, scan: PreparedScan, found: Judgements, row: int, model_probability: float, spread: float | None
    ) -> Answer:
        measures = scan.measures | {"feature_distance": float(found.distances[row])}
        withheld, controls = withheld_for(self.parts.withholding, measures), self.parts.controls
        return Answer(
            probability=float(found.probabilities[row]),
            prevalence=found.prevalence,
            likelihood_ratio=float(found.likelihood_ratios[row]),
            model_probability=model_probability,
            prediction=LABELS[found.predictions[row]],
            ratio_probability=float(found.ratio_probabilities[row]),
            error_risk=float(found.error_risks[row]),
            inconclusive=bool(found.inconclusive[row]) or bool(withheld),
            withheld=withheld,
            unlike=(*out_of_range(self.parts.ranges, scan.measures), *_beyond_limits(found, row)),
            flags=scan.flags,
            how=scan.how,
            measures=measures | ({} if spread is None else {"spread": spread}),
            against_controls=None if withheld or controls is None else controls.against(measures, scan.person),
        )

    def probabilities(self, images: NDArray[np.float32]) -> FloatArray:
        """Return what the network alone says of what it sees, shape (N, ...): probabilities of PD, shape (N,)."""
        return self.network.outputs(images).probabilities


def _beyond_limits(found: Judgements, row: int) -> tuple[str, ...]:
    """Return what the network itself sees of a scan that the training role did not have."""
    usual = {"features": found.typical[row], "spread": found.agreeing[row]}
    return tuple(name for name, is_usual in usual.items() if not is_usual)
