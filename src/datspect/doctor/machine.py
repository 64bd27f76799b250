"""Look at the machine: Python, platform, cores and memory."""

import os
import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, metadata

from joblib import cpu_count

from datspect.doctor.check import Check, Place, size_in_words
from datspect.running.memory import free_memory, memory_limit
from datspect.tracking.provenance import machine

MEMORY_OF_A_STAGE = 1.9e9
"""Bytes that the hungriest stage takes on the default cohort: docs/measurements.md."""


def checks(place: Place) -> list[Check]:
    """Look at Python, platform, cores and memory."""
    del place
    return [
        python_check(tuple(sys.version_info[:3]), supported_python()),
        platform_check(platform.system()),
        cores_check(os.cpu_count() or 1, cpu_count()),
        memory_check(memory_limit(), free_memory()),
    ]


def supported_python() -> str:
    """Return what the package says of Python's releases, as in `>=3.11,<3.14`; "" if it is not installed."""
    try:
        return metadata("datspect")["Requires-Python"] or ""
    except PackageNotFoundError:
        return ""


def python_check(found: tuple[int, ...], supported: str) -> Check:
    """Compare the release of Python with the supported ones."""
    name, release = "Python", ".".join(map(str, found))
    bounds = {sign: _release(text) for sign, text in re.findall(r"(>=|<)\s*([\d.]+)", supported)}
    if not bounds.get(">=", ()) <= found or (bounds.get("<") and found >= bounds["<"]):
        return Check(name, "problem", f"{release}; supported is {_ordered(supported)}", "make PYTHON=python3.12 setup")
    return Check(name, "ok", f"{release}{f'; supported is {_ordered(supported)}' if supported else ''}")


def _release(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part)


def _ordered(supported: str) -> str:
    return ", ".join(sorted(supported.split(","), reverse=True))


def platform_check(system: str) -> Check:
    """Say what this machine is; the programs were tested on Linux."""
    about = machine()
    wide = ", ".join(each for each in about["instructions"] if each in ("avx2", "avx512f", "avx512_bf16", "sve"))
    of = f" ({wide})" if wide else ""
    finding = f"{about['system']} {about['architecture']}, {about['processor']}{of}"
    if system == "Windows":
        return Check("platform", "warning", f"{finding}; not tested on Windows", "use WSL, where it works as on Linux")
    return Check("platform", "ok", finding)


def cores_check(n_cores: int, n_allowed: int) -> Check:
    """Say how many cores there are, and how many this process may use."""
    if n_allowed < n_cores:
        return Check("cores", "ok", f"{n_allowed} of {n_cores}: the others are not for this process")
    return Check("cores", "ok", str(n_cores))


def memory_check(total: float, available: float) -> Check:
    """Compare memory with what the hungriest stage takes."""
    available = min(total, available)
    needed = f"the hungriest stage takes {size_in_words(MEMORY_OF_A_STAGE)}"
    finding = f"{size_in_words(available)} of {size_in_words(total)} available; {needed}"
    if total < MEMORY_OF_A_STAGE:
        return Check("memory", "problem", finding, "use a machine, or a container, with more memory")
    if available < MEMORY_OF_A_STAGE:
        return Check("memory", "warning", finding, "end other programs before dvc repro")
    return Check("memory", "ok", finding)
