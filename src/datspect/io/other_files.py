"""Tell what a file is that cannot be read as a scan, by its name, its first bytes or an error, and what would help."""

import re
from pathlib import Path

_PART = re.compile(r"\.((zip|7z|rar|tar|tgz|gz)\.(\d{2,3}|(?!gz|xz)[a-z]{2})|z\d{2}|part\d+\.rar)$", re.IGNORECASE)
_UNFINISHED = (".crdownload", ".part", ".partial", ".download", ".opdownload")
_ARCHIVES = (
    *(".7z", ".rar", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst"),
    *(".xz", ".bz2", ".zst", ".iso", ".dmg", ".cab"),
)
_CONVERT = "another format of images; convert it to NIfTI"
_POINTER = "a note that stands for the file, whose content is not here; fetch it with"
_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a zip or a workbook; give it the ending .zip, or unpack it"),
    (b"7z\xbc\xaf'\x1c", "a 7-Zip archive; unpack it and name the folder"),
    (b"Rar!\x1a", "a RAR archive; unpack it and name the folder"),
    (b"\xfd7zXZ", "a file packed with xz; unpack it"),
    (b"BZh", "a file packed with bzip2; unpack it"),
    (b"\x28\xb5\x2f\xfd", "a file packed with zstd; unpack it"),
    (b"%PDF", "a PDF; leave it out"),
    (b"\x89PNG", "a picture (PNG), which holds no values of a scan; export the scan itself"),
    (b"\xff\xd8\xff", "a picture (JPEG), which holds no values of a scan; export the scan itself"),
    (b"GIF8", "a picture (GIF), which holds no values of a scan; export the scan itself"),
    (b"II*\x00", f"a TIFF, {_CONVERT}"),
    (b"MM\x00*", f"a TIFF, {_CONVERT}"),
    (b"NRRD", f"NRRD, {_CONVERT}"),
    (b"MATRIX", f"ECAT, {_CONVERT}"),
    (b"!INTERFILE", f"Interfile, {_CONVERT}"),
    (b"\x89HDF", f"HDF5 or MINC, {_CONVERT}"),
    (b"CDF\x01", f"MINC, {_CONVERT}"),
    (b"ObjectType = Image", f"MetaImage, {_CONVERT}"),
    (b"version https://git-lfs", f"{_POINTER} git lfs pull"),
    (b"/annex/objects/", f"{_POINTER} datalad get or git annex get"),
    (b"outs:", f"{_POINTER} dvc pull"),
)
_WEB_PAGE = "a web page saved in place of the file: log in to the archive, then download the file anew"


def archive_problem(name: str) -> str:
    """Return why a file is not opened that is, by its name, an archive or a piece of one; "" for any other file.

    >>> archive_problem("scans.zip.001")[:21], archive_problem("scan.nii.gz")
    ('a part of an archive;', '')
    """
    lower = name.lower()
    if _PART.search(name):
        return "a part of an archive; join all parts (7z x FIRST-PART unpacks them at once) and name the folder"
    if lower.endswith(_UNFINISHED):
        return "an unfinished download; let it finish, or download it again"
    ending = next((ending for ending in _ARCHIVES if lower.endswith(ending)), "")
    return f"an archive that is not opened ({ending}); unpack it and name the folder" if ending else ""


def kind_by_content(head: bytes) -> str:
    """Return what a file that begins so is, and what to do; "" if that is not known."""
    if not head:
        return "an empty file; copy or download it again"
    start = head.lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return _WEB_PAGE
    if b".git/annex/objects/" in head:
        return f"{_POINTER} datalad get or git annex get"
    return next((kind for mark, kind in _STARTS if head.startswith(mark)), "")


def zip_problem(path: Path, error: Exception) -> str:
    """Return why a zip cannot be read, with advice that fits the reason."""
    named = f"a zip that cannot be read ({type(error).__name__})"
    if isinstance(error, OSError):
        return f"{named}: {_advice(error)}"
    if any(path.with_suffix(f".{letter}01").exists() for letter in "zZ"):
        return f"{named}: the last of several parts (.z01 and so on); join them (7z x) and name the folder"
    with path.open("rb") as stream:
        head = stream.read(512)
    if not head.startswith(b"PK"):
        kind = kind_by_content(head)
        return f"{named}: {kind or 'it does not begin like one; download it again'}"
    return f"{named}: it is cut short or spoilt; download it again, or unpack it with a program that mends it"


def reading_problem(error: Exception, *, in_zip: bool) -> str:
    """Return why the content of a file that was found could not be had, with advice that fits the reason."""
    named = f"the file cannot be read ({type(error).__name__})"
    if isinstance(error, OSError):
        return f"{named}: {_advice(error)}"
    return f"{named}: {'it is spoilt within its zip; download the zip again' if in_zip else 'copy it again'}"


def folder_problem(error: OSError) -> str:
    """Return why a folder below what was named cannot be looked into."""
    return f"a folder that cannot be read ({type(error).__name__}): {_advice(error, right='u+rx')}"


def _advice(error: OSError, right: str = "u+r") -> str:
    if isinstance(error, PermissionError):
        return f"you may not read it; give yourself the right (chmod {right}), or ask its owner"
    if isinstance(error, FileNotFoundError):
        return "it is gone since it was found; leave files where they are, and start again"
    return f"the disk failed to give it ({error.strerror}); copy it to another place"


def table_problem(path: Path, error: OSError) -> str:
    """Return why a table that was named on the command line cannot be read."""
    named = f"cannot be read ({type(error).__name__})"
    if isinstance(error, FileNotFoundError):
        fetch = "it is a link that leads nowhere; fetch its file (datalad get, git annex get, dvc pull)"
        return f"{named}: {fetch if path.is_symlink() else 'see how its path is spelt'}"
    return f"{named}: {_advice(error)}"


def root_problem(root: Path) -> str:
    """Return why nothing can be read at a place that was named on the command line."""
    if root.is_symlink() and not root.exists():
        return "is a link that leads nowhere; mend it, or fetch what it stands for"
    try:
        root.stat()
    except PermissionError:
        return "cannot be read: you may not look into a folder above it"
    except OSError:
        return "cannot be found; see how it is spelt"
    return "cannot be read: you have no right to; give yourself the right (chmod -R u+rX), or ask its owner"
