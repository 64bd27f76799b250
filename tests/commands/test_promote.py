"""`datspect promote` and `rollback` on made-up versions: what they say, what they end with, and what moves."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from tests.commands.documented import json_keys
from tests.release.made_up_versions import MadeUpPredictor, add_version, predictions, write_graph
from tests.tracking.made_up_results import PARAMS_PATH

from datspect.commands.exits import WrongUseError
from datspect.commands.promote import promote, rollback
from datspect.errors import DatspectError, PromotionError
from datspect.release import promoting
from datspect.release.manifest import MANIFEST_TAG
from datspect.release.registry import CHALLENGER, CHAMPION, PREVIOUS, Registry
from datspect.tracking import required_connection

Printed = pytest.CaptureFixture[str]


@pytest.fixture
def project(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(promoting, "Predictor", MadeUpPredictor)
    shutil.copy(PARAMS_PATH, project)
    write_graph(project, predictions("test", 2.0, seed=1))
    return project


@pytest.fixture
def registry(project: Path) -> Iterator[Registry]:
    """With a first version, which is the challenger."""
    with required_connection("datspect") as connection:
        registry = Registry(connection)
        registry.ensure()
        registry.set_alias(CHALLENGER, add_version(registry, project).version)
        yield registry


def ended(**options: object) -> int:
    """The exit code of `promote`."""
    try:
        promote(**{"version": CHALLENGER, **options})  # type: ignore[arg-type]
    except typer.Exit as end:
        return int(end.exit_code)
    return 0


def number(registry: Registry, alias: str) -> str | None:
    version = registry.version(alias)
    return None if version is None else version.number


def test_a_dry_run_asks_and_moves_nothing_and_the_next_one_moves(
    registry: Registry, project: Path, capsys: Printed
) -> None:
    assert ended(dry_run=True) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("version 1 (PHANTOM cohort) against the champion (none)\n")
    assert re.search(r"^  passed +ROC AUC, lower bound +0\.9\d+, at least 0\.\d+$", printed, re.MULTILINE)
    assert "all rules passed; nothing was moved (--dry-run)" in printed
    assert number(registry, CHAMPION) is None
    assert ended() == 0
    printed = capsys.readouterr().out
    assert "2 times, this one included" in printed
    assert "version 1 is the champion now\nwritten to reports/promotions/" in printed
    assert ".json; commit it" in printed
    assert number(registry, CHAMPION) == "1"
    records = [json.loads(path.read_text("utf-8")) for path in (project / "reports/promotions").glob("*.json")]
    assert {record["challenger"] for record in records} == {"1"}
    assert {record["manifest_sha256"] for record in records} == {registry.named("1").tags[MANIFEST_TAG]}
    assert ended() == 0
    assert capsys.readouterr().out == "version 1 is the champion already\n"


@pytest.mark.parametrize("options", [{}, {"dry_run": True}])
def test_where_no_protocol_can_be_written_nothing_is_decided_or_moved(
    registry: Registry, project: Path, options: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promoting, "decide", lambda *_: pytest.fail("it was decided"))
    (project / promoting.PROMOTIONS.parent).mkdir(parents=True, exist_ok=True)
    (project / promoting.PROMOTIONS).write_text("in the way")
    with pytest.raises(DatspectError, match=r"the protocol goes to .*reports/promotions: cannot be written"):
        promote(**options)  # type: ignore[arg-type]
    assert number(registry, CHAMPION) is None


def test_a_failed_rule_is_named_and_overridden_by_force_with_a_reason_alone(
    registry: Registry, project: Path, capsys: Printed
) -> None:
    add_version(registry, project, holdout={"sensitivity_low": 0.5})
    for options in ({}, {"dry_run": True}):
        assert ended(version="2", **options) == 1
        assert "\nNOT promoted: sensitivity, lower bound\n" in capsys.readouterr().out
    for option in ("force", "new_lineage"):
        with pytest.raises(WrongUseError, match="need --reason"):
            promote("2", reason="  ", **{option: True})  # type: ignore[arg-type]
    assert number(registry, CHAMPION) is None
    assert ended(version="2", force=True, reason=" needed now ") == 0
    assert "version 2 is the champion now, by force: needed now\n" in capsys.readouterr().out
    assert registry.named(CHAMPION).tags["datspect.promotion_reason"] == "needed now"


def test_a_refusal_is_not_overridden(registry: Registry, project: Path, capsys: Printed) -> None:
    add_version(registry, project, git_commit="none")
    assert ended(version="2", force=True, reason="needed now") == 1
    assert "\nREFUSED, and --force would not help: git commit at training\n" in capsys.readouterr().out
    assert number(registry, CHAMPION) is None


def test_a_new_lineage_replaces_a_better_champion(registry: Registry, project: Path, capsys: Printed) -> None:
    assert ended() == 0
    add_version(registry, project, strength=0.5)
    assert ended(version="2") == 1
    assert ended(version="2", new_lineage=True, reason="another camera") == 0
    assert "none: a new lineage begins (another camera)" in capsys.readouterr().out
    assert (number(registry, CHAMPION), number(registry, PREVIOUS)) == ("2", "1")


def test_a_version_that_does_not_exist_is_named(registry: Registry) -> None:
    with pytest.raises(PromotionError, match="datspect has no version 7; run datspect register first"):
        promote("7")


def test_a_rollback_says_who_is_back_and_needs_a_reason(registry: Registry, project: Path, capsys: Printed) -> None:
    add_version(registry, project)
    assert (ended(version="1"), ended(version="2")) == (0, 0)
    with pytest.raises(WrongUseError, match="rollback needs --reason"):
        rollback(" ")
    rollback("it disappointed")
    assert capsys.readouterr().out.endswith("version 1 is the champion again; version 2 is the previous one\n")
    assert number(registry, CHAMPION) == "1"


def test_as_json_decisions_have_the_same_codes_and_documented_keys(
    registry: Registry, project: Path, capsys: Printed
) -> None:
    assert ended(dry_run=True, form="json") == 0
    record = json.loads(capsys.readouterr().out)
    assert set(record) == json_keys("promote")
    assert (record["version"], record["champion"], record["passed"], record["moved"]) == (1, None, True, False)
    assert set(record["rules"][0]) == {"name", "outcome", "finding", "figures"}
    assert (project / record["protocol"]).is_file()
    assert ended() == 0
    capsys.readouterr()
    assert ended(form="json") == 0
    record = json.loads(capsys.readouterr().out)
    assert (set(record), record["moved"]) == (json_keys("promote"), False)
    add_version(registry, project, holdout={"sensitivity_low": 0.5})
    assert ended(version="2", form="json") == 1
    assert json.loads(capsys.readouterr().out)["passed"] is False
    assert ended(version="2", force=True, reason="a test") == 0
    capsys.readouterr()
    rollback("back", form="json")
    record = json.loads(capsys.readouterr().out)
    assert (set(record), record) == (json_keys("rollback"), {"champion": 1, "previous": 2})
