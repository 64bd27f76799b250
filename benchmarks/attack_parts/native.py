"""Native phantoms for the server: good ones, which it must register, and ones that it must refuse with a reason."""

import gzip
import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from attack_parts import files, wire
from attack_parts.good import Good, same
from attack_parts.kind import ANSWERED, Kind
from registration_parts.scans import simulate

SEED = 3031
"""Neither that of the limits of the verdict nor that of another benchmark."""
MANY = 64
"""Scans of one request: as many as it may hold."""

_GOOD = ("pd", "control")
_N_EACH = 2
_HOPELESS = {
    "striata_above_field": "a native head whose striata lie above the field of view",
    "thorax": "a native thorax",
    "noise": "native noise",
}
_REASONS = ("not brought to MNI space with confidence", "upside down", "back to front")
_SECONDS = 300.0
_MANY_SECONDS = 1200.0


def made(folder: Path) -> list[Path]:
    """Simulate into `folder` what it does not hold yet, and return the files of the good scans."""
    good = [f"{SEED}-{label}-{index:04d}" for label in _GOOD for index in range(_N_EACH)]
    simulate([*good, *(_name(kind, index) for kind in _HOPELESS for index in range(_N_EACH))], folder, 2)
    return [folder / f"{name}.nii" for name in good]


def kinds(folder: Path, good: Sequence[Good]) -> Iterator[Kind]:
    """Yield what must be refused, made of scans in `folder`, and a request of many good ones."""
    for kind, words in _HOPELESS.items():
        yield _refused(words, [folder / f"{_name(kind, index)}.nii" for index in range(_N_EACH)], turned=False)
    yield _refused("a native head upside down", sorted(folder.glob(f"{SEED}-{_GOOD[0]}-*.nii")), turned=True)
    smallest = min(good, key=lambda each: len(each.body))
    yield Kind(
        f"{MANY} native scans in one request",
        lambda port, _, __: [_all_answered(port, smallest)],
        ANSWERED,
        is_slow=True,
    )


def packed(path: Path) -> bytes:
    """Return a scan as clients send it."""
    return gzip.compress(path.read_bytes(), 1, mtime=0)


def upside_down(path: Path) -> bytes:
    """Return a scan whose voxels run down where its header says up."""
    import nibabel as nib

    image = nib.load(path)
    up = int(np.abs(image.affine[2, :3]).argmax())
    return gzip.compress(nib.Nifti1Image(np.flip(image.dataobj, up), image.affine, image.header).to_bytes(), 1)


def said_why(status: str, said: bytes) -> str:
    """Return the status, and whether the reason is missing for which a scan that is none was refused."""
    try:
        message = str(json.loads(said)["message"])
    except (ValueError, KeyError, TypeError):
        message = ""
    return status if any(reason in message for reason in _REASONS) else f"{status} without a reason"


def _refused(words: str, paths: Sequence[Path], *, turned: bool) -> Kind:
    def attempt(port: int, _: bytes, turn: int) -> list[str]:
        return [said_why(*_posted(port, _body(paths[turn % len(paths)], turned), _SECONDS))]

    return Kind(words, attempt, frozenset({"400"}))


@cache
def _body(path: Path, turned: bool) -> bytes:
    return files.body(upside_down(path) if turned else packed(path))


def _all_answered(port: int, good: Good) -> str:
    record = json.loads(good.body)["dataframe_records"]
    status, said = _posted(port, json.dumps({"dataframe_records": MANY * record}).encode(), _MANY_SECONDS)
    if status != "200":
        return status
    answers = json.loads(said)["predictions"]
    is_right = len(answers) == MANY and all(same([answer], good.answer) for answer in answers)
    return status if is_right else f"{status} with wrong answers"


def _posted(port: int, body: bytes, seconds: float) -> tuple[str, bytes]:
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
    return wire.answer(port, wire.head("POST", "/invocations", headers, port), body, seconds)


def _name(kind: str, index: int) -> str:
    return f"{SEED}-{kind}-{index:04d}"
