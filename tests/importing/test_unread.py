"""What an import does not read is named by kind, and pairs of files and their halves by a word of their own."""

from pathlib import Path

import pytest

from datspect.importing.unread import kind_of, unread_counts, unread_problems
from datspect.io.sources import Source, UnusableSource


def sources(*names: str) -> list[Source]:
    return [Source(Path(name), None, name, 1) for name in names]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a/x.dcm", "DICOM (.dcm, .ima)"),
        ("x.NII.GZ", "NIfTI (.nii, .nii.gz)"),
        ("x.hdr", "ANALYZE or NIfTI pairs (.hdr, .img)"),
        ("x.img.gz", "ANALYZE or NIfTI pairs (.hdr, .img)"),
        ("x.mgz", "other formats of images"),
        ("x.xlsx", "tables (.csv, .tsv, .xlsx)"),
        ("x.JPG", "pictures (.png, .jpg, .tif)"),
        ("x.nii.gz.dvc", "notes of DVC"),
        ("a/DICOMDIR", "DICOMDIR"),
        ("scan.Jane", "files of other endings"),
        ("IM0001", "files without an ending"),
    ],
)
def test_a_kind_is_told_by_the_ending_and_never_quotes_it(name: str, kind: str) -> None:
    assert kind_of(name) == kind
    assert unread_counts(sources(name)) == {f"not read: {kind}": 1}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("a.hdr", "a.img"), {"a.hdr": "nib-convert"}),
        (("a.hdr.gz", "a.img.gz"), {"a.hdr.gz": "nib-convert"}),
        (("a.HDR", "a.img"), {"a.HDR": "nib-convert"}),
        (("a.hdr",), {"a.hdr": "without its .img"}),
        (("a.img",), {"a.img": "without its .hdr"}),
        (("a.hdr", "b/a.img"), {"a.hdr": "without its .img", "b/a.img": "without its .hdr"}),
        (("a.hdr", "a.img.gz"), {"a.hdr": "without its .img", "a.img.gz": "without its .hdr"}),
        (("a.nii", "hdr", "img"), {}),
    ],
)
def test_a_pair_has_one_line_and_a_half_says_what_it_lacks(names: tuple[str, ...], said: dict[str, str]) -> None:
    found = dict(unread_problems(sources(*names), []))
    assert set(found) == set(said)
    assert all(words in found[name] for name, words in said.items())


def test_what_must_not_be_opened_keeps_its_reason() -> None:
    assert list(unread_problems([], [UnusableSource("x", "a link")])) == [("x", "a link")]
