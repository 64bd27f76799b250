"""Look at DVC, its cache and its remotes, and at the space that the graph needs; DVC is asked as a program."""

import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from datspect.doctor.check import Check, Place, size_in_words
from datspect.errors import PromotionError
from datspect.params.data import PHANTOM_COHORT_PATH
from datspect.release.dvc_lock import LOCK_NAME, locked_stages
from datspect.running.addresses import address_alone
from datspect.running.programs import TOO_SLOW, Said, said_by

_DEFAULT_LINKS = "reflink,copy"
_DVC = [sys.executable, "-m", "dvc"]
_QUIET = {"DVC_NO_ANALYTICS": "1"}


@dataclass(frozen=True)
class Cache:
    """The cache of DVC.

    folder : where it is, and on which file system; link : how files come from it into the workspace
    possible : the links that the file systems allow, "" if DVC does not say
    """

    folder: Path
    file_system: str
    link: str
    possible: str = ""


def checks(place: Place) -> list[Check]:
    """Look at DVC and, in a project, at cache, remotes and disk."""
    said = said_by([*_DVC, "doctor"], seconds=place.seconds, folder=place.root, environment=_QUIET)
    dvc = dvc_check(said)
    if not place.is_project:
        return [dvc, disk_check(shutil.disk_usage(place.root).free, 0, 0)]
    if said.code:
        return [dvc, _disk(place.root, 2)]
    listed = said_by([*_DVC, "config", "--list"], seconds=place.seconds, folder=place.root, environment=_QUIET)
    if listed.code:
        unknown = f"not known: dvc config did not answer ({listed.last_line or listed.err})"
        return [dvc, Check("remotes", "warning", unknown, "ask again with --seconds 60"), _disk(place.root, 2)]
    settings = _settings(listed.out)
    cache = _cache(place, said.out, settings)
    copies = 1 if cache.link != "copy" else 2
    return [dvc, cache_check(cache), remotes_check(settings), _disk(place.root, copies)]


def dvc_check(said: Said) -> Check:
    """Say which DVC there is, by the answer of `dvc doctor`."""
    if said.code == TOO_SLOW:
        return Check("DVC", "warning", said.err, "ask again with --seconds 60")
    if said.code:
        what = "not installed" if "No module named dvc" in said.err else f"dvc doctor failed: {said.last_line}"
        return Check("DVC", "problem", what, "make setup; in a copy without git: sh scripts/prepare-dvc")
    return Check("DVC", "ok", _field(said.out, "DVC version") or "of an unknown release")


def _field(doctor: str, name: str) -> str:
    found = re.search(rf"^{name}: *(.*)$", doctor, re.MULTILINE)
    return found[1].strip() if found else ""


def _settings(listed: str) -> dict[str, str]:
    lines = (line.partition("=") for line in listed.splitlines())
    return {key.strip(): value.strip() for key, found, value in lines if found}


def _cache(place: Place, doctor: str, settings: Mapping[str, str]) -> Cache:
    said = said_by([*_DVC, "cache", "dir"], seconds=place.seconds, folder=place.root, environment=_QUIET)
    folder = Path(said.out.strip() or place.root / ".dvc/cache")
    possible = re.sub(r"https?:\S+", "", _field(doctor, "Cache types"))  # DVC adds a link to its documentation
    link = link_in_use(settings.get("cache.type", _DEFAULT_LINKS), possible)
    return Cache(folder, _field(doctor, "Cache directory"), link, possible)


def link_in_use(asked: str, possible: str) -> str:
    """Return the first of the asked kinds of link that the file systems allow; a copy is always possible.

    >>> link_in_use("reflink,copy", "hardlink, symlink"), link_in_use("hardlink,symlink", "hardlink, symlink")
    ('copy', 'hardlink')
    """
    allowed = {*re.findall(r"\w+", possible), "copy"}
    return next((kind for kind in re.findall(r"\w+", asked) if kind in allowed), "copy")


def cache_check(cache: Cache) -> Check:
    """Say where the cache is, and how files come from it into the workspace."""
    where = f"{cache.folder}{f', {cache.file_system}' if cache.file_system else ''}"
    if cache.link == "copy":
        possible = f" (possible too: {cache.possible})" if cache.possible else ""
        return Check("DVC cache", "ok", f"{where}; outputs are copies of files in it, on disk twice{possible}")
    if cache.link in ("hardlink", "symlink"):
        remedy = "never write into an output by hand, or dvc unprotect it first; make verify finds damage"
        return Check("DVC cache", "warning", f"{where}; outputs are {cache.link}s into it", remedy)
    return Check("DVC cache", "ok", f"{where}; files are {cache.link}s from it, which take no space")


def remotes_check(settings: Mapping[str, str]) -> Check:
    """Say which remotes there are, by their addresses without logins."""
    remotes = {found[1]: url for key, url in settings.items() if (found := re.fullmatch(r"remote\.(.+)\.url", key))}
    if not remotes:
        return Check("remotes", "ok", "none; results are in the cache of this machine alone (docs/moving.md)")
    default = settings.get("core.remote")
    listed = [
        f"{name} ({address_alone(url)}{', default' if name == default else ''})"
        for name, url in sorted(remotes.items())
    ]
    return Check("remotes", "ok", ", ".join(listed))


def _disk(root: Path, copies: int) -> Check:
    try:
        stages = list(locked_stages(root / LOCK_NAME).values())
    except PromotionError:
        stages = []
    # The phantom cohort is made by a pipeline of its own; an imported one is there already, and DVC does not keep it.
    phantom = [dep for stage in stages for dep in stage.get("deps", []) if dep["path"] == PHANTOM_COHORT_PATH]
    outs = [out for stage in stages for out in stage.get("outs", [])]
    sizes = {root / out["path"]: int(out.get("size", 0)) for out in [*phantom, *outs]}
    missing = sum(size for path, size in sizes.items() if not path.exists())
    return disk_check(shutil.disk_usage(root).free, copies * sum(sizes.values()), copies * missing)


def disk_check(free: float, whole: float, missing: float) -> Check:
    """Compare the space that is left with what the graph needs, in bytes.

    Parameters
    ----------
    whole : what all outputs take, with copies; a graph of other parameters needs so much again
    missing : the part of it that is not on disk
    """
    left = f"{size_in_words(free)} left"
    if not whole:
        return Check("disk", "ok", left)
    needs = f"{left}; make repro needs {size_in_words(missing)} more, {size_in_words(whole)} from nothing"
    if free < missing:
        return Check("disk", "problem", needs, "make room, or move the project to a larger disk (docs/moving.md)")
    if free < whole:
        remedy = "dvc gc --workspace removes from the cache what neither workspace nor dvc.lock needs"
        return Check("disk", "warning", f"{needs}, as other parameters may", remedy)
    return Check("disk", "ok", needs)
