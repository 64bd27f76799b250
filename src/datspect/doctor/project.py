"""Look at the project: is there one, is git here, are the parameters valid, which data are there."""

import shutil
from pathlib import Path

from datspect.doctor.check import Check, Place
from datspect.errors import DatspectError
from datspect.params.data import PHANTOM_COHORT_PATH
from datspect.params.recipes import read_recipe_in_force
from datspect.params.whole import Params
from datspect.release.dvc_lock import LOCK_NAME, locked_outputs
from datspect.tracking.provenance import git_answer, git_state, machine

_BFLOAT16 = ("avx512_bf16",)
_EXAMPLES = {"user.name": '"Your Name"', "user.email": "you@example.org"}


def checks(place: Place) -> list[Check]:
    """Look at git and, in a project, at who commits, parameters, precision and data."""
    found = [project_check(place), git_check(place)]
    if not place.is_project:
        return found
    if git_answer(place.root, "rev-parse", "--git-dir") is not None:
        found.append(identity_check(place.root))
    found.append(params_check(place.root))
    if place.params is not None:
        found += [precision_check(place.params, machine()["instructions"]), data_check(place.root, place.params)]
    return found


def project_check(place: Place) -> Check:
    """Say whether there is a project here."""
    if place.is_project:
        return Check("project", "ok", str(place.root))
    return Check(
        "project", "ok", "none here (no folder above has dvc.yaml and params.yaml); predict and import work without one"
    )


def git_check(place: Place) -> Check:
    """Say which commit is checked out, and how many files differ from it."""
    if shutil.which("git") is None:
        remedy = "install git; without it there are no experiments, no commits of results, and no way back by trace"
        return Check("git", "warning", "not installed", remedy)
    state = git_state(place.root)
    if state.commit is None:
        if not place.is_project:
            return Check("git", "ok", "installed; no repository here")
        return _without_repository(place.root)
    branch = git_answer(place.root, "rev-parse", "--abbrev-ref", "HEAD") or "no branch"
    n_changed = len(state.changed)
    changed = f", {n_changed} changed file{'s' if n_changed > 1 else ''}" if n_changed else ", nothing changed"
    return Check("git", "ok", f"commit {state.commit[:7]} on {branch}{changed}")


def identity_check(root: Path) -> Check:
    """Say whether git knows who commits: a commit of results, a promotion after it and `dvc exp` need that."""
    missing = [name for name in ("user.name", "user.email") if not git_answer(root, "config", name)]
    if not missing:
        return Check("git identity", "ok", "user.name and user.email are set")
    remedy = " && ".join(f"git config --global {name} {_EXAMPLES[name]}" for name in missing)
    words = f"{' and '.join(missing)} {'are' if len(missing) > 1 else 'is'} not set: git cannot commit, nor can dvc exp"
    return Check("git identity", "warning", words, remedy)


def _without_repository(root: Path) -> Check:
    if (root / ".git").exists():
        return Check("git", "problem", "git cannot read this repository", "git status says why")
    config = root / ".dvc/config.local"
    if config.is_file() and "no_scm = true" in config.read_text("utf-8"):
        return Check("git", "warning", "no repository; DVC works without one", "git clone it for experiments and trace")
    return Check("git", "problem", "no repository, and DVC was not told so", "sh scripts/prepare-dvc, or git clone")


def params_check(root: Path) -> Check:
    """Say whether params.yaml is valid, and which recipe it follows."""
    try:
        in_force = read_recipe_in_force(root / "params.yaml")
    except DatspectError as error:
        return Check("params.yaml", "problem", "; ".join(map(str.strip, str(error).splitlines())), "mend these keys")
    n = len(in_force.differing)
    differing = f": {n} value{'s differ' if n > 1 else ' differs'} (datspect recipe)" if n else ""
    return Check("params.yaml", "ok", f"valid; recipe {in_force.title}{differing}")


def precision_check(params: Params, instructions: list[str]) -> Check:
    """Say in which number format the network computes, and whether this processor is made for it."""
    asked: dict[str, str] = {"backbone.precision": params.backbone.precision} if params.model == "paper" else {}
    if params.model == "paper" and not params.backbone.frozen:
        asked["finetuning.precision"] = params.finetuning.precision
    if not asked:
        return Check("precision", "ok", "float32, as model striatum always has")
    finding = ", ".join(f"{name}: {value}" for name, value in asked.items())
    lower = [name for name, value in asked.items() if value != "float32"]
    if lower and not set(_BFLOAT16) & set(instructions):
        remedy = f"without a GPU set {' and '.join(lower)} to float32; docs/measurements.md says why"
        return Check("precision", "warning", f"{finding}, which this processor has no instructions for", remedy)
    return Check("precision", "ok", finding)


def data_check(root: Path, params: Params) -> Check:
    """Say whether the cohort is there, and how many outputs of dvc.lock are."""
    cohort = Path(params.cohort.path)
    is_phantom = params.cohort.path == PHANTOM_COHORT_PATH
    if not (root / cohort).is_dir() and not is_phantom:
        remedy = "import one (datspect import), or set cohort.path to a folder that is there"
        return Check("data", "problem", f"cohort.path = {cohort}: no such folder", remedy)
    outputs = list(locked_outputs(root)) if (root / LOCK_NAME).is_file() else []
    n_here = sum((root / path).exists() for path in outputs)
    kind = "the phantom cohort" if is_phantom else f"the cohort {cohort.name}"
    there = "is here" if (root / cohort).is_dir() else "is not here yet, and dvc repro makes it"
    if not outputs:
        return Check("data", "ok", f"{kind} {there}; no {LOCK_NAME} yet")
    finding = f"{kind} {there}; {n_here} of {len(outputs)} outputs of {LOCK_NAME} are"
    if n_here < len(outputs):
        return Check("data", "warning", finding, "dvc pull if a remote has them, dvc checkout, or make repro")
    return Check("data", "ok", finding)
