"""Read and write the reference: answers of one run of the graph, small enough for git, and what they depend on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd

from datspect.cohort.kind import CohortKind
from datspect.cohort.scope import Scope
from datspect.errors import CohortError, PromotionError
from datspect.io.records import read_json, write_json
from datspect.io.tables import read_table, write_table
from datspect.tracking.labels import flat_params
from datspect.tracking.provenance import committed_text

ANSWERS, ABOUT = "reports/reference/predictions.csv", "reports/reference/reference.json"
OUT_OF_FOLD, HOLDOUT = "out of fold", "on the holdout"

_STAGES = {OUT_OF_FOLD: "cv", HOLDOUT: "final"}
READ = tuple(f"reports/{stage}/{name}" for stage in _STAGES.values() for name in ("predictions.csv", "run.json"))
_COLUMNS = ("where", "scan_id", "label", "probability")
_LEFT_OUT = ("cohort.path", "backbone.precision")
"""What no answer depends on, and the precision, which is named among the causes."""
_COMPUTING = ("python", "numpy", "scipy", "pandas", "scikit-learn", "keras")
"""Packages that compute numbers, beside the backend in use."""


@dataclass(frozen=True)
class Results:
    """What one run of the graph says, and what it was made from and on.

    answers : columns where (out of fold, holdout), scan_id, label and probability
    about : parameters (dotted keys), cohort, splits_sha256, digests (by what they are of) and causes, which are all
        that last digits may depend on
    """

    answers: pd.DataFrame
    about: Mapping[str, Any]

    @property
    def kind(self) -> CohortKind:
        """Whether the cohort is simulated."""
        return CohortKind.of(self.about["cohort"]["kind"])

    @property
    def scope(self) -> Scope:
        """What the answers are of."""
        return Scope(self.kind, str(self.about.get("recipe", "")))


def results_on_disk(root: Path) -> Results:
    """Read what `cv` and `final` left.

    Raises
    ------
    CohortError : a file is missing, or comes from an earlier release, which wrote no digests.
    """
    records = {where: read_json(root / "reports" / stage / "run.json") for where, stage in _STAGES.items()}
    record = records[HOLDOUT]
    if missing := {"settings", "machine"} - set(record):
        raise CohortError(
            f"{root / 'reports/final/run.json'}: no {', '.join(sorted(missing))} in it, as in earlier releases; "
            "run dvc repro"
        )
    tables = []
    for where, stage in _STAGES.items():
        table = read_table(root / "reports" / stage / "predictions.csv", _COLUMNS[1:])
        tables.append(table.assign(where=where)[list(_COLUMNS)])
    recipe = Scope.of_tags(record["tags"]).recipe
    about = {
        **({"recipe": recipe} if recipe else {}),
        "cohort": {name: record["cohort"][name] for name in ("kind", "digest", "n")},
        "splits_sha256": record["splits_sha256"],
        "parameters": _parameters(record),
        "digests": _digests(records),
        "causes": _causes(records),
    }
    return Results(pd.concat(tables, ignore_index=True), about)


def reference_on_disk(root: Path) -> Results | None:
    """Read the reference in the working tree; None if there is none."""
    if not (root / ABOUT).is_file():
        return None
    return Results(read_table(root / ANSWERS, _COLUMNS), read_json(root / ABOUT))


def reference_at(root: Path, commit: str) -> Results | None:
    """Read the reference as a commit holds it; None if it holds none."""
    about, answers = (committed_text(root, commit, path) for path in (ABOUT, ANSWERS))
    if about is None or answers is None:
        return None
    return Results(pd.read_csv(StringIO(answers), dtype={"scan_id": str, "label": str}), json.loads(about))


def write_reference(root: Path, results: Results) -> None:
    """Make these results the reference.

    Raises
    ------
    PromotionError : the cohort is not a phantom, and the reference would go into git.
    """
    if results.kind != CohortKind.PHANTOM:
        raise PromotionError(
            f"{ANSWERS} is made to be committed and holds one row for each subject, so it takes a phantom cohort only; "
            f"this cohort is {results.about['cohort']['kind']}"
        )
    write_table(root / ANSWERS, results.answers)
    write_json(root / ABOUT, results.about)


def _parameters(record: Mapping[str, Any]) -> dict[str, str]:
    """Return what the answers depend on: nothing of the other model, and of a fine-tuning only where there is one."""
    flat = flat_params(record["settings"])
    unused = set(_LEFT_OUT)
    if flat.get("model") == "striatum":
        aside = ("backbone.", "augment.", "finetuning.")
    else:
        unused.add("model")  # the paper's is the only one that references from before there were two know
        aside = ("striatum.", *(("finetuning.",) if flat.get("backbone.trainable") == "none" else ()))
    return {name: value for name, value in flat.items() if name not in unused and not name.startswith(aside)}


def _digests(records: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return digests in the order in which the graph makes what they are of."""
    bank = records[HOLDOUT]["features"]["sha256_by_draw"]
    digests = {f"draw {draw} of the bank of features": digest for draw, digest in enumerate(bank)}
    for where, stage in _STAGES.items():
        heads = records[where]["heads"]
        digests |= {f"head {head['name']} of stage {stage}": head["weights_sha256"] for head in heads}
    for where, stage in _STAGES.items():
        digests[f"predictions of stage {stage}"] = records[where]["files"]["predictions.csv"]
    return digests


def _causes(records: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    record = records[HOLDOUT]
    machine, tags = record["machine"], record["tags"]
    return {
        "processor": str(machine["processor"]),
        "instruction sets": ", ".join(machine["instructions"]) or "unknown",
        "cores": str(machine["cores"]),
        "system": f"{machine['system']} {machine['architecture']}",
        "backend": tags["datspect.backend"],
        "precision": tags["datspect.precision"],
        "weights": tags["datspect.weights_sha256"],
        "code": ", ".join(f"{_STAGES[where]} {each['code_sha256'][:12]}" for where, each in records.items()),
        **{
            f"release of {name}": release
            for name, release in record["releases"].items()
            if name in _COMPUTING or name.startswith(tags["datspect.backend"])
        },
    }
