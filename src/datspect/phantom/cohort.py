"""The phantom cohort: simulated DaT SPECT scans that are as hard to tell apart as real ones."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray

from datspect.cohort.kind import CohortKind
from datspect.cohort.table import LABELS, Cohort, write_cohort
from datspect.imaging.quantification import measure_binding, peak_slice
from datspect.imaging.regions import Regions, striatal_regions
from datspect.imaging.volume import MNI_SHAPE, Volume, mni_affine
from datspect.io.digests import file_digest
from datspect.io.volumes import write_volume
from datspect.params.data import PhantomParams
from datspect.phantom.acquisition import Acquisition, Site, acquire, draw_acquisition, draw_site
from datspect.phantom.anatomy import Activity, build_head, draw_anatomy, read_background
from datspect.phantom.binding import MEASURED, Person, draw_person
from datspect.phantom.recovery import Recovery, head_recovery, mean_recovery
from datspect.running.progress import progress

# Streams of random numbers; each subject, site and calibration head has one of its own.
_SUBJECT, _SITE, _CALIBRATION, _DISCORDANT = range(4)
_N_CALIBRATION_HEADS = 24
_VISIT = "SC"
"""Screening, the visit of PPMI's first scan."""


@dataclass(frozen=True)
class Laboratory:
    """All that subjects share."""

    params: PhantomParams
    undeformed: Activity
    sites: tuple[Site, ...]
    regions: Regions
    recovery: Recovery


@dataclass(frozen=True)
class Simulation:
    """One simulated scan and what is known about it."""

    scan_id: str
    subject_id: str
    person: Person
    acquisition: Acquisition
    true_binding: NDArray[np.float64]
    data: NDArray[np.int16]


def write_phantom_cohort(folder: Path, laboratory: Laboratory, n_jobs: int = -1) -> pd.DataFrame:
    """Simulate a cohort into `folder` on `n_jobs` processes (-1: all cores); the bytes do not depend on `n_jobs`.

    `participants.tsv` comes last: a cohort that was cut short cannot be mistaken for a whole one.

    Returns
    -------
    The truth, a row a scan in the order of participants.tsv: true and measured binding ratios, peak slice, camera.
    """
    (folder / "volumes").mkdir(parents=True, exist_ok=True)
    (folder / "participants.tsv").unlink(missing_ok=True)
    subjects = cohort_members(laboratory.params)
    rows = Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(_write_subject)(laboratory, label, index, folder) for label, index in subjects
    )
    written = list(progress(rows, total=len(subjects), what="phantom", unit="scans"))
    write_cohort(Cohort(folder, CohortKind.PHANTOM, pd.DataFrame([scan for scan, _ in written])))
    return pd.DataFrame([truth for _, truth in written])


def cohort_members(params: PhantomParams) -> list[tuple[str, int]]:
    """(label, index within the class) of every subject, shuffled: sorted by pseudonym, which is a seeded digest."""
    sizes = {"control": params.n_control, "pd": params.n_pd}
    members = [(label, index) for label in LABELS for index in range(sizes[label])]
    return sorted(members, key=lambda member: pseudonym(params.seed, *member))


def build_laboratory(params: PhantomParams, undeformed: Activity | None = None, n_jobs: int = -1) -> Laboratory:
    """Sites, regions and recovery; `undeformed` spares reading the background anew."""
    if undeformed is None:
        undeformed = read_background()
    sites = tuple(draw_site(f"site{i + 1:02d}", params, _rng(params, _SITE, i)) for i in range(params.n_sites))
    regions = striatal_regions(MNI_SHAPE, mni_affine(), params.z_offset_voxels)
    recoveries = Parallel(n_jobs=n_jobs)(
        delayed(_calibrate)(params, undeformed, sites, regions, i) for i in range(_N_CALIBRATION_HEADS)
    )
    return Laboratory(params, undeformed, sites, regions, mean_recovery(recoveries))


def _calibrate(
    params: PhantomParams, undeformed: Activity, sites: tuple[Site, ...], regions: Regions, index: int
) -> Recovery:
    """Recovery of one sampled head by one sampled camera."""
    rng = _rng(params, _CALIBRATION, index)
    head = build_head(draw_anatomy(params, rng), undeformed)
    return head_recovery(head, draw_acquisition(sites, rng), params.filter_fwhm_mm, regions)


def simulate(laboratory: Laboratory, label: str, index: int) -> Simulation:
    """Subject `index` of class `label`: a function of (parameters, label, index) alone."""
    params = laboratory.params
    rng = _rng(params, _SUBJECT, LABELS.index(label), index)
    person = draw_person(label, is_discordant(params, label, index), params.posterior_ratio_sd, rng)
    head = build_head(draw_anatomy(params, rng), laboratory.undeformed)
    acquisition = draw_acquisition(laboratory.sites, rng)
    true_binding = laboratory.recovery.true_binding(person.binding)
    data = acquire(head.activity(true_binding), acquisition, params.filter_fwhm_mm, rng)
    subject_id = pseudonym(params.seed, label, index)
    return Simulation(f"{subject_id}-{_VISIT}", subject_id, person, acquisition, true_binding, data)


def is_discordant(params: PhantomParams, label: str, index: int) -> bool:
    """Whether the subject's binding follows the other class's law: every n-th one, from a seeded start."""
    share = params.discordant_control if label == "control" else params.discordant_pd
    start = _rng(params, _DISCORDANT, LABELS.index(label)).random()
    return int(start + share * (index + 1)) > int(start + share * index)


def pseudonym(seed: int, label: str, index: int) -> str:
    """Subject id that does not give the class away."""
    return "P" + hashlib.sha256(f"{seed}/{label}/{index}".encode()).hexdigest()[:8]


def _rng(params: PhantomParams, *stream: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(params.seed, spawn_key=stream))


def _write_subject(
    laboratory: Laboratory, label: str, index: int, folder: Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Simulate and write one scan; its rows of participants.tsv and of the truth."""
    simulation = simulate(laboratory, label, index)
    path = Path("volumes") / f"{simulation.scan_id}.nii"
    write_volume(folder / path, Volume(simulation.data, mni_affine()))
    scan = {
        "scan_id": simulation.scan_id,
        "subject_id": simulation.subject_id,
        "label": label,
        "sex": "male" if simulation.person.is_man else "female",
        "age": simulation.person.age,
        "site": simulation.acquisition.site,
        "visit": _VISIT,
        "path": path.as_posix(),
        "sha256": file_digest(folder / path),
    }
    return scan, truth_row(simulation, laboratory.regions)


def truth_row(simulation: Simulation, regions: Regions) -> dict[str, Any]:
    """What is true about a scan and what it measures; binding ratios keyed `true_caudate_left`, `measured_...`."""
    true = dict(zip(MEASURED, simulation.true_binding, strict=True))
    measured = measure_binding(simulation.data, regions)
    return {
        "scan_id": simulation.scan_id,
        "label": simulation.person.label,
        "discordant": simulation.person.is_discordant,
        "worse_side": simulation.person.worse_side,
        "site": simulation.acquisition.site,
        "intrinsic_fwhm_mm": round(simulation.acquisition.intrinsic_fwhm_mm, 3),
        "counts": round(simulation.acquisition.counts),
        "peak_slice": peak_slice(simulation.data, regions),
        **{f"true_{region}": round(float(value), 4) for region, value in true.items()},
        **{f"measured_{region}": round(value, 4) for region, value in measured.items()},
    }
