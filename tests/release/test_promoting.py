"""The gate on a registry of made-up versions: what is asked, who wins, and what moves."""

import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.models import Model
from tests.release.made_up_cache import FOLDER, KINDS, cached, damage, keep, write_outputs
from tests.release.made_up_versions import (
    OUTPUTS,
    MadeUpPredictor,
    N,
    add_version,
    images_in_lock,
    predictions,
    write_graph,
)
from tests.release.repositories import commit_lock
from tests.tracking.made_up_results import PARAMS_PATH

from datspect.cohort.kind import CohortKind
from datspect.cohort.table import COLUMNS, Cohort, write_cohort
from datspect.errors import PromotionError
from datspect.params.whole import load_params
from datspect.prediction.networks import read_seen
from datspect.release import promoting
from datspect.release.dvc_lock import content_md5
from datspect.release.manifest import MANIFEST_TAG
from datspect.release.promoting import PROMOTIONS, Side, Wish, decide, promote, roll_back, write_protocol
from datspect.release.registry import CHAMPION, PREVIOUS, Registry
from datspect.release.rules import Decision, Rule

PASSED = Decision((Rule("a rule", "passed", ""),))
FAILED = Decision((Rule("a rule", "FAILED", ""),))
PLAIN = Wish()
REFUSED = Decision((Rule("a rule", "refused", ""),))
LOSS, AREA = "log loss, out of fold on the training role", "ROC AUC, out of fold on the training role"


@pytest.fixture
def holdout() -> pd.DataFrame:
    return predictions("test", 2.0, seed=1)


@pytest.fixture
def project(project: Path, holdout: pd.DataFrame) -> Path:
    """With the test images, and a committed dvc.lock that has the versions' outputs."""
    write_graph(project, holdout)
    return project


def ask(challenger: Side, champion: Side | None, root: Path, wish: Wish = PLAIN) -> Decision:
    return decide(challenger.registry, challenger, champion, root, load_params(PARAMS_PATH), wish)


def rule(decision: Decision, name: str) -> Rule:
    (found,) = (rule for rule in decision.rules if rule.name == name)
    return found


def stopping(decision: Decision) -> dict[str, str]:
    """Rules that stand against the promotion, with their outcomes."""
    return {rule.name: rule.outcome for rule in (*decision.refused, *decision.failed)}


def number(registry: Registry, alias: str) -> str | None:
    version = registry.version(alias)
    return None if version is None else version.number


def test_a_sound_first_version_passes_every_rule_and_needs_no_comparison(registry: Registry, project: Path) -> None:
    decision = ask(add_version(registry, project), None, project)
    assert decision.passed
    assert [rule.outcome for rule in decision.rules].count("passed") == 12
    assert rule(decision, "comparison with the champion").finding == "there is no champion yet"


@pytest.mark.parametrize(
    ("changed", "name", "outcome"),
    [
        ({"git_commit": "none"}, "git commit at training", "refused"),
        ({"git_changed": "a.py\nb.py"}, "files changed at training", "refused"),
        ({"data_sha256": "other data"}, "stored predictions reproduced", "refused"),
        ({"shift": 2e-4}, "stored predictions reproduced", "refused"),
        ({"holdout": {"roc_auc_low": 0.84}}, "ROC AUC, lower bound", "FAILED"),
        ({"holdout": {"sensitivity_low": 0.79}}, "sensitivity, lower bound", "FAILED"),
        ({"holdout": {"specificity_low": 0.59}}, "specificity, lower bound", "FAILED"),
        ({"holdout": {"recalibration_gain": 0.031}}, "calibration on the test set", "FAILED"),
        ({"rows": {"blur_8": {"roc_auc_low": 0.79}}}, "robustness, blur_8", "FAILED"),
        ({"rows": {"noise_10": {"accuracy_low": 0.59}}}, "robustness, noise_10", "FAILED"),
        ({"panel": ""}, "robustness", "FAILED"),
    ],
)
def test_one_defect_stops_a_version_by_its_own_rule(
    registry: Registry, project: Path, changed: dict[str, Any], name: str, outcome: str
) -> None:
    assert stopping(ask(add_version(registry, project, **changed), None, project)) == {name: outcome}


def test_a_version_of_the_striatum_is_asked_about_slabs(
    registry: Registry, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def seen(folder: Path, model: str, rows: np.ndarray) -> np.ndarray:
        asked.append(model)
        return read_seen(folder, "paper", rows)  # whose only pixel holds the answer

    monkeypatch.setattr(promoting, "read_seen", seen)
    challenger = add_version(registry, project)
    vars(challenger)["predictor"] = MadeUpPredictor(model="striatum")
    assert ask(challenger, None, project).passed
    assert asked == ["striatum"]


def test_a_challenger_that_is_worse_in_one_row_of_the_panel_is_stopped_by_that_row(
    registry: Registry, project: Path
) -> None:
    test = predictions("test", 2.0, seed=1)
    blurred = np.where(np.arange(N) % 3, test["probability"], 0.5 - 0.4 * (test["label"] == "pd"))
    champion, challenger = add_version(registry, project), add_version(registry, project, altered={"blur_8": blurred})
    decision = ask(challenger, champion, project)
    assert stopping(decision) == {"robustness, blur_8, against the champion": "FAILED"}
    assert "challenger minus champion on 100 scans" in decision.failed[0].finding
    assert ask(champion, challenger, project).passed
    assert ask(challenger, champion, project, Wish(new_lineage=True, reason="another camera")).passed


def test_panels_of_other_scans_or_another_edition_are_not_compared(registry: Registry, project: Path) -> None:
    challenger = add_version(registry, project, altered={"blur_8": np.full(N, 0.5)})
    for panel in ("edition 2, seed 1", ""):
        decision = ask(challenger, add_version(registry, project, panel=panel), project)
        assert decision.passed
        found = rule(decision, "robustness, against the champion")
        assert found.outcome == "information"
        assert (panel or "none, an earlier release registered it") in found.finding


def test_of_a_version_with_changed_files_nothing_else_is_asked(registry: Registry, project: Path) -> None:
    champion, challenger = add_version(registry, project), add_version(registry, project)
    for side, name in ((challenger, "files as registered"), (champion, "the champion's files as registered")):
        folder = registry.folder(side.version)
        assert folder is not None
        before = (folder / "metrics.json").read_bytes()
        (folder / "metrics.json").write_text("no measures")
        decision = ask(challenger, champion, project, Wish(force=True, reason="needed now"))
        assert stopping(decision) == {name: "refused"}
        assert rule(decision, name).finding == "metrics.json was changed"
        assert not promote(registry, challenger, champion, decision, Wish(force=True, reason="needed now"))
        (folder / "metrics.json").write_bytes(before)
    assert stopping(ask(challenger, champion, project)) == {}


def test_a_version_without_manifest_is_promoted_by_force_and_replaced_without(
    registry: Registry, project: Path
) -> None:
    old, new = add_version(registry, project), add_version(registry, project)
    registry.connection.client.delete_model_version_tag("datspect", old.version.number, MANIFEST_TAG)
    old = Side(registry, registry.named(old.version.number))
    assert stopping(ask(old, None, project)) == {"files as registered": "FAILED"}
    assert ask(new, old, project).passed
    assert "has no manifest" in rule(ask(new, old, project), "the champion's files as registered").finding


@pytest.mark.parametrize("name", ["images.npy", "subjects.csv", "cohort.json"])
def test_images_that_are_not_what_the_lock_names_are_refused_before_anything_is_asked_of_them(
    registry: Registry, project: Path, name: str
) -> None:
    challenger = add_version(registry, project)
    damage(project / "data/images" / name)
    decision = ask(challenger, None, project, Wish(force=True, reason="needed now"))
    assert stopping(decision) == {"outputs as dvc.lock says": "refused"}
    assert f"changed in the workspace: data/images/{name}, expected" in decision.refused[0].finding
    assert not [rule for rule in decision.rules if rule.name == "looks at this test set"]
    commit_lock(project, OUTPUTS)
    finding = rule(ask(challenger, None, project), "outputs as dvc.lock says").finding
    assert "dvc.lock does not name data/images/images.npy" in finding


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", ["cache", "workspace"])
def test_a_version_made_from_damaged_outputs_is_refused(
    registry: Registry, project: Path, kind: str, place: str
) -> None:
    images = (project / "data/images/images.npy").read_bytes()
    write_outputs(project)
    (project / "data/images/images.npy").write_bytes(images)
    named = {path: content_md5(project / path) for path in (*KINDS.values(), FOLDER)}
    commit_lock(project, OUTPUTS | images_in_lock(project) | named)
    keep(project, "data/images/images.npy")
    challenger = add_version(registry, project)
    registry.tag(challenger.version, {f"dvc.{path}": md5 for path, md5 in (named | images_in_lock(project)).items()})
    challenger = Side(registry, registry.named(challenger.version.number))
    decision = ask(challenger, None, project)
    assert decision.passed
    assert rule(decision, "outputs as dvc.lock says").finding.endswith("not on this machine: data/splits.csv")
    path = project / KINDS[kind]
    damage(cached(project, content_md5(path)) if place == "cache" else path)
    refused = rule(ask(challenger, None, project), "outputs as dvc.lock says")
    assert refused.outcome == "refused"
    said = {"cache": "damaged in the cache", "workspace": "changed in the workspace"}[place]
    assert f"{said}: {KINDS[kind]}, expected" in refused.finding


def test_the_rule_on_stored_predictions_names_both_platforms(registry: Registry, project: Path) -> None:
    found = rule(ask(add_version(registry, project), None, project), "stored predictions reproduced")
    made = "a processor, Linux x86_64, Python 3.11.0, tensorflow 2.21.0"
    assert found.figures["made_on"] == made
    assert f"; made on {made}; checked on " in found.finding
    assert f"Python {platform.python_version()}" in found.figures["checked_on"]


def test_results_in_no_committed_lock_are_refused(registry: Registry, project: Path) -> None:
    challenger = add_version(registry, project)
    commit_lock(project, OUTPUTS | images_in_lock(project) | {"data/splits.csv": "0" * 32})
    assert ask(challenger, None, project).passed  # an earlier commit has them
    registry.tag(challenger.version, {"dvc.reports/new.csv": "1" * 32})
    changed = Side(registry, registry.named(challenger.version.number))
    assert stopping(ask(changed, None, project)) == {"results in a committed dvc.lock": "refused"}


def test_a_phantom_does_not_replace_real_scans(registry: Registry, project: Path) -> None:
    champion = add_version(registry, project, cohort_kind="real")
    assert stopping(ask(add_version(registry, project), champion, project)) == {"kind of the cohort": "refused"}
    assert ask(champion, add_version(registry, project), project).passed


def test_on_the_same_split_a_version_must_not_be_worse_out_of_fold(registry: Registry, project: Path) -> None:
    weak, strong, same = (add_version(registry, project, strength=strength) for strength in (0.5, 2.0, 2.0))
    assert stopping(ask(weak, strong, project)) == {LOSS: "FAILED", AREA: "FAILED"}
    decision = ask(strong, weak, project)
    assert decision.passed
    assert rule(decision, LOSS).figures["loss_difference"] < 0 < rule(decision, AREA).figures["roc_auc_difference"]
    unchanged = ask(same, strong, project)
    assert unchanged.passed
    assert rule(unchanged, LOSS).figures["loss_difference"] == 0
    assert f"on {N} subjects" in rule(unchanged, LOSS).finding
    assert rule(unchanged, "test set, McNemar").figures["mcnemar_p"] == 1  # both have the same test predictions


def test_out_of_fold_means_calibrated_on_the_other_folds(registry: Registry, project: Path) -> None:
    """Log odds in another unit are the same forecast once each fold is calibrated on the others."""
    table = predictions("dev", 2.0, seed=2)
    champion = add_version(registry, project, development=table)
    doubled = add_version(registry, project, development=table.assign(logit=2 * table["logit"]))
    differences = rule(ask(doubled, champion, project), LOSS).figures
    assert differences["loss_difference"] == pytest.approx(0, abs=1e-6)


def test_the_order_of_the_tables_does_not_matter_and_other_scans_do(registry: Registry, project: Path) -> None:
    table = predictions("dev", 2.0, seed=2)
    champion = add_version(registry, project, development=table)
    turned = add_version(registry, project, development=table[::-1])
    assert rule(ask(turned, champion, project), LOSS).figures["loss_difference"] == 0
    others = add_version(registry, project, development=table[1:])
    with pytest.raises(PromotionError, match="not of the same scans"):
        ask(others, champion, project)


@pytest.fixture
def read_anew(project: Path, holdout: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> MadeUpPredictor:
    """What the champion says of the cohort's scans, each of which is a file that is named after its scan."""
    folder = project / "cohort"
    folder.mkdir()
    scans = holdout.assign(path=holdout["scan_id"] + ".nii", age=60.0)
    for path in scans["path"]:
        (folder / path).touch()
    write_cohort(Cohort(folder, CohortKind.PHANTOM, scans.reindex(columns=list(COLUMNS), fill_value="")))
    monkeypatch.setattr(promoting, "read_scan", lambda source: source.name)
    return MadeUpPredictor(known=dict(zip(scans["path"], holdout["probability"], strict=True)))


def on_another_split(
    registry: Registry, root: Path, holdout: pd.DataFrame, predictor: MadeUpPredictor, n_seen: int
) -> Side:
    """A champion that trained on the first `n_seen` subjects of the challenger's test set."""
    champion = add_version(
        registry, root, trained_on=tuple(holdout["subject_id"][:n_seen]), splits_sha256="another split"
    )
    vars(champion)["predictor"] = predictor
    return champion


def ask_in_cohort(challenger: Side, champion: Side, root: Path, least: int) -> Decision:
    params = load_params(PARAMS_PATH)
    changed = {
        "promotion": params.promotion.model_copy(update={"min_common_subjects": least}),
        "cohort": params.cohort.model_copy(update={"path": "cohort"}),
    }
    return decide(challenger.registry, challenger, champion, root, params.model_copy(update=changed), PLAIN)


def test_with_another_split_both_are_compared_on_subjects_that_the_champion_never_saw(
    registry: Registry, project: Path, holdout: pd.DataFrame, read_anew: MadeUpPredictor
) -> None:
    champion = on_another_split(registry, project, holdout, read_anew, n_seen=40)
    decision = ask_in_cohort(add_version(registry, project), champion, project, least=60)
    assert decision.passed
    assert read_anew.asked == [f"{scan}.nii" for scan in holdout["scan_id"][40:]]
    assert rule(decision, "subjects to compare on").finding == "60 of 100"
    loss = rule(decision, "log loss, on test subjects that the champion never trained on")
    assert "on 60 subjects" in loss.finding
    assert loss.figures["loss_difference"] == pytest.approx(0, abs=1e-6)  # it says of them what the challenger says


def test_the_champions_new_answers_are_held_against_the_challengers(
    registry: Registry, project: Path, holdout: pd.DataFrame, read_anew: MadeUpPredictor
) -> None:
    read_anew.known = {f"{row.scan_id}.nii": 0.99 if row.label == "pd" else 0.01 for row in holdout.itertuples()}
    champion = on_another_split(registry, project, holdout, read_anew, n_seen=0)
    decision = ask_in_cohort(add_version(registry, project), champion, project, least=60)
    assert stopping(decision) == {"log loss, on test subjects that the champion never trained on": "FAILED"}


@pytest.mark.parametrize("data", [{}, {"data_sha256": "other data"}])
def test_too_few_common_subjects_are_refused(
    registry: Registry, project: Path, holdout: pd.DataFrame, read_anew: MadeUpPredictor, data: dict[str, str]
) -> None:
    champion = on_another_split(registry, project, holdout, read_anew, n_seen=41)
    decision = ask_in_cohort(add_version(registry, project, **data), champion, project, least=60)
    assert decision.refused[-1].name == "subjects to compare on"
    assert "only 59 of the challenger's 100 test subjects (at least 60" in decision.refused[-1].finding
    assert read_anew.asked == []


def test_common_subjects_of_one_label_are_refused(
    registry: Registry, project: Path, holdout: pd.DataFrame, read_anew: MadeUpPredictor
) -> None:
    controls_last = holdout.sort_values("label", ascending=False)
    champion = on_another_split(registry, project, controls_last, read_anew, n_seen=N // 2)
    decision = ask_in_cohort(add_version(registry, project), champion, project, least=2)
    assert stopping(decision) == {"subjects to compare on": "refused"}


def test_scans_that_are_not_in_the_cohort_are_counted(
    registry: Registry, project: Path, holdout: pd.DataFrame, read_anew: MadeUpPredictor
) -> None:
    table = project / "cohort/participants.tsv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-3]))
    champion = on_another_split(registry, project, holdout, read_anew, n_seen=0)
    with pytest.raises(PromotionError, match="3 of the challenger's test scans are not in it"):
        ask_in_cohort(add_version(registry, project), champion, project, least=2)


def test_a_new_lineage_is_not_compared_and_says_why(registry: Registry, project: Path) -> None:
    weak, strong = (add_version(registry, project, strength=strength) for strength in (0.5, 2.0))
    decision = ask(weak, strong, project, Wish(new_lineage=True, reason="another camera"))
    assert decision.passed
    finding = rule(decision, "comparison with the champion").finding
    assert finding == "none: a new lineage begins (another camera)"
    failing = add_version(registry, project, holdout={"roc_auc_low": 0.5})
    assert not ask(failing, strong, project, Wish(new_lineage=True, reason="x")).passed  # it must still be good


def test_every_look_at_a_test_set_counts_for_all_versions_with_that_test_set(registry: Registry, project: Path) -> None:
    first, second = add_version(registry, project), add_version(registry, project)
    other = add_version(registry, project, test_set="another test set")
    asked = [ask(first, None, project, Wish(dry_run=True)), ask(second, None, project), ask(other, None, project)]
    looks = [rule(decision, "looks at this test set").figures["looks"] for decision in asked]
    assert looks == [1, 2, 1]


def test_a_version_that_this_project_did_not_make_is_refused_with_a_word(registry: Registry, project: Path) -> None:
    stored = Model()
    stored.add_flavor("keras")
    stored.save(project / "MLmodel")
    created = registry.connection.client.create_model_version("datspect", source=project.as_uri())
    with pytest.raises(PromotionError, match="it was not made by this project"):
        ask(Side(registry, registry.named(str(created.version))), None, project)


@pytest.mark.parametrize(
    ("decision", "wish", "moves"),
    [
        (PASSED, PLAIN, True),
        (PASSED, Wish(dry_run=True), False),
        (FAILED, PLAIN, False),
        (FAILED, Wish(force=True, reason="needed now"), True),
        (FAILED, Wish(force=True, dry_run=True, reason="needed now"), False),
        (REFUSED, Wish(force=True, reason="needed now"), False),
    ],
)
def test_the_aliases_move_by_the_rules_or_by_force_but_never_against_a_refusal(
    registry: Registry, project: Path, decision: Decision, wish: Wish, moves: bool
) -> None:
    challenger = add_version(registry, project)
    assert promote(registry, challenger, None, decision, wish) is moves
    assert number(registry, CHAMPION) == ("1" if moves else None)
    assert number(registry, PREVIOUS) is None
    tags = registry.named("1").tags
    assert ("datspect.promoted" in tags) is moves
    assert tags.get("datspect.promotion_reason", "") == (wish.reason if moves else "")


def three_promoted(registry: Registry, project: Path) -> tuple[Side, Side, Side]:
    """Three versions, of which the first two were promoted one after the other."""
    first, second, third = (add_version(registry, project) for _ in range(3))
    assert promote(registry, first, None, PASSED, PLAIN)
    assert promote(registry, second, first, PASSED, PLAIN)
    return first, second, third


def test_the_champion_that_is_replaced_is_kept_as_the_previous_one(registry: Registry, project: Path) -> None:
    _, second, third = three_promoted(registry, project)
    assert (number(registry, CHAMPION), number(registry, PREVIOUS)) == ("2", "1")
    promote(registry, third, second, PASSED, PLAIN)
    assert (number(registry, CHAMPION), number(registry, PREVIOUS)) == ("3", "2")


def test_a_lost_race_moves_nothing(registry: Registry, project: Path) -> None:
    first, _, third = three_promoted(registry, project)
    for asked_about, words in ((first, "was version 1 when"), (None, "was version none when")):
        with pytest.raises(PromotionError, match=f"{words} the rules were asked and is version 2 now"):
            promote(registry, third, asked_about, PASSED, Wish(force=True, reason="now"))
    assert (number(registry, CHAMPION), number(registry, PREVIOUS)) == ("2", "1")
    assert "datspect.promoted" not in registry.named("3").tags


def test_a_rollback_exchanges_the_two_and_a_second_one_takes_it_back(registry: Registry, project: Path) -> None:
    three_promoted(registry, project)
    now, before = roll_back(registry, "the second one disappointed")
    assert (now.number, before.number) == ("1", "2")
    assert (number(registry, CHAMPION), number(registry, PREVIOUS)) == ("1", "2")
    assert registry.named("1").tags["datspect.rolled_back_to"].endswith(" the second one disappointed")
    roll_back(registry, "it was not that bad")
    assert (number(registry, CHAMPION), number(registry, PREVIOUS)) == ("2", "1")


def test_without_a_previous_champion_there_is_nothing_to_go_back_to(registry: Registry, project: Path) -> None:
    with pytest.raises(PromotionError, match="no previous champion"):
        roll_back(registry, "why")
    first = add_version(registry, project)
    promote(registry, first, None, PASSED, PLAIN)
    with pytest.raises(PromotionError, match="no previous champion"):
        roll_back(registry, "why")
    assert number(registry, CHAMPION) == "1"


def stop_at(alias: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C as this alias is about to move."""

    def set_alias(self: Registry, name: str, version: Any) -> None:
        if name == alias:
            raise KeyboardInterrupt
        move(self, name, version)

    move = Registry.set_alias
    monkeypatch.setattr(Registry, "set_alias", set_alias)


def test_an_interrupted_promotion_keeps_the_champion(
    registry: Registry, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, second, third = three_promoted(registry, project)
    with monkeypatch.context() as patch:
        stop_at(CHAMPION, patch)
        with pytest.raises(KeyboardInterrupt):
            promote(registry, third, second, PASSED, PLAIN)
    assert number(registry, CHAMPION) == "2"
    with pytest.raises(PromotionError, match="no previous champion"):  # both names are the second one's
        roll_back(registry, "why")
    promote(registry, third, second, PASSED, PLAIN)
    assert (number(registry, CHAMPION), number(registry, PREVIOUS)) == ("3", "2")


def test_an_interrupted_rollback_has_brought_the_champion_back(
    registry: Registry, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    three_promoted(registry, project)
    stop_at(PREVIOUS, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        roll_back(registry, "why")
    assert number(registry, CHAMPION) == "1"


def test_a_protocol_holds_the_wish_the_rules_and_what_came_of_them(tmp_path: Path) -> None:
    wish = Wish(force=True, reason="needed now")
    path = write_protocol(tmp_path, FAILED, True, wish, {"challenger": "7", "champion": None})
    assert path.parent == tmp_path / PROMOTIONS
    assert path.name.endswith("-version-7.json")
    record = json.loads(path.read_text("utf-8"))
    assert (record["challenger"], record["champion"], record["moved"]) == ("7", None, True)
    assert (record["force"], record["dry_run"], record["reason"]) == (True, False, "needed now")
    assert record["rules"] == [{"name": "a rule", "outcome": "FAILED", "finding": "", "figures": {}}]
