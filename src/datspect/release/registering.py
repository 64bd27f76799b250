"""Make a version of the registered model from what the graph left on disk; the same files give one version only."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from datspect.cohort.kind import CohortKind
from datspect.cohort.scope import Scope
from datspect.cohort.table import targets
from datspect.errors import PromotionError
from datspect.io.records import read_json, write_json
from datspect.io.tables import read_table, write_table
from datspect.prediction.files import PARTS_NAME, predictor_digest
from datspect.release import membership
from datspect.release.dvc_lock import commit_of, differing_outputs, locked_outputs
from datspect.release.looks import count_look, name_of_test_set, subject_salt
from datspect.release.panel_rules import wide_panel
from datspect.release.registry import (
    CHALLENGER,
    CHANGED_TAG,
    COMMIT_TAG,
    DIGEST_TAG,
    OUTPUT_TAG,
    Registry,
    Version,
    is_of_a_commit,
)
from datspect.release.reproduction import reproduction_tags
from datspect.release.run_files import in_words, lost_files
from datspect.reporting.card import CardInputs, card_page
from datspect.reporting.paper_tables import with_interval
from datspect.reporting.robustness import FIGURE as PANEL_FIGURE
from datspect.tracking import earlier_runs
from datspect.training.to_mlflow import read_whole_record

PREDICTOR, ROBUSTNESS = "models/predictor", "reports/robustness"
OUTPUTS = (
    PREDICTOR,
    "models/final",
    "data/splits.csv",
    "data/images/subjects.csv",
    "reports/final/predictions.csv",
    "reports/final/dev_predictions.csv",
    "reports/final/run.json",
    "reports/predictor/predictions.csv",
    "reports/predictor/metrics.json",
    "reports/predictor/calibration.png",
    "reports/robustness/predictions.csv",
    "reports/robustness/metrics.json",
    "reports/robustness/robustness.png",
)
"""What a version stands for: each of them must be on disk as dvc.lock says."""
LINEAGE_ARTIFACT, METRICS_ARTIFACT, CARD_ARTIFACT = "lineage", "metrics", "card"
ROBUSTNESS_ARTIFACT, PANEL_ARTIFACT = "robustness", "panel"
"""Measures of every row of the robustness panel, and the answers behind them: a row a scan, without a name."""
PANEL_TAG = "panel"

_MEASURES = (
    "accuracy",
    "sensitivity",
    "specificity",
    "roc_auc",
    "loss",
    "brier",
    "calibration_slope",
    "calibration_intercept",
)
_MAX_TAG = 4900
"""Characters that a tag may have; MLflow keeps 5000."""


@dataclass(frozen=True)
class Registrable:
    """What the graph left.

    run : run.json of stage `final`; development : its measures out of fold on the training role
    metrics : of stage `predictor`; robustness : of the stage of this name; splits : who was in which role
    digest : of the predictor's files; outputs : path to hash in dvc.lock
    """

    root: Path
    run: Mapping[str, Any]
    development: Mapping[str, Any]
    metrics: Mapping[str, Any]
    robustness: Mapping[str, Any]
    splits: pd.DataFrame
    digest: str
    outputs: Mapping[str, str]

    @property
    def scope(self) -> Scope:
        """What the figures of the version are of."""
        return Scope.of(self.metrics)

    def subjects(self, role: str) -> list[str]:
        """Return the sorted pseudonyms of the subjects of a role."""
        return sorted(set(self.splits.loc[self.splits["role"] == role, "subject_id"]))


def read_registrable(root: Path) -> Registrable:
    """Read what a version is made of.

    Raises
    ------
    PromotionError : a file on disk differs from what dvc.lock says.
    RecordError : files of stage `final` are missing or belong to several executions.
    """
    if differing := differing_outputs(root, list(OUTPUTS)):
        raise PromotionError(
            f"not on disk as dvc.lock says: {', '.join(differing)}; run dvc repro, then register what it made"
        )
    locked = locked_outputs(root)
    return Registrable(
        root=root,
        run=read_whole_record(root / "reports/final", root / "models/final"),
        development=read_json(root / "reports/final/metrics.json")["dev_out_of_fold"],
        metrics=read_json(root / "reports/predictor/metrics.json"),
        robustness=read_json(root / ROBUSTNESS / "metrics.json"),
        splits=read_table(root / "data/splits.csv", ["scan_id", "subject_id", "label", "role", "dev_fold"]),
        digest=predictor_digest(root / PREDICTOR),
        outputs={path: locked[path] for path in OUTPUTS},
    )


def register(
    registry: Registry, results: Registrable, *, again: bool = False, share_subject_level: bool = False
) -> tuple[Version, bool]:
    """Make the version of these results the challenger; return it, and whether it is new.

    Results that were trained from a commit get a version of their own if the one there is was not, as that of an
    experiment is not: it could never be promoted. `again` makes a new one in any case: for a version without manifest,
    or one whose files were changed. The card of a new version shows the test set, which is counted as one look at it.
    `share_subject_level`: whether answers to single real scans may go to a server beyond this machine, without names.

    Raises
    ------
    PromotionError : a new version would have no complete run in this MLflow, or the run has lost files.
    """
    registry.ensure()
    version = None if again else registry.with_digest(results.digest)
    if version and is_of_a_commit(version_tags(results)) and not is_of_a_commit(version.tags):
        version = None
    is_new = version is None
    if version is None:
        version = _create(registry, results, share_subject_level)
    elif run_id := registry.run_with_files(version):
        _refuse_lost(registry, results, run_id)
    registry.set_alias(CHALLENGER, version)
    return version, is_new


def _create(registry: Registry, results: Registrable, share: bool) -> Version:
    run_id = earlier_runs(registry.connection, "final", results.run["result_id"]).complete
    if run_id is None:
        raise PromotionError("the run of stage final is not whole in this MLflow; run datspect relog, then register")
    _refuse_lost(registry, results, run_id)
    salt = subject_salt(registry)
    test_set = name_of_test_set(registry, results.subjects("test"))
    tags = version_tags(results) | {"datspect.test_set": test_set}
    if commit_of(results.root, dict(results.outputs)) is None:
        tags |= reproduction_tags(results.root, results.run["git"]["commit"])
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        who = {role: membership.subject_digests(results.subjects(role), salt) for role in ("train", "test")}
        write_json(folder / "lineage.json", who)
        card = _card(results, count_look(registry, test_set))
        (folder / "card.html").write_text(card, encoding="utf-8", newline="\n")
        extras = [
            (LINEAGE_ARTIFACT, folder / "lineage.json"),
            (CARD_ARTIFACT, folder / "card.html"),
            (METRICS_ARTIFACT, results.root / "reports/predictor/metrics.json"),
            (ROBUSTNESS_ARTIFACT, results.root / ROBUSTNESS / "metrics.json"),
        ]
        if share or results.scope.kind is CohortKind.PHANTOM or not registry.is_beyond_this_machine:
            write_table(folder / "panel.csv", _panel(results, salt))
            extras.append((PANEL_ARTIFACT, folder / "panel.csv"))
            tags |= {f"datspect.{PANEL_TAG}": str(results.robustness["panel"])}
        return registry.create(
            results.root / PREDICTOR, run_id=run_id, tags=tags, description=_description(results), extras=extras
        )


def _panel(results: Registrable, salt: str) -> pd.DataFrame:
    """Return the answers to all altered scans, a row a scan, which has a salted digest for its name."""
    answers = read_table(results.root / ROBUSTNESS / "predictions.csv", ("row", "scan_id", "label", "probability"))
    wide = wide_panel(answers.assign(target=targets(answers["label"])))
    scans = [membership.subject_digest(scan_id, salt) for scan_id in wide.pop("scan_id")]
    return wide.assign(scan=scans).sort_values("scan", ignore_index=True)


def _refuse_lost(registry: Registry, results: Registrable, run_id: str) -> None:
    if lost := lost_files(registry.connection, run_id, results.run):
        raise PromotionError(
            f"MLflow has lost files of run {run_id} of stage final: {in_words(lost)}; bring them back, or run datspect "
            "relog, which sends them again; then register"
        )


def _card(results: Registrable, looks: int) -> str:
    root = results.root
    inputs = CardInputs(
        digest=results.digest,
        run=results.run,
        parts=read_json(root / PREDICTOR / PARTS_NAME),
        metrics=results.metrics,
        robustness=results.robustness,
        subjects=read_table(root / "data/images/subjects.csv", ["scan_id", "label", "sex", "age", "site"]),
        splits=results.splits,
        predictions=read_table(root / "reports/predictor/predictions.csv", ["scan_id", "label", "prediction"]),
        outputs=results.outputs,
        looks=looks,
    )
    pictures = (root / "reports/predictor/calibration.png", root / ROBUSTNESS / PANEL_FIGURE)
    return card_page(inputs, *(path.read_bytes() for path in pictures))


def version_tags(results: Registrable) -> dict[str, str]:
    """Return a version's tags: where it comes from, its hashes, and its measures out of fold with intervals.

    Tags are what lists of versions show beside each other, so nothing of the test set is among them.
    """
    run = results.run
    changed = run["git"].get("changed", ["unknown"] if run["git"]["dirty"] else [])
    tags = {
        DIGEST_TAG: results.digest,
        COMMIT_TAG: run["git"]["commit"] or "none",
        CHANGED_TAG: "\n".join(changed),
        "datspect.result_id": run["result_id"],
        "datspect.code_sha256": run["code_sha256"],
        "datspect.params_sha256": run["params_sha256"],
        **{key: value for key, value in run["tags"].items() if key.startswith("datspect.")},
        **{f"{OUTPUT_TAG}{path}": md5 for path, md5 in results.outputs.items()},
        **{
            f"dev.{name}": with_interval(results.development, name) for name in _MEASURES if name in results.development
        },
    }
    return {key: value[:_MAX_TAG] for key, value in tags.items()}


def _description(results: Registrable) -> str:
    development = results.development
    of = f"**{results.scope.banner}.** " if results.scope.banner else ""
    return (
        f"{of}Parkinson's disease against control from DaTscan SPECT, research only. Out of fold on the "
        f"{development['n']} training subjects: accuracy {with_interval(development, 'accuracy')}, ROC AUC "
        f"{with_interval(development, 'roc_auc')}. card.html shows the test set."
    )
