"""Say how much memory programs may take: the machine's, or less in a container."""

from pathlib import Path

import psutil  # type: ignore[import-untyped]

CGROUPS = Path("/sys/fs/cgroup")
"""Where Linux keeps the limits of a container, of either edition of control groups."""
_FILES = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))


def memory_limit(cgroups: Path = CGROUPS) -> float:
    """Return the bytes of memory that this process may take."""
    return min([float(psutil.virtual_memory().total), *(limit for limit, _ in _limits(cgroups))])


def free_memory(cgroups: Path = CGROUPS) -> float:
    """Return the bytes of memory that can be taken now; what a container uses counts with the files that it caches."""
    return min([float(psutil.virtual_memory().available), *(max(0.0, most - used) for most, used in _limits(cgroups))])


def _limits(cgroups: Path) -> list[tuple[float, float]]:
    """Return limit and use, bytes, as far as there is a limit; "max" is none."""
    found = [[_number(cgroups / name) for name in names] for names in _FILES]
    return [(limit, used or 0.0) for limit, used in found if limit is not None]


def _number(path: Path) -> float | None:
    text = path.read_text("ascii").strip() if path.is_file() else ""
    return float(text) if text.isdecimal() else None
