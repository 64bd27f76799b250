"""Name what an import found and did not read: by kind and number, and where a word helps, one by one."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath

from datspect.io.several_files import SeveralFiles
from datspect.io.sources import Source, UnusableSource

_ANALYZE = "ANALYZE or NIfTI pairs (.hdr, .img)"
_KINDS = {
    "DICOM (.dcm, .ima)": (".dcm", ".dicom", ".ima"),
    "NIfTI (.nii, .nii.gz)": (".nii", ".nii.gz"),
    _ANALYZE: (".hdr", ".img", ".hdr.gz", ".img.gz"),
    "other formats of images": (
        *(".mgz", ".mgh", ".mnc", ".nrrd", ".nhdr", ".mha", ".mhd", ".par", ".rec", ".v", ".h33", ".i33", ".hv"),
        *(".mat", ".npy", ".npz", ".h5", ".gipl", ".fdf", ".bvec", ".bval"),
    ),
    "pictures (.png, .jpg, .tif)": (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".svg"),
    "tables (.csv, .tsv, .xlsx)": (".csv", ".tsv", ".xlsx", ".xls", ".ods", ".sav"),
    "XML": (".xml",),
    "JSON": (".json",),
    "texts (.txt, .pdf, .html)": (".txt", ".md", ".pdf", ".doc", ".docx", ".rtf", ".htm", ".html", ".log"),
    "notes of DVC": (".dvc",),
    "DICOMDIR": ("dicomdir",),
}
_PAIR = (
    "half of a pair of files, which is not read; a pair of NIfTI is joined by nib-convert NAME.img NAME.nii; ANALYZE "
    "does not say how the head lies, so export such a scan anew"
)
_NO_IMG = "a header without its .img beside it, which holds the voxels; add that file"
_NO_HDR = "an .img without its .hdr beside it, which says what the voxels mean; add that file"


def unread_counts(unread: Iterable[Source]) -> dict[str, int]:
    """Return the numbers of what an import does not read, by kind, the most frequent first."""
    kinds = Counter(kind_of(source.name) for source in unread)
    return {f"not read: {kind}": number for kind, number in kinds.most_common()}


def kind_of(name: str) -> str:
    """Return the kind of a file by the ending of its name, which is itself not shown: it may be part of a name."""
    lower = PurePosixPath(name).name.lower()
    known = next((kind for kind, endings in _KINDS.items() if lower.endswith(endings)), None)
    return known or ("files of other endings" if PurePosixPath(lower).suffix else "files without an ending")


def unread_problems(sources: Sequence[Source], unusable: Iterable[UnusableSource]) -> Iterator[tuple[str, str]]:
    """Yield names and reasons of what must not be opened, and of pairs of files and their halves."""
    yield from ((what.name, what.reason) for what in unusable)
    there = {source.name.lower() for source in sources}
    for source in sources:
        is_pair = isinstance(source, SeveralFiles) and source.form == "pair"
        reason = _PAIR if is_pair else _half_problem(source.name.lower(), there)
        if reason:
            yield source.name, reason


def _half_problem(name: str, there: set[str]) -> str:
    stem, packed = (name[: -len(".gz")], ".gz") if name.endswith(".gz") else (name, "")
    base, ending = stem[:-4], stem[-4:]
    if ending not in (".hdr", ".img"):
        return ""
    if base + {".hdr": ".img", ".img": ".hdr"}[ending] + packed in there:
        return _PAIR if ending == ".hdr" else ""  # one line a pair
    return _NO_IMG if ending == ".hdr" else _NO_HDR
