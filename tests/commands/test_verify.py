"""`datspect verify`: what it prints, and what it ends with."""

import json
import shutil
from pathlib import Path

import pytest
import typer
from tests.commands.documented import json_keys
from tests.release.made_up_cache import FOLDER, IN_GIT, KINDS, PHANTOM, cached, damage, write_outputs

from datspect.commands.verify import verify
from datspect.errors import PromotionError
from datspect.release.dvc_lock import content_md5

Printed = pytest.CaptureFixture[str]


@pytest.fixture
def root(project: Path) -> Path:
    write_outputs(project)
    return project


def ended() -> int:
    try:
        verify()
    except typer.Exit as end:
        return int(end.exit_code)
    return 0


def test_whole_outputs_are_listed_and_the_command_ends_well(root: Path, capsys: Printed) -> None:
    assert ended() == 0
    lines = capsys.readouterr().out.splitlines()
    single = [path for kind, path in KINDS.items() if kind != "file in a folder"]
    assert set(lines[:-2]) == {f"whole: {path}" for path in (*single, FOLDER, PHANTOM, IN_GIT)}
    assert lines[-1] == "all 7 outputs are what dvc.lock names, in the workspace and in DVC's cache"


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_named_with_what_to_do(root: Path, capsys: Printed, kind: str) -> None:
    md5 = content_md5(root / KINDS[kind])
    damage(cached(root, md5))
    assert ended() == 1
    printed = capsys.readouterr().out
    assert f"\ndamaged in the cache: {KINDS[kind]}, expected {md5}, got " in f"\n{printed}"
    assert "not what dvc.lock names: 1 of 7 outputs. To mend them:\n\n  rm -f .dvc/cache/files/md5/" in printed
    assert printed.count("whole: ") == 6
    assert printed.endswith("\nThen dvc repro, and make verify once more.\n")


def test_of_a_folder_with_many_changes_some_are_named(root: Path, capsys: Printed) -> None:
    for k in range(40):
        (root / FOLDER / f"{k:02d}.txt").touch()
    assert ended() == 1
    printed = capsys.readouterr().out
    assert printed.count("changed in the workspace: ") == 10
    assert f"  and 30 more files of {FOLDER}\n" in printed


def test_without_a_lock_there_is_nothing_to_compare_with(root: Path) -> None:
    (root / "dvc.lock").unlink()
    with pytest.raises(PromotionError, match="run dvc repro first"):
        verify()


def test_a_clone_without_results_is_told_how_to_get_them(root: Path, capsys: Printed) -> None:
    for path in (".dvc/cache", "reports", "models", "data/images", "data/phantom/cohort"):
        shutil.rmtree(root / path)
    assert ended() == 1
    printed = capsys.readouterr().out
    assert "  dvc repro train\n    # or, if a remote of DVC has them: dvc fetch " in printed
    assert "rm -f" not in printed


def test_as_json_damage_and_its_remedy_are_listed(root: Path, capsys: Printed) -> None:
    with pytest.raises(typer.Exit) as end:
        verify("json")
    whole = json.loads(capsys.readouterr().out)
    assert (end.value.exit_code, set(whole)) == (0, json_keys("verify"))
    assert (whole["whole"], len(whole["outputs"]), whole["commands"]) == (True, 7, [])
    path = KINDS["csv"]
    damage(cached(root, content_md5(root / path)))
    with pytest.raises(typer.Exit) as end:
        verify("json")
    record = json.loads(capsys.readouterr().out)
    assert (end.value.exit_code, record["whole"]) == (1, False)
    (wrong,) = [output for output in record["outputs"] if not output["whole"]]
    assert (wrong["path"], wrong["differences"][0]["place"]) == (path, "cache")
    assert record["commands"]
