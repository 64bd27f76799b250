"""Speed of the way in, on the same files in one run: import on all cores and on one, preprocess and the obvious loop.

A made-up PPMI download (a DICOM file a subject and a collection CSV) and a .nii.gz copy of each volume are written from
the phantom cohort to a temporary folder. Then take turns, in each round:

- `import_subjects` on all cores, and the same in one process, each by a program of its own into a new folder, from the
  plan to the account; the start of Python is not counted, that of workers is;
- stage `preprocess` on the imported cohort folder, and the obvious loop: `get_fdata` on .nii.gz, slices 40 to 42.

At the end one more import runs, to see its peak memory.

    python benchmarks/importing.py [--quick] [--rounds 3] [--json FILE] [--into PAGE]

Needs the phantom cohort (`dvc repro`) and 6 GB of disk; about ten minutes on two cores.
"""

import argparse
import csv
import io
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import ExplicitVRLittleEndian, NuclearMedicineImageStorage

from datspect.cohort.table import LABELS, read_cohort
from datspect.errors import DatspectError
from datspect.importing.plan import Plan
from datspect.importing.ppmi import plan_ppmi
from datspect.importing.ppmi_collection import read_collection
from datspect.importing.pseudonyms import Pseudonyms
from datspect.importing.subjects import ImportOptions, import_subjects
from datspect.io.sources import find_sources
from datspect.io.volumes import read_volume
from datspect.reporting.markdown import markdown_table
from datspect.running.progress import progress
from datspect.stages import preprocess
from measuring import Goal, goals_part, page_parser, peak_memory_of, publish, seconds

COHORT = Path("data/phantom/cohort")
SLICES = slice(40, 43)
QUICK_SHARE = 10
IMPORT_GOAL, PREPROCESS_GOAL = 1.7, 3.0
GROUPS = {"control": "Control", "pd": "PD"}
CSV_HEAD = "Image Data ID,Subject,Group,Sex,Age,Visit,Modality,Description,Type,Acq Date,Format,Downloaded"


@dataclass(frozen=True)
class Place:
    """Where things lie below a temporary folder."""

    folder: Path

    @property
    def download(self) -> Path:
        """The made-up download."""
        return self.folder / "download"

    @property
    def table(self) -> Path:
        """Its collection CSV."""
        return self.folder / "collection.csv"

    @property
    def packed(self) -> Path:
        """The .nii.gz copies."""
        return self.folder / "packed"

    def cohort(self, name: str) -> Path:
        """A cohort folder that an import fills."""
        return self.folder / f"cohort of {name}"


def main() -> None:
    parser = page_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--import-of", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--as", dest="cohort_name", help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.import_of:
        print(
            seconds(lambda: run_import(Place(arguments.import_of), arguments.cohort_name, n_workers=arguments.workers))
        )
        return
    with tempfile.TemporaryDirectory() as name:
        place = Place(Path(name))
        n_scans = write_files(place, quick=arguments.quick)
        samples = race(place, n_scans, 1 if arguments.quick else arguments.rounds)
        result = summary(samples, n_scans) | {
            "import_memory_mb": peak_memory_of(__file__, *import_options(place, "memory", len(os.sched_getaffinity(0))))
        }
    publish(arguments, parts(result), result)


def write_files(place: Place, *, quick: bool) -> int:
    """The download and the copies; how many scans there are."""
    scans = read_cohort(COHORT).scans.sort_values("scan_id", ignore_index=True)
    scans = scans[::QUICK_SHARE].reset_index(drop=True) if quick else scans
    place.packed.mkdir()
    work = Parallel(n_jobs=-1, return_as="generator")(
        delayed(write_scan)(place, number, COHORT / path) for number, path in enumerate(scans["path"])
    )
    for _ in progress(work, total=len(scans), what="made-up download", unit="scan"):
        pass
    with place.table.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([CSV_HEAD.split(","), *table_rows(scans)])
    return len(scans)


def write_scan(place: Place, number: int, volume_path: Path) -> None:
    """One volume as DICOM, where PPMI would put it, and as .nii.gz."""
    volume = read_volume(volume_path)
    path = place.download / file_name(number)
    path.parent.mkdir(parents=True)
    # The convention of PPMI: frames upwards, rows front to back, columns right to left as in the volume.
    path.write_bytes(dicom_bytes(np.ascontiguousarray(volume.data[:, ::-1, :].transpose(2, 1, 0))))
    nib.save(nib.Nifti1Image(np.asarray(volume.data), volume.affine), place.packed / f"{number:04d}.nii.gz")


def dicom_bytes(frames: NDArray[np.int16]) -> bytes:
    """A nuclear medicine object; `frames`: shape (frame, row, column)."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = NuclearMedicineImageStorage, "1.2.3"
    dataset.Modality, dataset.ImageType = "NM", ["DERIVED", "PRIMARY", "RECON TOMO", "EMISSION"]
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = frames.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.PixelSpacing, dataset.SliceThickness, dataset.SpacingBetweenSlices = [2, 2], 2, 2
    dataset.PixelData = frames.astype("<i2").tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def table_rows(scans: pd.DataFrame) -> list[tuple[object, ...]]:
    """The collection CSV."""
    what = ("SC", "SPECT", "Reconstructed DaTSCAN", "Processed", "8/14/2012", "DCM", "8/14/2013")
    return [
        (image_id(number), subject(number), GROUPS[scan.label], str(scan.sex)[0].upper(), scan.age, *what)
        for number, scan in enumerate(scans.itertuples())
    ]


def subject(number: int) -> int:
    return 3000 + number


def image_id(number: int) -> str:
    return f"I{323_000 + number}"


def file_name(number: int) -> str:
    """Below the root of the download."""
    name = f"PPMI_{subject(number)}_NM_Reconstructed_DaTSCAN_Br_20120814154829508_1_S117534_{image_id(number)}.dcm"
    return f"PPMI/{subject(number)}/Reconstructed_DaTSCAN/2012-08-14_09_41_27.0/{image_id(number)}/{name}"


def race(place: Place, n_scans: int, n_rounds: int) -> dict[str, list[float]]:
    """Seconds of each of the four in each round."""
    works: dict[str, Callable[[], float]] = {
        "all cores": lambda: import_seconds(place, "all cores", len(os.sched_getaffinity(0))),
        "one process": lambda: import_seconds(place, "one process", 1),
        "preprocess": lambda: seconds(lambda: preprocess.main(place.cohort("all cores"), place.folder / "images")),
        "obvious loop": lambda: seconds(lambda: obvious_loop(sorted(place.packed.iterdir()))),
    }
    samples: dict[str, list[float]] = {name: [] for name in works}
    for _ in progress(range(n_rounds), total=n_rounds, what=f"race on {n_scans} scans", unit="rounds"):
        for name, work in works.items():
            shutil.rmtree(place.cohort(name), ignore_errors=True)  # not timed
            samples[name].append(work())
    return samples


def import_seconds(place: Place, name: str, n_workers: int) -> float:
    """Of an import by a program of its own, as a person starts it: nothing is warm.

    Raises
    ------
    subprocess.CalledProcessError : it failed.
    """
    command = [sys.executable, __file__, *import_options(place, name, n_workers)]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return float(answer.stdout)


def import_options(place: Place, name: str, n_workers: int) -> list[str]:
    """Of this program, to make it import."""
    return ["--import-of", str(place.folder), "--as", name, "--workers", str(n_workers)]


def run_import(place: Place, name: str, *, n_workers: int) -> None:
    """Import all of the download.

    Raises
    ------
    DatspectError : a scan was left out, so that the times would not compare.
    """
    plan = planned(place)
    account = import_subjects(plan, place.cohort(name), ImportOptions(n_workers=n_workers), made_up_names())
    if account.exclusions:
        raise DatspectError(f"{len(account.exclusions)} of {len(plan.subjects)} scans were left out")


def planned(place: Place) -> Plan:
    """Files found, CSV read, both brought together."""
    sources, unusable = find_sources([place.download])
    return plan_ppmi(sources, unusable, read_collection([place.table]), LABELS, made_up_names())


def made_up_names() -> Pseudonyms:
    """Under a key that is none."""
    return Pseudonyms(bytes(32))


def obvious_loop(paths: list[Path]) -> NDArray[np.float64]:
    """What one would write first, shape (scans, x, y, 3)."""
    return np.stack([nib.load(path).get_fdata()[:, :, SLICES] for path in paths])


def summary(samples: dict[str, list[float]], n_scans: int) -> dict[str, Any]:
    """Medians and their ratios."""
    median = {name: statistics.median(times) for name, times in samples.items()}
    return {
        "n_scans": n_scans,
        "n_rounds": len(samples["all cores"]),
        "cores": len(os.sched_getaffinity(0)),
        "samples": samples,
        "seconds": median,
        "scans_per_second": {name: n_scans / value for name, value in median.items()},
        "import_ratio": median["one process"] / median["all cores"],
        "preprocess_ratio": median["obvious loop"] / median["preprocess"],
    }


def parts(result: dict[str, Any]) -> list[str]:
    """Return the table of the four ways and the goals as Markdown."""
    names = {
        "all cores": f"import, {result['cores']} cores",
        "one process": "import, one process",
        "preprocess": "stage `preprocess`, on the cohort folder",
        "obvious loop": "obvious loop: `get_fdata` on .nii.gz, slices 40 to 42",
    }
    rows = [["", "seconds, median", "lowest", "highest", "scans/s"]]
    for key, name in names.items():
        times, rate = result["samples"][key], result["scans_per_second"][key]
        rows.append([name, *(f"{figure:.1f}" for figure in (result["seconds"][key], min(times), max(times), rate))])
    return [
        f"A made-up PPMI download of {result['n_scans']} DICOM files, {result['n_rounds']} round(s), each way in "
        f"turn, every import a program of its own. Peak memory of an import: {result['import_memory_mb']} MB.",
        markdown_table(rows),
        goals_part(goals(result)),
    ]


def goals(result: dict[str, Any]) -> list[Goal]:
    """Return the goals of the import's cores, and of `preprocess` beside the obvious loop."""
    median = result["seconds"]
    return [
        Goal(
            name=f"import on {result['cores']} cores against one process",
            wanted=f"at least {IMPORT_GOAL:g}x",
            found=f"{result['import_ratio']:.2f}x",
            met=result["import_ratio"] >= IMPORT_GOAL,
            limit=f"{median['one process']:.0f} s in one process, {median['all cores']:.0f} s on all cores; "
            "plan, mean phantom and journal are made by one process, and both cores share the way to memory.",
        ),
        Goal(
            name="preprocess against the obvious loop",
            wanted=f"at least {PREPROCESS_GOAL:g}x",
            found=f"{result['preprocess_ratio']:.2f}x",
            met=result["preprocess_ratio"] >= PREPROCESS_GOAL,
            limit=f"{median['preprocess']:.1f} s against {median['obvious loop']:.1f} s; digests, fingerprints, "
            "binding ratios and the contact sheet are in it, which the loop does not make.",
        ),
    ]


if __name__ == "__main__":
    main()
