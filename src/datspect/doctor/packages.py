"""Compare what is installed with the locked requirements, or with what the package itself asks for."""

import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distributions, requires

from datspect.doctor.check import Check, Place

_PINNED = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==([^\s;\\]+)(?:\s*;\s*([^\\]+))?")
_SHOWN = 6


def checks(place: Place) -> list[Check]:
    """Look at the packages."""
    installed = installed_releases()
    group = locked_group(installed)
    path = place.root / "requirements" / f"{group}.txt"
    if place.is_project and path.is_file():
        return [locked_check(installed, path.read_text("utf-8"), group)]
    return [asked_check(installed)]


def installed_releases() -> dict[str, str]:
    """Return the release of every installed package by its name, written as package indexes do."""
    return {_plain(name): found.version for found in distributions() if (name := found.metadata["Name"])}


def locked_group(installed: Mapping[str, str]) -> str:
    """Return which of the locked requirements was meant: gpu, jax or cpu.

    >>> locked_group({"tensorflow": "2.21.0", "nvidia-cudnn-cu12": "9.1"}), locked_group({"jax": "0.7"})
    ('gpu', 'jax')
    """
    if any(name.startswith("nvidia-cudnn") for name in installed) and "tensorflow" in installed:
        return "gpu"
    has_tensorflow = "tensorflow" in installed or "tensorflow-cpu" in installed
    return "jax" if "jax" in installed and not has_tensorflow else "cpu"


def locked_check(installed: Mapping[str, str], requirements: str, group: str) -> Check:
    """Compare packages with one of requirements/*.txt; what is for other platforms only may be missing."""
    pinned, optional = _pinned(requirements)
    here = {name: releases for name, releases in pinned.items() if name in installed or name not in optional}
    differing = [
        f"{name} {installed.get(name, 'missing')} (locked: {' or '.join(sorted(releases))})"
        for name, releases in sorted(here.items())
        if installed.get(name) not in releases
    ]
    file = f"requirements/{group}.txt"
    if not differing:
        return Check("packages", "ok", f"all {len(here)} as {file} locks them")
    more = f" and {len(differing) - _SHOWN} more" if len(differing) > _SHOWN else ""
    missing = any(name not in installed for name in here)
    return Check(
        "packages",
        "problem" if missing else "warning",
        f"{len(differing)} of {len(here)} differ from {file}: {'; '.join(differing[:_SHOWN])}{more}",
        f"rm .venv/.installed-*, then make setup GROUP={group}; other releases may give other last digits",
    )


def asked_check(installed: Mapping[str, str]) -> Check:
    """Say which packages are missing that the package asks for; outside a project nothing is locked."""
    try:
        asked = {_plain(re.split(r"[\s<>=!~;\[(]", each, maxsplit=1)[0]) for each in requires("datspect") or []
                 if "extra ==" not in each}  # fmt: skip
    except PackageNotFoundError:
        return Check("packages", "warning", "datspect is run from a folder and is not installed", "pip install .")
    missing = sorted(asked - set(installed))
    if missing:
        finding = f"missing: {', '.join(missing)}"
        return Check("packages", "problem", finding, "pip install --force-reinstall datspect, or make setup in a clone")
    return Check("packages", "ok", f"all {len(asked)} that datspect asks for; no locked requirements here")


def _pinned(requirements: str) -> tuple[dict[str, set[str]], set[str]]:
    """Return the releases of each package, and the packages that are for some platforms only."""
    pinned: dict[str, set[str]] = {}
    optional = set()
    for line in requirements.splitlines():
        if found := _PINNED.match(line):
            name = _plain(found[1])
            pinned.setdefault(name, set()).add(found[2])
            optional |= {name} if found[3] else set()
    return pinned, optional


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
