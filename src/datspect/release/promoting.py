"""Promote a challenger: gather evidence, ask the rules, move the aliases. It can stop after any step."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from datspect.arrays import FloatArray
from datspect.cohort.table import read_cohort, targets
from datspect.errors import PromotionError
from datspect.evaluation.calibration import cross_calibrated, log_odds
from datspect.evaluation.comparison import Predictions
from datspect.evaluation.metrics import predicted_labels
from datspect.io.records import read_json, write_json
from datspect.io.scan_reading import read_scan
from datspect.io.sources import Source
from datspect.io.tables import read_table
from datspect.params.whole import Params
from datspect.prediction.files import FOLDER_NAME
from datspect.prediction.networks import read_seen
from datspect.prediction.predictor import Predictor
from datspect.release import membership, panel_rules, rules
from datspect.release.checked import changes, has_manifest, in_words, refuse_changed, without_manifest
from datspect.release.dvc_lock import commit_of, locked_outputs
from datspect.release.looks import SALT_TAG, count_look
from datspect.release.manifest import MANIFEST_TAG
from datspect.release.platforms import platform_here, platform_of
from datspect.release.registering import (
    LINEAGE_ARTIFACT,
    METRICS_ARTIFACT,
    PANEL_ARTIFACT,
    PANEL_TAG,
    ROBUSTNESS_ARTIFACT,
)
from datspect.release.registry import CHAMPION, PREVIOUS, Registry, Version
from datspect.release.reproduction import HEADLINE_TAG, reproduced_commit
from datspect.release.rules import Decision, Rule
from datspect.release.verifying import holding
from datspect.running.progress import progress

PROMOTIONS = Path("reports/promotions")
_PREDICTIONS = ("scan_id", "subject_id", "label", "logit", "probability")

log = logging.getLogger("datspect.promote")


@dataclass(frozen=True)
class Wish:
    """What a person asked for; `new_lineage` and `force` need a `reason`."""

    dry_run: bool = False
    force: bool = False
    new_lineage: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Side:
    """One version and what was stored with it, each part read when it is first asked for."""

    registry: Registry
    version: Version

    @cached_property
    def metrics(self) -> Mapping[str, Any]:
        """Measures of its calibrated answers on its test set, below key `holdout`."""
        record: Mapping[str, Any] = read_json(self.registry.artifact(self.version, METRICS_ARTIFACT))
        return record

    @cached_property
    def who(self) -> Mapping[str, list[str]]:
        """Salted digests of the subjects it was trained on (`train`) and tested on (`test`)."""
        record: Mapping[str, list[str]] = read_json(self.registry.artifact(self.version, LINEAGE_ARTIFACT))
        return record

    @cached_property
    def robustness(self) -> Mapping[str, Any]:
        """Measures of every row of the robustness panel, below key `rows`."""
        record: Mapping[str, Any] = read_json(self.registry.artifact(self.version, ROBUSTNESS_ARTIFACT))
        return record

    @cached_property
    def panel(self) -> pd.DataFrame:
        """Its answers to altered scans: columns scan (a salted digest), target, and one for each row of the panel."""
        return read_table(self.registry.artifact(self.version, PANEL_ARTIFACT), ("scan", "target"))

    @cached_property
    def predictor(self) -> Predictor:
        """Its predictor, read from the registry."""
        return Predictor.read(self.registry.artifact(self.version, FOLDER_NAME))

    @cached_property
    def development(self) -> pd.DataFrame:
        """Out-of-fold predictions of its training role, sorted by scan."""
        path = self.registry.run_file(self.version, "dev_predictions.csv")
        return read_table(path, (*_PREDICTIONS, "dev_fold")).sort_values("scan_id", ignore_index=True)

    @cached_property
    def holdout(self) -> pd.DataFrame:
        """Predictions of its test set, sorted by scan."""
        path = self.registry.run_file(self.version, "predictions.csv")
        return read_table(path, _PREDICTIONS).sort_values("scan_id", ignore_index=True)

    @cached_property
    def platform(self) -> str:
        """The platform that it was made on, as far as its run tells."""
        record = read_json(self.registry.run_file(self.version, "run.json"))
        run = self.registry.run(str(self.version.run_id))
        return platform_of(record, run.data.metrics if run else ())

    def tag(self, name: str) -> str:
        """Return tag `datspect.NAME` of the version, "" if it has none."""
        return self.version.tags.get(f"datspect.{name}", "")


def decide(
    registry: Registry, challenger: Side, champion: Side | None, root: Path, params: Params, wish: Wish
) -> Decision:
    """Ask every rule, and count one more look at the challenger's test set, whatever is moved afterwards."""
    whole = [_as_registered(challenger, "files as registered", "FAILED"), _made_from(challenger, root)]
    if champion and not wish.new_lineage:
        whole.append(_as_registered(champion, "the champion's files as registered", "information"))
    if any(rule.outcome == "refused" for rule in whole):
        return Decision(tuple(whole))
    asked = [
        *whole,
        rules.of_one_kind(challenger.tag("cohort_kind"), champion.tag("cohort_kind") if champion else None),
        *_traceable(challenger, root),
        _reproduced(challenger, root),
        *rules.floors(challenger.metrics["holdout"], params.promotion),
        *_robust(challenger, champion, params, wish),
        *_compared(registry, challenger, champion, root, params, wish),
        rules.looks(count_look(registry, challenger.tag("test_set"))),
    ]
    return Decision(tuple(asked))


def promote(registry: Registry, challenger: Side, champion: Side | None, decision: Decision, wish: Wish) -> bool:
    """Move the aliases if the rules, or force, allow it; return whether they were moved.

    Raises
    ------
    PromotionError : somebody else has promoted a version since the rules were asked.
    """
    if wish.dry_run or decision.refused or (decision.failed and not wish.force):
        return False
    now = registry.version(CHAMPION)
    if (now.number if now else None) != (champion.version.number if champion else None):
        raise PromotionError(
            f"the champion was version {champion.version.number if champion else 'none'} when the rules were asked and "
            f"is version {now.number if now else 'none'} now; nothing was moved, start again"
        )
    registry.tag(challenger.version, {"datspect.promoted": _now(), "datspect.promotion_reason": wish.reason})
    if champion:
        registry.set_alias(PREVIOUS, champion.version)
    registry.set_alias(CHAMPION, challenger.version)
    return True


def roll_back(registry: Registry, reason: str) -> tuple[Version, Version]:
    """Exchange champion and previous; return the new champion and the old one.

    Raises
    ------
    PromotionError : there is no previous champion, or a file of it is not as it was registered.
    """
    champion, previous = registry.version(CHAMPION), registry.version(PREVIOUS)
    if champion is None or previous is None or champion.number == previous.number:
        raise PromotionError("there is no previous champion to go back to")
    refuse_changed(registry, previous)
    registry.tag(previous, {"datspect.rolled_back_to": f"{_now()} {reason}"})
    registry.set_alias(CHAMPION, previous)  # first: from here on the rollback is done
    registry.set_alias(PREVIOUS, champion)
    return previous, champion


def write_protocol(root: Path, decision: Decision, moved: bool, wish: Wish, numbers: Mapping[str, str | None]) -> Path:
    """Write a file about this decision into `PROMOTIONS` and return its path."""
    record = {
        "time": _now(),
        **numbers,
        "moved": moved,
        **asdict(wish),
        "rules": [asdict(rule) for rule in decision.rules],
    }
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    path = root / PROMOTIONS / f"{stamp}-version-{numbers['challenger']}.json"
    write_json(path, record)
    return path


def _as_registered(side: Side, name: str, unknown: rules.Outcome) -> Rule:
    """Ask whether every file of a version is what its manifest says; nothing else of a changed version is read.

    `unknown`: the outcome for a version without a manifest.
    """
    if not has_manifest(side.version):
        return Rule(name, unknown, without_manifest(side.version))
    found = changes(side.registry, side.version)
    digest = side.version.tags[MANIFEST_TAG]
    return Rule(name, "refused" if found else "passed", in_words(found) or f"manifest {digest}")


def _made_from(challenger: Side, root: Path) -> Rule:
    """Ask whether what the version was made from, as far as it is here, is what dvc.lock says; and the test images."""
    locked = locked_outputs(root)
    seen = "striatal_box.npy" if challenger.tag("model") == "striatum" else "images.npy"
    images = [f"data/images/{name}" for name in (seen, "subjects.csv", "cohort.json")]
    wrong = [f"dvc.lock does not name {path}" for path in images if path not in locked]
    wanted = {*challenger.version.outputs.items(), *((path, locked[path]) for path in images if path in locked)}
    found = [(path, holding(root, path, md5, locked)) for path, md5 in sorted(wanted)]
    wrong += [each.finding for _, each in found if each.whole is False]
    return rules.made_from(len(found), wrong, [path for path, each in found if each.whole is None])


def _traceable(challenger: Side, root: Path) -> list[Rule]:
    version = challenger.version
    changed = [path for path in challenger.tag("git_changed").split("\n") if path]
    commit, lock_commit = challenger.tag("git_commit"), commit_of(root, version.outputs)
    reproduces = reproduced_commit(root, version.tags)
    said = f"not to the last digit; those of {reproduces} are {version.tags[HEADLINE_TAG]}" if reproduces else None
    return rules.traceable(commit if commit != "none" else None, changed, lock_commit, said)


def _reproduced(challenger: Side, root: Path) -> Rule:
    """Ask whether the version, read from the registry, gives its stored answers on the test images that lie here."""
    cohort = read_json(root / "data/images/cohort.json")
    if cohort["digest"] != challenger.tag("data_sha256"):
        return Rule(
            "stored predictions reproduced",
            "refused",
            "data/images is of another cohort than the version; check its commit out, then dvc checkout",
        )
    subjects = read_table(root / "data/images/subjects.csv", ["scan_id"])
    row_of = {scan_id: row for row, scan_id in enumerate(subjects["scan_id"])}
    rows = np.array([row_of[scan_id] for scan_id in challenger.holdout["scan_id"]])
    seen = read_seen(root / "data/images", challenger.predictor.parts.model, rows)
    again = challenger.predictor.probabilities(seen)
    stored = challenger.holdout["probability"].to_numpy()
    return rules.reproduced(stored, again, challenger.platform, platform_here(challenger.predictor.parts.model))


def _robust(challenger: Side, champion: Side | None, params: Params, wish: Wish) -> list[Rule]:
    """Ask about the robustness panel: the floors, and the champion's answers to the same altered scans."""
    limits, mine = params.promotion.robustness, challenger.tag(PANEL_TAG)
    if not mine:
        finding = (
            "the version carries no answers to altered scans: an earlier release registered it, or rows of single real "
            "subjects must not go to this server; run dvc repro, then datspect register --again"
        )
        return [Rule(panel_rules.NAME, "FAILED", finding)]
    floors = panel_rules.panel_floors(challenger.robustness["rows"], limits)
    if champion is None or wish.new_lineage:
        return floors
    if champion.tag(PANEL_TAG) != mine or not _on_the_same_data(challenger, champion):
        theirs = champion.tag(PANEL_TAG) or "none, an earlier release registered it"
        finding = f"not compared: other data, split or panel (challenger {mine}; champion {theirs})"
        return [*floors, Rule(f"{panel_rules.NAME}, against the champion", "information", finding)]
    return [*floors, *panel_rules.panel_not_worse(challenger.panel, champion.panel, limits)]


def _on_the_same_data(challenger: Side, champion: Side) -> bool:
    return all(challenger.tag(what) == champion.tag(what) for what in ("data_sha256", "splits_sha256"))


def _compared(
    registry: Registry, challenger: Side, champion: Side | None, root: Path, params: Params, wish: Wish
) -> list[Rule]:
    name = "comparison with the champion"
    if champion is None:
        return [Rule(name, "information", "there is no champion yet")]
    if wish.new_lineage:
        return [Rule(name, "information", f"none: a new lineage begins ({wish.reason})")]
    if _on_the_same_data(challenger, champion):
        return _on_the_same_split(challenger, champion, params)
    return _on_common_subjects(registry, challenger, champion, root, params)


def _on_the_same_split(challenger: Side, champion: Side, params: Params) -> list[Rule]:
    if not challenger.development["scan_id"].equals(champion.development["scan_id"]):
        raise PromotionError("the development predictions of both versions are not of the same scans; relog them")
    labels = targets(challenger.development["label"])
    ours, theirs = (
        _predictions(cross_calibrated(labels, table["logit"].to_numpy(), table["dev_fold"].to_numpy()))
        for table in (challenger.development, champion.development)
    )
    asked = rules.not_worse(labels, ours, theirs, "out of fold on the training role", params.promotion)
    ours, theirs = (_predictions(side.holdout["probability"].to_numpy()) for side in (challenger, champion))
    return [*asked, *rules.information(targets(challenger.holdout["label"]), ours, theirs)]


def _on_common_subjects(registry: Registry, challenger: Side, champion: Side, root: Path, params: Params) -> list[Rule]:
    """Compare on the challenger's test subjects that the champion never trained on; it reads their scans anew."""
    name = "subjects to compare on"
    salt = registry.model_tags()[SALT_TAG]
    known = set(champion.who["train"])
    holdout = challenger.holdout
    unseen = [membership.subject_digest(subject, salt) not in known for subject in holdout["subject_id"]]
    common = holdout[unseen].reset_index(drop=True)
    least = params.promotion.min_common_subjects
    if len(common) < least or common["label"].nunique() < 2:
        finding = (
            f"the champion had other data or another split, and only {len(common)} of the challenger's {len(holdout)} "
            f"test subjects (at least {least}, of both labels) were not in its training; --new-lineage with --reason "
            "begins a line without comparison"
        )
        return [Rule(name, "refused", finding, {"n": len(common)})]
    theirs = _read_anew(champion, common["scan_id"], root, params)
    ours = challenger.predictor.parts.calibration.probabilities(common["logit"].to_numpy())
    labels = targets(common["label"])
    where = "on test subjects that the champion never trained on"
    limits = params.promotion
    asked = rules.not_worse(
        labels, _predictions(ours), _predictions(theirs), where, limits, margin_factor=limits.common_margin_factor
    )
    return [Rule(name, "passed", f"{len(common)} of {len(holdout)}", {"n": len(common)}), *asked]


def _read_anew(champion: Side, scan_ids: "pd.Series[str]", root: Path, params: Params) -> FloatArray:
    """Return what the champion, by its own preprocessing, says of N scans: calibrated probabilities, shape (N,)."""
    cohort = read_cohort(root / params.cohort.path)
    path_of = dict(zip(cohort.scans["scan_id"], cohort.scans["path"], strict=True))
    missing = sorted(set(scan_ids) - set(path_of))
    if missing:
        raise PromotionError(
            f"{cohort.folder}: {len(missing)} of the challenger's test scans are not in it; set cohort.path to theirs"
        )
    answers = []
    for scan_id in progress(scan_ids, total=len(scan_ids), what="champion", unit="scan"):
        path = cohort.folder / path_of[scan_id]
        scan = read_scan(Source(path, None, path.name, path.stat().st_size))
        answers += champion.predictor.answers([champion.predictor.prepare(scan)])
    return np.array([answer.probability for answer in answers])


def _predictions(probabilities: FloatArray) -> Predictions:
    return Predictions(predicted_labels(probabilities), log_odds(probabilities), probabilities)


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
