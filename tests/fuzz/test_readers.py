"""Readers meet hostile files: each gives a good value or a clear error that names nobody, soon and in bounded memory.

Two hundred inputs, the same at every run. `make fuzz` sets DATSPECT_FUZZ_EXAMPLES to try many more, new ones each
time; a failure is printed with the input that hypothesis shrank it to.
"""

import functools
import gzip
import logging
import os
import struct
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from tests.fuzz import hostile_dicom, hostile_nifti, hostile_tables, hostile_zips
from tests.fuzz.mutations import MARKER, damaged, mutations, traces
from tests.fuzz.watching import Watch, memory_limit
from tests.io.dicom_files import IDENTIFIERS, dicom_bytes, frames_of
from tests.io.jpeg_files import encoded
from tests.io.native_files import enhanced_file, native_frames, pair_files, slice_files, volume_file

from datspect.cohort.table import LABELS, OTHER_LABELS
from datspect.errors import ScanError
from datspect.imaging.volume import MNI_SHAPE
from datspect.importing.nifti_folder import Columns, plan_nifti
from datspect.importing.plan import Plan
from datspect.importing.ppmi import plan_ppmi
from datspect.importing.ppmi_collection import read_collection
from datspect.importing.ppmi_fields import NO_PATIENTS
from datspect.importing.ppmi_status import read_status
from datspect.importing.pseudonyms import Pseudonyms
from datspect.io.delimited import read_delimited
from datspect.io.jpeg_lossless import decoded
from datspect.io.scan_reading import ReadScan, read_scan
from datspect.io.several_files import with_several_files
from datspect.io.sources import Source, UnusableSource, find_sources, opened
from datspect.running.progress import progress

N_INPUTS = int(os.environ.get("DATSPECT_FUZZ_EXAMPLES", "0"))
"""Of a campaign; 0 within the suite."""
N_IN_SUITE = 200
N_FIXED = 30
"""Written out below, about; tried beside the others."""
GIGABYTE = 2**30


SHARES: list[float] = []


def inputs(share: float) -> settings:
    """Settings for a test that gets `share` of all inputs."""
    SHARES.append(share)
    return settings(
        max_examples=round(share * (N_INPUTS or N_IN_SUITE)),
        derandomize=not N_INPUTS,
        print_blob=bool(N_INPUTS),
        database=None,
        deadline=None,  # the watch has its own, in processor time
        phases=(
            Phase.explicit,
            Phase.generate,
            Phase.shrink,
        ),  # explaining traces, and takes ten times as long
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module")
def tick() -> Iterator[Callable[[], object]]:
    """To be called for each input; in a campaign it shows how far that is."""
    if not N_INPUTS:
        yield lambda: None
        return
    with progress(None, total=N_INPUTS + N_FIXED, what="fuzz", unit="inputs") as bar:
        yield bar.update


@pytest.fixture
def watch(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest, tick: Callable[[], object]
) -> Iterator[Watch]:
    """Limits on, and in a campaign a line on what became of the inputs."""
    watch = Watch(tmp_path, caplog, tick)
    with memory_limit():
        yield watch
    if N_INPUTS:
        print(f"\n{request.node.name}: {dict(watch.outcomes)}")  # noqa: T201


def whole(path: Path) -> Source:
    """A file as a source by itself."""
    return Source(path, None, path.name, path.stat().st_size)


def see_that_it_is_good(scan: ReadScan | None) -> None:
    """A volume that the rest can work with."""
    if scan is None:
        return
    data, affine = scan.volume.data, scan.volume.affine
    assert data.ndim == 3
    assert min(data.shape) > 0
    assert data.nbytes < GIGABYTE
    assert np.isfinite(data).all()
    assert np.isfinite(affine).all()
    assert affine.shape == (4, 4)
    assert data.dtype == np.int16


@functools.cache
def voxels() -> np.ndarray:
    """A head-like blob on the MNI grid, int16, few distinct values so that it packs fast."""
    squared = [((np.arange(size) - size / 2) / (0.4 * size)) ** 2 for size in MNI_SHAPE]
    radius = squared[0][:, None, None] + squared[1][:, None] + squared[2]
    return np.where(radius < 1, 1000 - 100 * (4 * radius).astype(np.int16), 20).astype(np.int16)


@functools.cache
def dicom_base(syntax: str) -> bytes:
    """A good file, the marker in every field of words."""
    identifiers = {name: value if value[:2].isdigit() else MARKER for name, value in IDENTIFIERS.items()}
    return dicom_bytes(frames_of(voxels()), syntax=syntax, identifiers=identifiers)  # type: ignore[arg-type]


@functools.cache
def nifti_base() -> tuple[bytes, bytes, bytes]:
    """Header, voxels, and voxels as a gzip member of their own."""
    plain = voxels().tobytes(order="F")
    return hostile_nifti.valid_header(), plain, gzip.compress(plain, 1)


def nifti_bytes(header: bytes, *, packed: bool) -> bytes:
    _, plain, member = nifti_base()
    return hostile_nifti.zipped(header, member) if packed else header + plain


Damages = list[Callable[[bytes], bytes]]

N_SLICES = 8
SMALL_FRAMES = native_frames()[10 : 10 + N_SLICES]
HIDDEN = {name: value if value[:2].isdigit() else MARKER for name, value in IDENTIFIERS.items()}
_WHOLE_NUMBERS = dict.fromkeys(("PixelData", "BitsStored", "HighBit", "PixelRepresentation"))
NATIVE_FORMS: dict[str, Callable[[], list[tuple[str, bytes]]]] = {
    "volume": lambda: volume_file(SMALL_FRAMES, identifiers=HIDDEN),
    "run lengths": lambda: volume_file(SMALL_FRAMES, identifiers=HIDDEN, syntax="rle"),
    "JPEG Lossless": lambda: volume_file(SMALL_FRAMES, identifiers=HIDDEN, syntax="jpeg sv1"),
    "JPEG Lossless by another predictor": lambda: volume_file(SMALL_FRAMES, identifiers=HIDDEN, syntax="jpeg"),
    "functional groups": lambda: enhanced_file(SMALL_FRAMES, identifiers=HIDDEN),
    "groups of each frame": lambda: enhanced_file(SMALL_FRAMES, shared=False, identifiers=HIDDEN),
    "shifted": lambda: volume_file(SMALL_FRAMES, identifiers=HIDDEN, changes={"BitsStored": 12, "HighBit": 14}),
    "floating point": lambda: volume_file(
        SMALL_FRAMES,
        identifiers=HIDDEN,
        changes=_WHOLE_NUMBERS | {"FloatPixelData": SMALL_FRAMES.astype("<f4").tobytes(), "BitsAllocated": 32},
    ),
}


@functools.cache
def native_base(form: str) -> bytes:
    return NATIVE_FORMS[form]()[0][1]


@functools.cache
def slices_base() -> list[tuple[str, bytes]]:
    return slice_files(SMALL_FRAMES, identifiers=HIDDEN)


@functools.cache
def pair_base(kind: str) -> list[tuple[str, bytes]]:
    (name, header), voxels = pair_files(SMALL_FRAMES, nib.Nifti1Pair if kind == "nifti" else nib.AnalyzeImage)
    marked = header[:14] + MARKER.encode() + header[26:148] + MARKER.encode() + header[160:]  # db_name and descrip
    return [(name, marked), voxels]


DICOM_HEAD_BYTES = 4000
MILLIONS_OF_EMPTY_ELEMENTS = bytes(40_000_000)
dicom_damages = st.lists(
    st.one_of(hostile_dicom.splices(), mutations(DICOM_HEAD_BYTES, 1_800_000)), min_size=1, max_size=4
)
native_damages = dicom_damages | st.lists(mutations(DICOM_HEAD_BYTES, 20_000), min_size=1, max_size=3)
"""The second kind finds the pixels of small files, packed ones too."""
header_damages = st.lists(hostile_nifti.fields(), max_size=4) | hostile_nifti.huge_dimensions()
junk = st.binary(max_size=2000) | st.builds(
    bytes.__add__,
    st.sampled_from((bytes(128) + b"DICM", bytes([92, 1, 0, 0]), b"\x1f\x8b\x08", b"PK\x03\x04")),
    st.binary(),
)


def test_the_shares_are_of_all_inputs() -> None:
    assert sum(SHARES) == pytest.approx(1)


def test_the_files_that_the_damage_starts_from_are_good(watch: Watch) -> None:
    for syntax in ("explicit", "implicit", "big", "rle"):
        see_that_it_is_good(read_scan(whole(watch.file("scan.dcm", dicom_base(syntax)))))
    for form in NATIVE_FORMS:
        see_that_it_is_good(read_scan(whole(watch.file("scan.dcm", native_base(form)))))
    for together in (slices_base(), pair_base("nifti"), pair_base("analyze")):
        read_together(watch, together)
    assert watch.outcomes["refused"] == 0
    for packed in (True, False):
        scan = read_scan(whole(watch.file("scan.nii", nifti_bytes(nifti_base()[0], packed=packed))))
        see_that_it_is_good(scan)
        assert np.array_equal(scan.volume.data, voxels())


@inputs(0.20)
@given(st.sampled_from(("explicit", "explicit", "explicit", "implicit", "big", "rle")), dicom_damages)
@example("explicit", [lambda data: hostile_dicom.deflated_bomb(data, 4 * GIGABYTE)])
@example("explicit", [lambda data: data[:132] + MILLIONS_OF_EMPTY_ELEMENTS])
@example("explicit", [lambda data: data + MILLIONS_OF_EMPTY_ELEMENTS])
def test_a_damaged_dicom_file_gives_a_scan_or_a_clear_error(watch: Watch, syntax: str, damages: Damages) -> None:
    path = watch.file("scan.dcm", damaged(dicom_base(syntax), damages))
    see_that_it_is_good(watch.read(lambda: read_scan(whole(path))))


@inputs(0.12)
@given(st.booleans(), header_damages, st.lists(mutations(hostile_nifti.HEADER_BYTES, 1_800_000), max_size=2))
def test_a_damaged_nifti_file_gives_a_scan_or_a_clear_error(
    watch: Watch, packed: bool, header: Damages, rest: Damages
) -> None:
    data = damaged(nifti_bytes(damaged(nifti_base()[0], header), packed=packed), rest)
    see_that_it_is_good(watch.read(lambda: read_scan(whole(watch.file("scan.nii.gz" if packed else "scan.nii", data)))))


@inputs(0.06)
@given(st.sampled_from(sorted(NATIVE_FORMS)), native_damages)
def test_a_damaged_native_dicom_file_gives_a_scan_or_a_clear_error(watch: Watch, form: str, damages: Damages) -> None:
    path = watch.file("scan.dcm", damaged(native_base(form), damages))
    see_that_it_is_good(watch.read(lambda: read_scan(whole(path))))


@functools.cache
def jpeg_base(predictor: int, rows_between: int) -> bytes:
    return encoded(SMALL_FRAMES[0].astype(np.uint16), predictor=predictor, rows_between=rows_between)


@inputs(0.18)
@given(st.integers(1, 7), st.sampled_from((0, 1, 4)), st.lists(mutations(80, 2000), min_size=1, max_size=4))
def test_a_damaged_jpeg_stream_gives_a_frame_or_a_clear_error(
    watch: Watch, predictor: int, rows_between: int, damages: Damages
) -> None:
    watch.tick()
    stream = damaged(jpeg_base(predictor, rows_between), damages)
    frame = watch.read(lambda: decoded(stream, SMALL_FRAMES[0].shape))
    assert frame is None or (frame.shape == SMALL_FRAMES[0].shape and frame.dtype == np.uint16)


def read_together(watch: Watch, files: list[tuple[str, bytes]]) -> None:
    """Read what lies in one folder, each scan whether in one file or in several."""
    watch.tick()
    folder = watch.folder / "together"
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for name, data in files:
        (folder / name).write_bytes(data)
    for source in watch.read(lambda: with_several_files(find_sources([folder])[0])) or []:
        see_that_it_is_good(watch.read(lambda: read_scan(source, frames="mean")))  # noqa: B023


@inputs(0.06)
@given(
    st.dictionaries(st.integers(0, N_SLICES - 1), dicom_damages, max_size=3),
    dicom_damages | st.just([]),
    st.sets(st.integers(0, N_SLICES - 1), max_size=2),
)
@example({}, [lambda data: hostile_dicom.deflated_bomb(data, GIGABYTE)], set())
def test_a_damaged_series_gives_a_scan_or_a_clear_error(
    watch: Watch, of_one: dict[int, Damages], of_all: Damages, lost: set[int]
) -> None:
    files = [
        (name, damaged(content, of_all + of_one.get(number, [])))
        for number, (name, content) in enumerate(slices_base())
        if number not in lost
    ]
    read_together(watch, files)


@inputs(0.05)
@given(
    st.sampled_from(("nifti", "analyze")),
    st.lists(hostile_nifti.fields(), max_size=4) | hostile_nifti.huge_dimensions(),
    st.lists(mutations(hostile_nifti.HEADER_BYTES, 40_000), max_size=2),
    st.lists(mutations(100, 40_000), max_size=2),
    st.sampled_from(("", ".gz")),
)
@example("analyze", [lambda data: data[:112] + struct.pack("<f", 3e-45) + data[116:]], [], [], "")
def test_a_damaged_pair_gives_a_scan_or_a_clear_error(
    watch: Watch, kind: str, fields: Damages, of_header: Damages, of_voxels: Damages, ending: str
) -> None:
    (_, header), (_, voxels) = pair_base(kind)
    voxels = damaged(gzip.compress(voxels, 1) if ending else voxels, of_voxels)
    read_together(watch, [("scan.hdr", damaged(damaged(header, fields), of_header)), (f"scan.img{ending}", voxels)])


@inputs(0.04)
@given(junk, st.sampled_from(("scan.dcm", "scan.nii", "scan.nii.gz")))
@example(hostile_nifti.gzip_bomb(hostile_nifti.valid_header(), 4 * GIGABYTE), "scan.nii.gz")
@example(hostile_nifti.gzip_bomb(b"", 4 * GIGABYTE), "scan.nii.gz")
@example(b"", "scan.dcm")
def test_what_is_no_scan_is_refused_whatever_it_is_called(watch: Watch, data: bytes, name: str) -> None:
    path = watch.file(name, data)
    assert watch.read(lambda: read_scan(whole(path))) is None


MEMBER_LIMIT_BYTES = 2**26


@inputs(0.11)
@given(
    st.lists(hostile_zips.members((b"", b"a scan", bytes(10**6))), max_size=4),
    st.lists(hostile_zips.lies() | mutations(60, 2000), max_size=3),
)
@example([], [lambda _: hostile_zips.bomb(80 * 2**20)])
@example([], [lambda _: hostile_zips.many_members(20_000)])
@example([], [lambda _: b""])
def test_a_damaged_zip_gives_whole_members_that_stay_inside_or_reasons(
    watch: Watch, parts: list[hostile_zips.Member], damages: Damages
) -> None:
    path = watch.file("download.zip", damaged(hostile_zips.written(parts), damages))
    sources, unusable = watch.read(lambda: find_sources([path])) or ([], [])
    assert not [each for each in unusable if traces(each.reason)]
    for source in sources[:10]:
        steps = source.name.split("/")
        assert not source.name.startswith("/")
        assert ".." not in steps
        content = watch.read(lambda: content_of(source))  # noqa: B023
        assert content is None or len(content) == source.size <= MEMBER_LIMIT_BYTES


def content_of(source: Source) -> bytes:
    with opened(source, MEMBER_LIMIT_BYTES) as stream:
        return stream.read()


COLLECTION_COLUMNS = (
    "Image Data ID", "Subject", "Group", "Sex", "Age", "Visit", "Modality", "Description", "Type", "Acq Date",
)  # fmt: skip
COLLECTION_ROWS = (
    ("I323662", "3000", "Control", "F", "61.5", "SC", "SPECT", "Reconstructed DaTSCAN", "Processed", "8/14/2012"),
    ("323663", "3001", "PD", "M", "62", "SC", "SPECT", "Reconstructed_DaTSCAN", "Pre-processed", "08/04/2012"),
    ("I323664", "3000", "HC", "F", "62.5", "V04", "SPECT", "Reconstructed DaTSCAN", "Processed", "8/20/2013"),
    ("I323665", MARKER, "PD", "M", "63", MARKER, "SPECT", "Reconstructed DaTSCAN", MARKER, "9/1/2012"),
    ("I323666", "3002", "PD", "M", "64", "BL", "MRI", MARKER, "Original", "9/2/2012"),
)
PARTICIPANTS_COLUMNS = ("participant_id", "group", "age", "sex", "site", "visit", "file")
PARTICIPANTS_ROWS = (
    ("sub-01", "PD", "61", "M", MARKER, "1", ""),
    ("sub-02", "control", "93.5", "female", "", "BL", "sub-02/scan.nii"),
    (f"sub-{MARKER}", "HC", "n/a", "", "north", "2012-08-14", ""),
    ("sub-01", "PD", "62", "M", "", "2", ""),
)
FOUND = [
    Source(Path("downloaded"), None, name, 10)
    for name in (
        "PPMI/3000/Reconstructed_DaTSCAN/2012-08-14_09_41_27.0/I323662/PPMI_3000_NM_I323662.dcm",
        f"PPMI/{MARKER}/Reconstructed_DaTSCAN/2012-09-01_09_41_27.0/I323665/{MARKER}.dcm",
        "sub-01/scan.nii",
        "sub-02/scan.nii",
        f"sub-{MARKER}/scan.nii.gz",
    )
]
UNUSABLE = [UnusableSource(f"{MARKER}/a.dcm", "a link")]


def see_that_nobody_is_named(plan: Plan | None) -> None:
    """Only sources, which are never written, may name a patient."""
    for subject in plan.subjects if plan else ():
        candidates = tuple(replace(candidate, source=None) for candidate in subject.candidates)
        assert not traces(repr(replace(subject, candidates=candidates)))
        assert subject.label
        assert all(each.age is None or 0 <= each.age <= 90 for each in candidates)
    if plan:
        assert not traces(repr((plan.exclusions, plan.counts)))


def damaged_tables(columns: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> st.SearchStrategy[bytes]:
    return st.builds(damaged, hostile_tables.tables(columns, rows), st.lists(mutations(100, 600), max_size=2))


@inputs(0.09)
@given(damaged_tables(COLLECTION_COLUMNS, COLLECTION_ROWS))
def test_a_damaged_collection_gives_a_plan_or_a_clear_error(watch: Watch, data: bytes) -> None:
    path, names = watch.file(f"{MARKER}.csv", data), Pseudonyms(bytes(32))
    see_that_nobody_is_named(
        watch.read(lambda: plan_ppmi(FOUND, UNUSABLE, read_collection([path]), LABELS, names)),
    )


@inputs(0.05)
@given(damaged_tables(PARTICIPANTS_COLUMNS, PARTICIPANTS_ROWS), st.booleans())
def test_a_damaged_table_of_participants_gives_a_plan_or_a_clear_error(
    watch: Watch, data: bytes, by_file: bool
) -> None:
    path, names = watch.file(f"{MARKER}.tsv", data), Pseudonyms(bytes(32))
    columns = Columns(file=("file",)) if by_file else Columns()
    see_that_nobody_is_named(
        watch.read(lambda: plan_nifti((FOUND, UNUSABLE), read_delimited(path), names, columns)),
    )


STATUS_ROWS = (("3000", "2", "Healthy Control"), ("3001", "1", "Parkinson's Disease"), (MARKER, "4", MARKER))


@inputs(0.04)
@given(damaged_tables(("PATNO", "COHORT", "COHORT_DEFINITION"), STATUS_ROWS))
def test_a_damaged_table_of_status_gives_labels_or_a_clear_error(watch: Watch, data: bytes) -> None:
    path = watch.file(f"{MARKER}.csv", data)
    status = watch.read(lambda: read_status(path))
    assert set(status.cohorts.values() if status else ()) <= {"", *LABELS, *OTHER_LABELS, *NO_PATIENTS}


def test_reading_in_threads_says_nothing_and_leaves_warnings_and_logs_as_they_were(
    watch: Watch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """As the import reads: whoever silences pydicom or nibabel turns one switch for all threads."""
    words = (
        hostile_dicom.Splice((0x0008, 0x0005), "CS", MARKER.encode()),
        hostile_dicom.Splice((0x0018, 0x0050), "DS", b"x1"),
    )
    odd = hostile_nifti.Field("bitpix", 7)(hostile_nifti.Field("pixdim[0]", 3.5)(nifti_base()[0]))
    files = [
        whole(watch.file("scan.dcm", damaged(dicom_base("explicit"), list(words)))),
        whole(watch.file("scan.nii", nifti_bytes(odd, packed=False))),
    ]
    before = switches()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(8) as pool:
            refused = list(pool.map(is_refused, 50 * files))
    finally:
        sys.setswitchinterval(interval)
    assert switches() == before
    assert len(set(refused[::2])) == len(set(refused[1::2])) == 1
    assert not traces(caplog.text + "".join(capfd.readouterr()))


def is_refused(source: Source) -> bool:
    try:
        read_scan(source)
    except ScanError:
        return True
    return False


def switches() -> tuple[list[object], list[int]]:
    """What decides whether a warning or log line is shown."""
    loggers = [logging.getLogger(name) for name in ("pydicom", "nibabel.global")]
    return list(warnings.filters), [logger.level for logger in loggers]
