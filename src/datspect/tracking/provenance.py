"""Record where a result comes from: code, parameters and data as digests, their id, the commit and the releases."""

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from datspect.io.digests import file_digest

PACKAGES = (
    "datspect", "dvc", "jax", "keras", "mlflow", "numpy", "pandas", "scikit-learn", "scipy", "tensorflow",
    "tensorflow-cpu", "torch",
)  # fmt: skip
"""Packages that a number, or its record, may depend on."""

# DVC rewrites these before and after a stage; they say nothing of the code.
_WRITTEN_BY_DVC = (":(top,exclude,glob)**/dvc.lock", ":(top,exclude)reports")


_CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Provenance:
    """Digests of what a result was made from; equal digests give equal results on one machine."""

    code_sha256: str
    params_sha256: str
    data_sha256: str

    @property
    def result_id(self) -> str:
        """One id for the three digests."""
        return _digest(json.dumps(asdict(self), sort_keys=True).encode())[:16]


def provenance(stage: str, sections: Mapping[str, BaseModel], inputs: Sequence[Path]) -> Provenance:
    """Return digests of the source that the stage runs, of its name and parameter sections, and of its input files."""
    params = {name: section.model_dump(mode="json") for name, section in sections.items()}
    return Provenance(
        code_sha256=files_digest(imported_files(f"datspect.stages.{stage}")),
        params_sha256=_digest(json.dumps({"stage": stage, "params": params}, sort_keys=True).encode()),
        data_sha256=files_digest(inputs),
    )


class _OwnModules(ModuleFinder):
    """Finder of this package's modules; beside an installed package all others lie in the same folder."""

    def find_module(self, name: str, path: Any, parent: Any = None) -> Any:
        if path is None and name != "datspect":
            raise ImportError(name)
        return super().find_module(name, path, parent)


def imported_files(module: str) -> list[Path]:
    """Return the source files of `module` and of all of this package that it imports, directly or not, sorted.

    Package files that import nothing are left out, and so is the package's own, which quietens TensorFlow. These are
    also the source files among a stage's deps in dvc.yaml.
    """
    package = Path(__file__).parents[1]
    finder = _OwnModules(path=[str(package.parent)])
    finder.import_hook(module)
    modules: Iterable[Any] = finder.modules.values()
    paths = {Path(found.__file__) for found in modules if found.__file__}
    paths -= {package / "__init__.py", package / "running/quiet.py"}
    return sorted(path for path in paths if path.name != "__init__.py" or "import " in path.read_text("utf-8"))


@dataclass(frozen=True)
class GitState:
    """The commit that is checked out, None without git, and the tracked files that differ from it."""

    commit: str | None
    changed: tuple[str, ...] = ()

    @property
    def dirty(self) -> bool:
        """True if any file differs."""
        return bool(self.changed)

    def as_dict(self) -> dict[str, Any]:
        """Return the state as run.json holds it."""
        return {"commit": self.commit, "dirty": self.dirty, "changed": list(self.changed)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "GitState":
        """Return the state that run.json holds; earlier releases wrote whether files differed, not which."""
        unnamed = ("unknown",) if record["dirty"] else ()
        return cls(record["commit"], tuple(record.get("changed", unnamed)))


def git_state(folder: Path = Path()) -> GitState:
    """Return the commit of the folder's repository; dvc.lock and what the stages report do not make it dirty."""
    commit = git_answer(folder, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return GitState(None)
    # Without optional locks: a stage must not get in the way of a git command of the user.
    status = git_answer(
        folder, "--no-optional-locks", "status", "--porcelain", "-z", "--untracked-files=no", ":/", *_WRITTEN_BY_DVC
    )
    # Git gives no status in a damaged repository.
    return GitState(commit, ("unknown",) if status is None else _changed(status))


def committed_text(folder: Path, commit: str, path: str) -> str | None:
    """Return the text of a file as a commit holds it; None without git, or if the commit has no such file.

    `path` starts at the repository's root, or at `folder` if it begins with a dot.
    """
    return git_answer(folder, "show", f"{commit}:{path}")


def _changed(status: str) -> tuple[str, ...]:
    """Return the paths that `git status --porcelain -z` lists; for a renamed file the new one, then the old one."""
    entries = iter(status.split("\0"))
    paths = []
    for entry in filter(None, entries):
        paths.append(entry[3:])
        if entry[0] == "R":
            paths.append(next(entries))
    return tuple(paths)


def releases() -> dict[str, str]:
    """Return the versions of Python and of those `PACKAGES` that are installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """Return what of this machine last digits may depend on; nothing that names it.

    `instructions` are those of its wide and matrix instruction sets that Linux lists.
    """
    about: dict[str, Any] = {"system": platform.system(), "architecture": platform.machine(), "cores": os.cpu_count()}
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return about | {"processor": platform.processor() or "unknown", "instructions": []}
    facts = dict(reversed([(key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in lines)]))
    flags = facts.get("flags", facts.get("Features", "")).split()
    return about | {
        "processor": facts.get("model name", "unknown"),
        "instructions": sorted(flag for flag in flags if flag.startswith(("avx", "amx", "fma", "sve"))),
    }


def git_answer(folder: Path, *arguments: str) -> str | None:
    """Return what git answers in `folder`, without the last line end; None without git or if it fails."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  (the user's git)
    except OSError:
        return None
    return answer.stdout.rstrip("\n") if answer.returncode == 0 else None


def files_digest(paths: Sequence[Path]) -> str:
    """Return one digest of the contents of files in their order; their names do not count."""
    return _digest("".join(file_digest(path) for path in paths).encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
