"""The wheels of the locked versions for another Python, checked by the lock's hashes, and this package's own."""

import csv
import io
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

LOCKS = ("jax.txt", "gpu.txt")
"""Under requirements/, made together, so that a package that is in both has one version."""

NEEDED = (
    "absl-py", "alembic", "annotated-doc", "annotated-types", "anyio", "cachetools", "certifi", "cffi",
    "charset-normalizer", "click", "cloudpickle", "cryptography", "databricks-sdk", "fastapi", "filelock", "idna",
    "importlib-metadata", "keras", "mako", "markupsafe", "mlflow-skinny", "namex", "nibabel", "nvidia-ml-py",
    "opentelemetry-api", "opentelemetry-proto", "opentelemetry-sdk", "opentelemetry-semantic-conventions", "optree",
    "packaging", "pandas", "protobuf", "psutil", "pydantic", "pydantic-core", "pygments", "python-dateutil",
    "pyyaml", "requests", "rich", "ruamel-yaml", "shellingham", "six", "sqlalchemy", "sqlparse", "starlette",
    "tqdm", "typer", "typing-extensions", "typing-inspection", "urllib3", "zipp",
)  # fmt: skip
"""What fine-tuning and its record in MLflow import beyond jax, numpy, scipy, h5py, scikit-learn, matplotlib and pillow.

mlflow-skinny is MLflow without the pages of its UI; with sqlalchemy and alembic it keeps an SQLite database.
"""

LINUX_X86_64 = ("manylinux2014_x86_64", *(f"manylinux_2_{minor}_x86_64" for minor in (17, 24, 27, 28, 31, 34)))

_BUILT_FROM = ("pyproject.toml", "README.md", "LICENSE", "src")


class WheelError(Exception):
    """A wheel could not be had; the message says which and why."""


def locked(names: Iterable[str], locks: Sequence[str]) -> str:
    """The entries of `names`, hashes included, in the texts of lock files; the first lock that has one counts.

    Raises
    ------
    WheelError : a package that no lock has.
    """
    entries: dict[str, list[str]] = {}
    for lock in locks:
        of_lock: dict[str, list[str]] = {}
        for entry in re.findall(r"^[A-Za-z0-9][^\n]*(?:\n[ \t]+--hash[^\n]*)*", lock, flags=re.MULTILINE):
            of_lock.setdefault(entry.partition("==")[0], []).append(entry)
        entries = of_lock | entries
    wanted = list(names)
    if missing := [name for name in wanted if name not in entries]:
        raise WheelError(
            f"not in requirements/: {', '.join(missing)}; renew the locks (make lock) or NEEDED in wheels.py"
        )
    return "\n".join(entry for name in wanted for entry in entries[name]) + "\n"


def download(folder: Path, requirements: str, python: str, platforms: Sequence[str]) -> None:
    """Download wheels into `folder`; `requirements` with hashes, `python` such as 3.12, no platforms for this one's.

    Raises
    ------
    WheelError : pip failed; its last lines are in the message.
    """
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "requirements.txt"
        file.write_text(requirements, encoding="utf-8")
        target = ["--python-version", python, "--implementation", "cp"]
        for platform in platforms:
            target += ["--platform", platform]
        options = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--disable-pip-version-check", "--no-input"]
        _pip("download", "--quiet", *options, *target, "--dest", str(folder), "--requirement", str(file))


def build_own(folder: Path, root: Path) -> None:
    """Build the wheel of this package from a copy of what it is made of, so that nothing is left in the tree.

    Raises
    ------
    WheelError : it could not be built.
    """
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "tree"
        copy.mkdir()
        for part in _BUILT_FROM:
            source = root / part
            if source.is_dir():
                shutil.copytree(source, copy / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
            else:
                shutil.copyfile(source, copy / part)
        options = ["--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
        _pip("wheel", *options, "--wheel-dir", str(folder), str(copy))


def pack(wheels: Path, archive: Path, effort: int) -> None:
    """All wheels of a folder as one .tar.xz, uncompressed within, since xz packs better than a wheel does by itself."""
    with tarfile.open(archive, "w:xz", preset=effort) as tar:
        for wheel in sorted(wheels.glob("*.whl")):
            content = slimmed(wheel)
            member = tarfile.TarInfo(wheel.name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def slimmed(wheel: Path) -> bytes:
    """A wheel without the tests of its package, nothing in it compressed; its RECORD names what is left."""
    content = io.BytesIO()
    with zipfile.ZipFile(wheel) as given, zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as slim:
        for entry in given.infolist():
            if _is_test(entry.filename):
                continue
            read = given.read(entry)
            slim.writestr(entry.filename, _without_tests(read) if entry.filename.endswith("/RECORD") else read)
    return content.getvalue()


def _without_tests(record: bytes) -> bytes:
    left = io.StringIO()
    rows = [row for row in csv.reader(io.StringIO(record.decode())) if row and not _is_test(row[0])]
    csv.writer(left, lineterminator="\n").writerows(rows)
    return left.getvalue().encode()


def _is_test(name: str) -> bool:
    return "/tests/" in name


def _pip(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "pip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if not line.startswith("WARNING")]
        raise WheelError("\n  ".join([f"pip {arguments[0]} failed:", *lines[-8:]]))
