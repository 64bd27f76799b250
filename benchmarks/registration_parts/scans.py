"""The scans of the benchmark: native phantoms with their truth, and hopeless ones; a folder keeps them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count, islice
from pathlib import Path

import numpy as np

from datspect.arrays import FloatArray
from datspect.cohort.table import LABELS
from datspect.imaging.volume import Affine, Volume, mni_affine
from datspect.io.native_files import FormCodes, write_nifti
from datspect.io.sources import Source
from datspect.params.whole import load_params
from datspect.phantom.cohort import Laboratory, build_laboratory, cohort_members
from datspect.phantom.hopeless import DOUBTFUL, HOPELESS, hopeless_scan
from datspect.phantom.native import NativeScan, ordinary_scan
from datspect.phantom.native_cohort import native_params
from datspect.running.pool import unordered
from datspect.running.progress import progress

CODES = FormCodes(1, 1)
"""Scanner space in both forms, as dcm2niix writes it."""
DOUBTFUL_SHARE = 0.1
"""So many doubtful scans as a share of the hopeless ones."""


@dataclass(frozen=True)
class Ordinary:
    """An ordinary native phantom as a file, and what is true of it.

    to_native : shape (4, 4), MNI mm of the template to mm of the scan
    striata_mni_mm, striata_native_mm : shape (4, 3), mm
    in_mni : the same reconstruction where a perfect registration would put it
    """

    name: str
    label: str
    source: Source
    to_native: Affine
    striata_mni_mm: FloatArray
    striata_native_mm: FloatArray
    in_mni: Volume


@dataclass(frozen=True)
class Hopeless:
    """A scan that must be refused, as a file; `doubtful` ones are DaT scans in which nothing binds."""

    name: str
    kind: str
    source: Source

    @property
    def doubtful(self) -> bool:
        """Whether it is no other thing than a DaT scan of a head."""
        return self.kind in DOUBTFUL


def ordinary_names(n: int, seed: int) -> list[str]:
    """Return the names of `n` ordinary scans: classes in the proportion of the default phantom."""
    members = cohort_members(native_params(load_params().phantom, n, seed))
    return sorted(f"{seed}-{label}-{index:04d}" for label, index in members)


def hopeless_names(n: int, seed: int) -> list[str]:
    """Return the names of `n` hopeless scans, spread evenly over all kinds, and of doubtful ones beside them."""
    each = ((kind, index) for index in count() for kind in HOPELESS)
    doubtful = ((kind, index) for index in range(max(1, round(DOUBTFUL_SHARE * n))) for kind in DOUBTFUL)
    return [f"{seed}-{kind}-{index:04d}" for kind, index in (*islice(each, n), *doubtful)]


def simulate(names: Sequence[str], folder: Path, n_workers: int) -> None:
    """Simulate those of `names` that `folder` does not hold yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in sorted({seed_of(name) for name in names}):
        missing = [name for name in names if seed_of(name) == seed and not _files(folder, name)[-1].exists()]
        if missing:
            laboratory = build_laboratory(native_params(load_params().phantom, len(missing), seed), None, n_workers)
            done = unordered(partial(_simulate, laboratory, folder), missing, n_workers)
            list(progress(done, total=len(missing), what=f"simulate, seed {seed}", unit="scans"))


def read_ordinary(folder: Path, name: str) -> Ordinary:
    """Return an ordinary scan that was simulated into `folder`."""
    scan, truth = _files(folder, name)
    with np.load(truth) as found:
        points = found["striata_mni_mm"], found["striata_native_mm"]
        to_native, in_mni = found["to_native"], Volume(found["in_mni"], mni_affine())
    return Ordinary(name, kind_of(name), _source(scan), to_native, *points, in_mni)


def read_hopeless(folder: Path, name: str) -> Hopeless:
    """Return a hopeless or doubtful scan that was simulated into `folder`."""
    return Hopeless(name, kind_of(name), _source(_files(folder, name)[-1]))


def largest(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """Yield the files of scans, those with most bytes first."""
    yield from sorted((_files(folder, name)[0] for name in names), key=lambda path: -path.stat().st_size)


def seed_of(name: str) -> int:
    """Return the seed of a scan by its name."""
    return int(name.partition("-")[0])


def kind_of(name: str) -> str:
    """Return the class of an ordinary scan, the kind of a hopeless one, by its name."""
    return name.split("-")[1]


def _simulate(laboratory: Laboratory, folder: Path, name: str) -> None:
    """Simulate a scan; of its files the one that tells that it is whole comes last."""
    _, kind, index = name.split("-")
    files = _files(folder, name)
    if kind not in LABELS:
        _write(files[0], hopeless_scan(kind, laboratory, int(index)))  # type: ignore[arg-type]
        return
    scan: NativeScan = ordinary_scan(laboratory, kind, int(index))
    _write(files[0], scan.volume)
    unfinished = files[1].with_suffix(".part.npz")
    np.savez_compressed(
        unfinished,
        to_native=scan.to_native,
        striata_mni_mm=scan.striata_mni_mm,
        striata_native_mm=scan.striata_native_mm,
        in_mni=scan.in_mni.data,
    )
    unfinished.rename(files[1])


def _write(path: Path, volume: Volume) -> None:
    unfinished = path.with_suffix(".part.nii")
    write_nifti(unfinished, volume, CODES)
    unfinished.rename(path)


def _files(folder: Path, name: str) -> list[Path]:
    ends = (".nii", ".npz") if kind_of(name) in LABELS else (".nii",)
    return [folder / f"{name}{end}" for end in ends]


def _source(path: Path) -> Source:
    return Source(path, None, path.name, path.stat().st_size)
