"""What is no scan is told by its content or name, with advice that can work, and a scan never is."""

import gzip
import io
from pathlib import Path

import numpy as np
import pytest
from tests.io.dicom_files import dicom_bytes

from datspect.errors import ScanError
from datspect.io.other_files import archive_problem, kind_by_content
from datspect.io.scan_reading import read_scan
from datspect.io.sources import Source


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "an empty file"),
        (b"PK\x03\x04", "give it the ending .zip"),
        (b"7z\xbc\xaf'\x1c", "unpack it"),
        (b"Rar!\x1a\x07", "unpack it"),
        (b"\xfd7zXZ\x00", "unpack it"),
        (b"%PDF-1.7", "leave it out"),
        (b"\x89PNG\r\n", "export the scan itself"),
        (b"\xff\xd8\xff\xe0", "export the scan itself"),
        (b"NRRD0004", "convert it to NIfTI"),
        (b"!INTERFILE :=", "convert it to NIfTI"),
        (b"\x89HDF\r\n", "convert it to NIfTI"),
        (b"\n<HTML><body>Log in", "log in to the archive"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"/annex/objects/MD5E-s3--abc.nii.gz\n", "git annex get"),
        (b"../../.git/annex/objects/aa/MD5E-s3--abc.nii.gz", "datalad get"),
        (b"outs:\n- md5: abc\n  path: x.nii\n", "dvc pull"),
    ],
)
def test_a_file_that_is_no_scan_is_told_by_how_it_begins(tmp_path: Path, content: bytes, words: str) -> None:
    assert words in kind_by_content(content)
    (tmp_path / "x.nii").write_bytes(content)
    with pytest.raises(ScanError, match=r"^neither a DICOM nor a NIfTI file, by its content: ") as error:
        read_scan(Source(tmp_path / "x.nii", None, "x.nii", len(content)))
    assert words in str(error.value)


def test_a_scan_is_not_told_to_be_something_else() -> None:
    frames = np.zeros((3, 4, 5), np.int16)
    assert kind_by_content(dicom_bytes(frames)[:132]) == ""
    assert kind_by_content(gzip.compress(b"x")[:132]) == ""
    assert kind_by_content(io.BytesIO(b"\x5c\x01\x00\x00" + bytes(128)).read()) == ""


@pytest.mark.parametrize(
    "name", ["x.nii", "x.nii.gz", "x.dcm", "IM.001", "1.2.840.113.64", "x.img.gz", "x", "x.z", "a.part/x.dcm", "x.zip"]
)
def test_names_of_scans_are_not_taken_for_archives(name: str) -> None:
    assert archive_problem(name) == ""
