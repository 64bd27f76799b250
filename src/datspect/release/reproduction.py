"""Judge whether the results on disk are the committed ones of the same parameters and cohort, the reference."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datspect.cohort.table import targets
from datspect.evaluation.reproduction import Agreement, agreement
from datspect.release.dvc_lock import LOCK_NAME, differing_outputs, recipe_digest
from datspect.release.parameters import parameter_differences
from datspect.release.reference import ABOUT, READ, Results, reference_at, results_on_disk
from datspect.tracking.provenance import committed_text

COMMIT_TAG, RECIPE_TAG, HEADLINE_TAG = "datspect.reproduces", "datspect.recipe_sha256", "datspect.reproduction"
"""Tags of a version whose results are in no commit but are called reproduced: whose they are, the recipe, how well."""


@dataclass(frozen=True)
class Verdict:
    """Whether the results are those of the reference.

    agreements : by where; none if the two are not to be compared
    obstacles : why they are not to be compared
    first_difference : the first thing in the graph that is not the same to the last bit, "" if all is
    causes : what may have made the difference: processor, releases, precision
    """

    agreements: Mapping[str, Agreement]
    obstacles: tuple[str, ...] = ()
    first_difference: str = ""
    causes: tuple[str, ...] = ()

    @property
    def reproduced(self) -> bool:
        """Whether every difference is within its limit."""
        return bool(self.agreements) and all(found.reproduced for found in self.agreements.values())

    @property
    def headline(self) -> str:
        """The verdict in one line."""
        if not self.agreements:
            return f"no verdict: {self.obstacles[0]}"
        counts = [f"{each.n - each.n_other} of {each.n} {where}" for where, each in self.agreements.items()]
        word = "reproduced" if self.reproduced else "NOT reproduced"
        largest = max(found.largest for found in self.agreements.values())
        return f"{word}: decisions as committed: {', '.join(counts)}; largest difference of a probability {largest:.4f}"


def verdict(reference: Results | None, found: Results) -> Verdict:
    """Compare `found` with the reference, if both are of the same parameters, cohort and splits."""
    if reference is None:
        return Verdict({}, (f"there is no {ABOUT} to compare with",))
    if obstacles := _obstacles(reference.about, found.about):
        return Verdict({}, tuple(obstacles))
    both = reference.answers.merge(found.answers, on=["where", "scan_id", "label"], suffixes=("_reference", ""))
    if not len(both) == len(reference.answers) == len(found.answers):
        return Verdict({}, ("the scans are not those of the reference, though cohort and splits are",))
    agreements = {
        str(where): agreement(
            targets(rows["label"]), rows["probability_reference"].to_numpy(), rows["probability"].to_numpy()
        )
        for where, rows in both.groupby("where", sort=False)
    }
    first = _first_difference(reference.about["digests"], found.about["digests"])
    return Verdict(agreements, (), first, tuple(_different_causes(reference.about["causes"], found.about["causes"])))


def reproduction_tags(root: Path, commit: str | None) -> dict[str, str]:
    """Return the tags of a version whose results are those that `commit` holds, but for last digits; none otherwise.

    dvc.lock may differ from the commit's only in what the stages made, and the verdict on that must be "reproduced".
    """
    lock = committed_text(root, commit, LOCK_NAME) if commit else None
    reference = reference_at(root, commit) if commit else None
    if commit is None or lock is None or reference is None:
        return {}
    recipe = recipe_digest((root / LOCK_NAME).read_text(encoding="utf-8"))
    if recipe != recipe_digest(lock) or differing_outputs(root, list(READ)):
        return {}
    found = verdict(reference, results_on_disk(root))
    if not found.reproduced:
        return {}
    return {COMMIT_TAG: commit, RECIPE_TAG: recipe, HEADLINE_TAG: found.headline}


def reproduced_commit(root: Path, tags: Mapping[str, str]) -> str | None:
    """Return the commit whose results a version with these tags reproduces; None if this repository does not say so."""
    commit = tags.get(COMMIT_TAG)
    lock = committed_text(root, commit, LOCK_NAME) if commit else None
    return commit if lock is not None and recipe_digest(lock) == tags.get(RECIPE_TAG) else None


def _obstacles(reference: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Return why the two are not to be compared, the parameters first."""
    differing, _, only = parameter_differences(found["parameters"], reference["parameters"])
    changed = [f"{name} = {ours} (committed {theirs})" for name, (ours, theirs) in differing.items()]
    changed += [
        f"{name} ({where})" for where, names in zip(("not committed", "no longer"), only, strict=True) for name in names
    ]
    obstacles = [f"other parameters than the committed results: {'; '.join(changed)}"] if changed else []
    if found["cohort"] != reference["cohort"]:
        obstacles.append(f"another cohort ({_cohort(found)}) than that of the committed results ({_cohort(reference)})")
    elif found["splits_sha256"] != reference["splits_sha256"]:
        obstacles.append("other splits than those of the committed results")
    return obstacles


def _cohort(about: Mapping[str, Any]) -> str:
    cohort = about["cohort"]
    return f"{cohort['kind']}, {cohort['n']} subjects, {cohort['digest'][:12]}"


def _first_difference(reference: Mapping[str, str], found: Mapping[str, str]) -> str:
    """Return what the graph made first that is not the same to the last bit; "" if all is the same."""
    return next((name for name, digest in found.items() if reference.get(name) != digest), "")


def _different_causes(reference: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    return [
        f"{name}: {found.get(name, 'none')} (committed: {reference.get(name, 'none')})"
        for name in {**reference, **found}
        if found.get(name) != reference.get(name)
    ]
