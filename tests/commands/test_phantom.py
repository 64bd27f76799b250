"""`datspect phantom native` as a user types it."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

from datspect.__main__ import app

ROOT = Path(__file__).parents[2]


def said(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["phantom", "native", *map(str, arguments)])


def test_a_folder_in_use_is_refused_before_anything_is_computed(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    refused = said(tmp_path, "--params", ROOT / "params.yaml")
    assert "expected no such folder, or an empty one" in str(refused.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_folder_that_cannot_be_made_is_refused_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datspect.phantom.cohort.build_laboratory", lambda _: pytest.fail("it was computed"))
    (tmp_path / "file").write_text("in the way")
    refused = said(tmp_path / "file" / "new", "--params", ROOT / "params.yaml")
    assert "FOLDER" in str(refused.exception)
    assert "cannot be written (a file or a link that leads nowhere is in the way)" in str(refused.exception)


def test_another_format_is_named_with_those_there_are(tmp_path: Path) -> None:
    refused = said(tmp_path / "new", "--format", "analyze")
    assert refused.exit_code == 2
    assert "mixed" in refused.output


@pytest.mark.slow
def test_a_cohort_is_written_and_the_next_command_said(tmp_path: Path) -> None:
    yaml = YAML()
    params = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["phantom"]["n_sites"] = 2
    with (tmp_path / "params.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(params, file)
    done = said(tmp_path / "new", "--n", "3", "--seed", "5", "--params", tmp_path / "params.yaml")
    assert done.exit_code == 0, done.exception
    assert "3 PHANTOM scans (2 pd, 1 control)" in done.output
    assert f"datspect import nifti {tmp_path / 'new' / 'scans'} --participants" in done.output
    assert len(list((tmp_path / "new" / "scans").iterdir())) == 3
