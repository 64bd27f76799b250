"""Say of a project which cohort, recipe and study are in use, and whether its results are the committed ones."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datspect.cohort.kind import CohortKind
from datspect.errors import DatspectError
from datspect.io.digests import file_digest
from datspect.io.records import read_json
from datspect.params.recipes import read_recipe_in_force
from datspect.params.whole import Params

COHORT, SPLITS, STUDIES = Path("data/images/cohort.json"), Path("data/splits.csv"), Path("reports/tune")
_SPLIT_DIGITS = 12


def cohort_status(root: Path, params: Params) -> dict[str, Any]:
    """Return the cohort that params.yaml names; kind, size and digest as stage `preprocess` has read it.

    Before that stage they are None.
    """
    record = read_json(root / COHORT) if (root / COHORT).is_file() else {}
    return {
        "path": params.cohort.path,
        "kind": str(CohortKind.of(record.get("kind"))) if record else None,
        "phantom": CohortKind.of(record.get("kind")) is CohortKind.PHANTOM if record else None,
        "n": record.get("n"),
        "n_excluded": record.get("n_excluded"),
        "digest": record.get("digest"),
    }


def recipe_status(root: Path) -> dict[str, Any]:
    """Return the recipe in force, and the values that differ from it, by dotted key."""
    found = read_recipe_in_force(root / "params.yaml")
    differing = {
        ".".join(place): {"value": value, "recipe": found.recipe[place]} for place, value in found.differing.items()
    }
    return {"name": found.name, "title": found.title, "differing": differing}


def study_status(root: Path, params: Params) -> dict[str, Any]:
    """Return the study and trial that parameters come from, if any, and what each study here has found so far."""
    origin = params.parameters_from.model_dump(mode="json") if params.parameters_from else None
    split = file_digest(root / SPLITS)[:_SPLIT_DIGITS] if (root / SPLITS).is_file() else None
    return {
        "parameters_from": origin,
        "same_split": origin["split"] == split if origin and split else None,
        "studies": [_study(read_json(path)) for path in sorted((root / STUDIES).glob("*/study.json"))],
    }


def _study(summary: Mapping[str, Any]) -> dict[str, Any]:
    best, objective = summary.get("best"), summary["objective"]
    measures = best["measures"] if best else {}
    return {
        "study": summary["study"],
        "cohort_kind": summary["cohort_kind"],
        "objective": objective,
        "n_trials": summary["n_trials"],
        "best": {
            "trial": best["trial"],
            "score": best["score"],
            "low": measures.get(f"{objective}_low"),
            "high": measures.get(f"{objective}_high"),
            "values": best["values"],
        }
        if best
        else None,
    }


def results_status(root: Path) -> dict[str, Any]:
    """Return the verdict of `datspect reproduced`: reproduced, not reproduced or no verdict, with its headline."""
    from datspect.release.reference import reference_on_disk, results_on_disk
    from datspect.release.reproduction import verdict

    try:
        found = verdict(reference_on_disk(root), results_on_disk(root))
    except DatspectError as error:
        return {"verdict": "no results", "headline": str(error).splitlines()[0]}
    word = "reproduced" if found.reproduced else "not reproduced" if found.agreements else "no verdict"
    return {"verdict": word, "headline": found.headline}


def as_numbers(text: str) -> dict[str, float] | None:
    """Return the estimate and bounds that a version's tag holds; None if it holds none.

    >>> as_numbers("0.9165 (0.8929 to 0.9353)")
    {'estimate': 0.9165, 'low': 0.8929, 'high': 0.9353}
    """
    found = re.fullmatch(r"([-+]?[\d.]+) \(([-+]?[\d.]+) to ([-+]?[\d.]+)\)", text.strip())
    return dict(zip(("estimate", "low", "high"), map(float, found.groups()), strict=True)) if found else None
