"""Outputs of every kind, in the workspace, in a DVC cache beside it, and in the lock files that name them."""

import hashlib
import io
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from datspect.release.dvc_lock import content_md5

FOLDER = "models/predictor"
KINDS = {
    "csv": "reports/cv/table1.csv",
    "npy": "data/images/images.npy",
    "keras": "models/final.keras",
    "json": "reports/cv/run.json",
    "file in a folder": f"{FOLDER}/arrays/limits.npy",
}
"""A path for each kind of output."""
IN_GIT = "reports/metrics.json"
"""An output that git keeps, and DVC's cache does not."""
PHANTOM = "data/phantom/cohort"
"""A folder that another pipeline makes and the first stage reads."""


def write_outputs(root: Path) -> None:
    """All outputs as the stages have left them."""
    contents = {
        "csv": b"fold,accuracy\n1,0.9345\n2,0.9678\n",
        "npy": _array(np.linspace(0, 1, 99)),
        "keras": _zip({"config.json": b"{}", "model.weights.h5": b"0.123456 0.654321"}),
        "json": b'{"result_id": "1234567890"}\n',
        "file in a folder": _array(np.arange(5.0)),
    }
    files = {KINDS[kind]: content for kind, content in contents.items()}
    files |= {f"{FOLDER}/predictor.json": b'{"limit": 0.2}', IN_GIT: b'{"accuracy": 0.9}'}
    files |= {f"{PHANTOM}/volumes/{k}.nii": bytes(str(k), "ascii") * 50 for k in range(3)}
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    single = [path for kind, path in KINDS.items() if kind != "file in a folder"]
    _write_pipeline(root / "data/phantom", {"phantom": [PHANTOM]}, wdir="../..")
    _write_pipeline(root, {"train": [*single, FOLDER], "report": [IN_GIT]}, reads={"train": [PHANTOM]}, in_git=IN_GIT)
    for path in [*single, FOLDER, PHANTOM]:
        keep(root, path)


def keep(root: Path, path: str) -> None:
    """Copy an output into the cache; a folder file by file, and its listing."""
    if not (root / path).is_dir():
        shutil.copyfile(root / path, _made(cached(root, content_md5(root / path))))
        return
    files = sorted(file for file in (root / path).rglob("*") if file.is_file())
    for file in files:
        keep(root, file.relative_to(root).as_posix())
    listed = [{"md5": content_md5(file), "relpath": file.relative_to(root / path).as_posix()} for file in files]
    text = json.dumps(sorted(listed, key=lambda entry: entry["relpath"]), sort_keys=True)
    _made(cached(root, f"{hashlib.md5(text.encode()).hexdigest()}.dir")).write_text(text)


def cached(root: Path, md5: str) -> Path:
    return root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]


def damage(path: Path) -> None:
    """Change three characters of a file, nothing of its length or rights: DVC reads what is not write-protected.

    Done again, it takes that back.
    """
    content, mode = bytearray(path.read_bytes()), path.stat().st_mode
    for at in (len(content) // 3, len(content) // 2, -1):
        content[at] ^= 1
    path.chmod(0o644)
    path.write_bytes(bytes(content))
    path.chmod(mode)


def _write_pipeline(
    folder: Path,
    outs: dict[str, list[str]],
    *,
    wdir: str = "",
    reads: dict[str, list[str]] | None = None,
    in_git: str = "",
) -> None:
    root = folder / (wdir or ".")
    stages: dict[str, Any] = {}
    locked: dict[str, Any] = {}
    for name, paths in outs.items():
        stages[name] = {"cmd": name, "outs": [{path: {"cache": False}} if path == in_git else path for path in paths]}
        stages[name] |= {"wdir": wdir} if wdir else {}
        deps = [{"path": path, "md5": content_md5(root / path)} for path in (reads or {}).get(name, [])]
        locked[name] = {"cmd": name, "deps": deps, "outs": [_locked(root, path) for path in paths]}
    for file, record in (("dvc.yaml", {"stages": stages}), ("dvc.lock", {"schema": "2.0", "stages": locked})):
        with (folder / file).open("w", encoding="utf-8") as opened:
            YAML().dump(record, opened)


def _locked(root: Path, path: str) -> dict[str, Any]:
    out = {"path": path, "hash": "md5", "md5": content_md5(root / path)}
    return out | ({"nfiles": sum(f.is_file() for f in (root / path).rglob("*"))} if (root / path).is_dir() else {})


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _array(values: "np.ndarray") -> bytes:
    written = io.BytesIO()
    np.save(written, values)
    return written.getvalue()


def _zip(files: dict[str, bytes]) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return written.getvalue()
