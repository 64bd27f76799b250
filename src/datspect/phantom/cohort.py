"""Simulate the phantom cohort: DaT SPECT scans that are as hard to tell apart as real ones."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from datspect.arrays import FloatArray
from datspect.cohort.kind import CohortKind
from datspect.cohort.table import CONTROL, LABELS, PD, Cohort, write_cohort
from datspect.imaging.quantification import measure_binding, peak_slice
from datspect.imaging.regions import Regions, striatal_regions
from datspect.imaging.volume import MNI_SHAPE, Volume, mni_affine
from datspect.io.digests import file_digest
from datspect.io.volumes import write_volume
from datspect.params.data import PhantomParams
from datspect.phantom.acquisition import (
    FAMILIES,
    Acquisition,
    Camera,
    Site,
    acquire_together,
    acquisition_at,
    build_camera,
    coarsened,
    draw_acquisition,
    draw_site,
    families_of_sites,
    sites_of_label,
    stored_scan,
)
from datspect.phantom.anatomy import Anatomy, build_head, draw_anatomy
from datspect.phantom.background import Background, read_background
from datspect.phantom.binding import MEASURED, OTHER_GROUPS, Course, Person, draw_person
from datspect.phantom.recovery import Recovery, head_recovery, mean_recovery
from datspect.running.pool import unordered
from datspect.running.progress import progress

# Streams of random numbers; each subject, site and calibration head has its own.
_SUBJECT, _SITE, _CALIBRATION, _DISCORDANT, _BORDERLINE, _FAMILIES = range(6)
_CLASSES = (*LABELS, *OTHER_GROUPS)
"""Of every subject; the position is part of its stream."""
_VISIT = "SC"
"""The screening visit, at which PPMI makes the first scan."""
_TOGETHER = 4
"""So many subjects of a site are scanned together: fewer take longer each, more gain nothing."""


@dataclass(frozen=True)
class Laboratory:
    """What all subjects share."""

    params: PhantomParams
    background: Background
    camera: Camera
    sites: tuple[Site, ...]
    regions: Regions
    recovery: Recovery


@dataclass(frozen=True)
class Simulation:
    """One simulated scan and what is known about it.

    true_binding : shape (6,), in the order of `MEASURED`
    data : shape `MNI_SHAPE`
    """

    scan_id: str
    subject_id: str
    person: Person
    anatomy: Anatomy
    acquisition: Acquisition
    true_binding: FloatArray
    data: NDArray[np.int16]


def write_phantom_cohort(folder: Path, laboratory: Laboratory, n_workers: int | None = None) -> pd.DataFrame:
    """Simulate a cohort into `folder` with `n_workers` (None: one a core), whose number does not change the bytes.

    `participants.tsv` comes last: a cohort that was cut short cannot be mistaken for a whole one.

    Returns
    -------
    The truth, a row a scan in the order of participants.tsv: true and measured binding ratios, peak slice, camera.
    """
    (folder / "volumes").mkdir(parents=True, exist_ok=True)
    (folder / "participants.tsv").unlink(missing_ok=True)
    subjects = cohort_members(laboratory.params)
    groups = scanned_together(laboratory, subjects)
    rows = chain.from_iterable(unordered(partial(_write_subjects, laboratory, folder), groups, n_workers))
    written = list(progress(rows, total=len(subjects), what="phantom", unit="scans"))
    written.sort(key=lambda row: row[0]["subject_id"])  # as `cohort_members` sorts them
    write_cohort(Cohort(folder, CohortKind.PHANTOM, pd.DataFrame([scan for scan, _ in written])))
    return pd.DataFrame([truth for _, truth in written])


def cohort_members(params: PhantomParams) -> list[tuple[str, int]]:
    """Return (label, index within the class) of every subject, shuffled: sorted by pseudonym, a seeded digest.

    Those of other groups stand between the others, whose order stays the same.
    """
    sizes = {CONTROL: params.n_control, PD: params.n_pd, **params.other_groups.model_dump()}
    members = [(label, index) for label in _CLASSES for index in range(sizes[label])]
    return sorted(members, key=lambda member: pseudonym(params.seed, *member))


def build_laboratory(
    params: PhantomParams, background: Background | None = None, n_workers: int | None = None
) -> Laboratory:
    """Build camera, sites, regions and recovery; `background` spares reading the background anew."""
    if background is None:
        background = read_background()
    camera = build_camera(coarsened(background.uptake))
    families = families_of_sites(params, _rng(params, _FAMILIES))
    sites = tuple(
        draw_site(f"site{i + 1:02d}", family, params, _rng(params, _SITE, i)) for i, family in enumerate(families)
    )
    regions = striatal_regions(MNI_SHAPE, mni_affine(), params.z_offset_voxels)
    calibrate = partial(_calibrate, params, background, camera, sites, regions)
    order = sorted(range(len(sites)), key=lambda i: _longest_first(sites[i]))
    recoveries = dict(unordered(calibrate, order, n_workers))
    recovery = mean_recovery([recoveries[i] for i in range(len(sites))], np.array([site.size for site in sites]))
    return Laboratory(params, background, camera, sites, regions, recovery)


def _calibrate(
    params: PhantomParams,
    background: Background,
    camera: Camera,
    sites: tuple[Site, ...],
    regions: Regions,
    index: int,
) -> tuple[int, Recovery]:
    """Return `index` and the recovery of one sampled head at the site of that number; every third head is a control."""
    rng = _rng(params, _CALIBRATION, index)
    person = draw_person(PD if index % 3 else CONTROL, "typical", params.posterior_ratio_sd, rng)
    well_registered = params.model_copy(update={"misregistered": 0.0})
    anatomy = draw_anatomy(well_registered, person, rng)
    acquisition = acquisition_at(sites[index], sites[index].counts)
    return index, head_recovery(build_head(anatomy, background), anatomy.to_atlas, acquisition, camera, regions)


def simulate(laboratory: Laboratory, label: str, index: int) -> Simulation:
    """Simulate subject `index` of class or other group `label`: a function of (parameters, label, index) alone."""
    return simulate_together(laboratory, [(label, index)])[0]


def simulate_together(laboratory: Laboratory, members: Sequence[tuple[str, int]]) -> list[Simulation]:
    """Do what `simulate` does with several subjects of one site, in less time."""
    params = laboratory.params
    people, anatomies, rngs = zip(*(draw_subject(params, *member) for member in members), strict=True)
    acquisitions = [drawn_acquisition(laboratory, label, rng) for (label, _), rng in zip(members, rngs, strict=True)]
    bindings = [laboratory.recovery.true_binding(person.binding) for person in people]
    activities = [
        coarsened(build_head(anatomy, laboratory.background).activity(binding))
        for anatomy, binding in zip(anatomies, bindings, strict=True)
    ]
    images = acquire_together(np.stack(activities, axis=2), acquisitions, laboratory.camera, rngs)
    simulations = []
    for i, (member, person, anatomy, acquisition) in enumerate(
        zip(members, people, anatomies, acquisitions, strict=True)
    ):
        data = stored_scan(images[:, :, i], acquisition, anatomy.to_atlas)
        subject_id = pseudonym(params.seed, *member)
        scan_id = f"{subject_id}-{_VISIT}"
        simulations.append(Simulation(scan_id, subject_id, person, anatomy, acquisition, bindings[i], data))
    return simulations


def scanned_together(laboratory: Laboratory, members: Sequence[tuple[str, int]]) -> list[list[tuple[str, int]]]:
    """Return `members` in groups of at most `_TOGETHER` at one site, those that take longest first."""

    def place(member: tuple[str, int]) -> tuple[tuple[int, int], str]:
        _, _, rng = draw_subject(laboratory.params, *member)
        made = drawn_acquisition(laboratory, member[0], rng)
        return _longest_first(made), made.site

    placed = sorted((place(member), member) for member in members)
    groups = []
    for _, at_site in groupby(placed, key=lambda pair: pair[0]):
        there = [member for _, member in at_site]
        groups += [there[start : start + _TOGETHER] for start in range(0, len(there), _TOGETHER)]
    return groups


def _longest_first(made: Site | Acquisition) -> tuple[int, int]:
    """Return what sorts scans so that those come first that take longest to reconstruct: no worker ends late."""
    return -FAMILIES.index(made.family), -made.n_iterations


def drawn_acquisition(laboratory: Laboratory, label: str | None, rng: np.random.Generator) -> Acquisition:
    """Draw where and how a subject is scanned; `label` matters only if `site_by_label` plants that it does.

    None is for a scan that may be made anywhere, as those of other groups are.
    """
    share = laboratory.params.site_by_label
    if not share or label not in LABELS:
        return draw_acquisition(laboratory.sites, rng)
    return draw_acquisition(laboratory.sites, rng, sites_of_label(laboratory.sites, LABELS.index(label)), share)


def draw_subject(params: PhantomParams, label: str, index: int) -> tuple[Person, Anatomy, np.random.Generator]:
    """Draw who subject `index` of a class or group is, before any scan; the generator goes on to the scan."""
    rng = _rng(params, _SUBJECT, _CLASSES.index(label), index)
    person = draw_person(label, course_of(params, label, index), params.posterior_ratio_sd, rng)
    return person, draw_anatomy(params, person, rng), rng


def course_of(params: PhantomParams, label: str, index: int) -> Course:
    """Return whose binding the subject has: of a share of a class, every n-th from a seeded start is not typical."""
    if label in OTHER_GROUPS:
        return "typical"
    share = params.discordant_control if label == CONTROL else params.discordant_pd
    if _is_every_nth(share, index, _rng(params, _DISCORDANT, LABELS.index(label))):
        return "discordant"
    if label == PD and _is_every_nth(params.borderline_pd, index, _rng(params, _BORDERLINE)):
        return "borderline"
    return "typical"


def _is_every_nth(share: float, index: int, rng: np.random.Generator) -> bool:
    start = rng.random()
    return int(start + share * (index + 1)) > int(start + share * index)


def pseudonym(seed: int, label: str, index: int) -> str:
    """Return a subject id that does not give the class away."""
    return "P" + hashlib.sha256(f"{seed}/{label}/{index}".encode()).hexdigest()[:8]


def _rng(params: PhantomParams, *stream: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(params.seed, spawn_key=stream))


def _write_subjects(
    laboratory: Laboratory, folder: Path, members: Sequence[tuple[str, int]]
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Simulate and write the scans of a group; return for each its rows of participants.tsv and of the truth."""
    return [_write(laboratory, folder, simulation) for simulation in simulate_together(laboratory, members)]


def _write(laboratory: Laboratory, folder: Path, simulation: Simulation) -> tuple[dict[str, Any], dict[str, Any]]:
    path = Path("volumes") / f"{simulation.scan_id}.nii"
    write_volume(folder / path, Volume(simulation.data, mni_affine()))
    scan = {
        "scan_id": simulation.scan_id,
        "subject_id": simulation.subject_id,
        "label": simulation.person.label,
        "sex": "male" if simulation.person.is_man else "female",
        "age": simulation.person.age,
        "site": simulation.acquisition.site,
        "visit": _VISIT,
        "path": path.as_posix(),
        "sha256": file_digest(folder / path),
    }
    return scan, truth_row(simulation, laboratory.regions)


def truth_row(simulation: Simulation, regions: Regions) -> dict[str, Any]:
    """Return what is true of a scan and what it measures; binding ratios keyed `true_caudate_left`, `measured_...`."""
    person, anatomy, acquisition = simulation.person, simulation.anatomy, simulation.acquisition
    true = dict(zip(MEASURED, simulation.true_binding, strict=True))
    measured = measure_binding(simulation.data, regions)
    patterns = {
        f"{part}_{side}": round(value, 4)
        for side, pattern in anatomy.patterns.items()
        for part, value in vars(pattern).items()
    }
    return {
        "scan_id": simulation.scan_id,
        "label": person.label,
        "course": person.course,
        "worse_side": person.worse_side,
        "site": acquisition.site,
        "family": acquisition.family,
        "n_iterations": acquisition.n_iterations,
        "corrects_scatter": acquisition.corrects_scatter,
        "filter_fwhm_mm": round(acquisition.filter_fwhm_mm, 3),
        "counts": round(acquisition.counts),
        "misregistered": anatomy.is_misregistered,
        "brain_uptake": round(anatomy.brain_uptake, 4),
        "peak_slice": peak_slice(simulation.data, regions),
        **{f"true_{region}": round(float(value), 4) for region, value in true.items()},
        **{f"measured_{region}": round(value, 4) for region, value in measured.items()},
        **patterns,
    }
