"""The tables command."""

import json
import os
import shutil
from pathlib import Path

import pytest
from tests.commands.documented import json_keys
from tests.release.repositories import commit_lock
from tests.reporting.results import write_results
from tests.tracking.made_up_results import PARAMS_PATH

from datspect.commands.exits import WrongUseError
from datspect.commands.tables import BEGIN, END, _replaced, tables
from datspect.errors import CohortError, DatspectError
from datspect.io.records import read_json
from datspect.release.dvc_lock import content_md5
from datspect.tracking import TrackingError


def test_only_the_marked_part_of_a_document_changes() -> None:
    document = f"# Title\n{BEGIN}\nold\n{END}\nrest\n"
    assert _replaced(document, "new", Path("README.md")) == f"# Title\n{BEGIN}\nnew\n{END}\nrest\n"


def test_a_document_without_marks_is_left_alone_with_a_word(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="add them where the tables belong"):
        _replaced("# Title\n", "new", Path("README.md"))


def test_the_test_set_is_shown_and_counted_on_request_only(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(PARAMS_PATH, project)
    reports = write_results(project).reports
    accuracy = f"{read_json(reports / 'final/metrics.json')['holdout']['accuracy']:.4f}"
    tables(reports=reports)
    assert accuracy not in capsys.readouterr().out
    for number in (1, 2):
        tables(reports=reports, holdout=True)
        printed = capsys.readouterr()
        assert accuracy in printed.out
        assert f"one more look at the test set: {number} so far" in printed.err
    assert printed.out.startswith("**PHANTOM")


def test_without_mlflow_to_count_in_the_test_set_is_not_shown(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(PARAMS_PATH, project)
    reports = write_results(project).reports
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingError):
        tables(reports=reports, holdout=True)
    assert capsys.readouterr().out == ""


def test_the_written_results_and_baselines_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tables(reports=write_results(tmp_path).reports)
    printed = capsys.readouterr().out
    assert printed.startswith("**PHANTOM")
    assert "| linear SVM on voxels " in printed
    assert "| ROC AUC " in printed


def test_as_json_the_test_set_is_left_out_too(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(PARAMS_PATH, project)
    reports = write_results(project).reports
    tables(reports=reports, form="json")
    record = json.loads(capsys.readouterr().out)
    assert set(record) == json_keys("tables")
    assert (record["cohort_kind"], record["holdout"]) == ("phantom", None)
    assert len(record["table_1"]) > 1
    tables(reports=reports, holdout=True, form="json")
    printed = capsys.readouterr()
    assert json.loads(printed.out)["holdout"] == read_json(reports / "final/metrics.json")["holdout"]
    assert "1 so far" in printed.err


def test_tables_of_another_start_than_the_one_that_the_lock_names_are_called_so(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reports = write_results(project).reports
    read = [
        reports / name for name in ("cv/table1.csv", "cv/metrics.json", "final/metrics.json", "baselines/metrics.json")
    ]
    commit_lock(project, {path.relative_to(project).as_posix(): content_md5(path) for path in read})
    tables(reports=reports)
    assert capsys.readouterr().err == ""
    read[0].write_text(read[0].read_text() + "\n")
    tables(reports=reports)
    printed = capsys.readouterr()
    assert printed.err.startswith("NOT what dvc.lock names: ")
    assert "cv/table1.csv;" in printed.err
    assert printed.out.startswith("**PHANTOM")


def test_missing_results_name_the_command_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="dvc repro"):
        tables(reports=tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cannot be read"), (b"# no marks\n", "the marks .* were not found"), (b"\xff\xfe\x00", "no text in UTF-8")],
)
def test_a_document_that_cannot_take_the_tables_stops_before_a_report_is_read_or_a_look_counted(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    document = tmp_path / "README.md"
    if content is not None:
        document.write_bytes(content)
    with pytest.raises(CohortError, match=said):
        tables(reports=tmp_path / "no reports", into=document, holdout=True)


def test_a_document_in_a_folder_that_takes_no_files_stops_before_a_report_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "README.md").write_text(f"{BEGIN}\n{END}\n")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(DatspectError, match=r"--into .* cannot be written"):
        tables(reports=tmp_path / "no reports", into=tmp_path / "README.md")


def test_tables_that_cannot_be_written_in_the_end_are_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "README.md").write_text(f"{BEGIN}\nold\n{END}\n")

    def refuse(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("datspect.io.atomic.write_text", refuse)
    with pytest.raises(DatspectError, match=r"No space left on device.*the tables are above"):
        tables(reports=write_results(tmp_path).reports, into=tmp_path / "README.md")
    assert capsys.readouterr().out.startswith("**PHANTOM")
    assert "old" in (tmp_path / "README.md").read_text()


def test_the_marked_part_is_written_and_line_ends_stay(tmp_path: Path) -> None:
    document = tmp_path / "README.md"
    document.write_bytes(f"# Title\r\n{BEGIN}\nold\n{END}\r\nrest\r\n".encode())
    tables(reports=write_results(tmp_path).reports, into=document)
    assert document.read_bytes().startswith(f"# Title\r\n{BEGIN}\n**PHANTOM".encode())
    assert document.read_bytes().endswith(b"\r\nrest\r\n")


def test_in_brief_there_is_one_table_without_folds_and_holdout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reports = write_results(tmp_path).reports
    tables(reports=reports, brief=True)
    printed = capsys.readouterr().out
    assert printed.startswith("**PHANTOM")
    rows = [line for line in printed.splitlines() if line.startswith("|")]
    assert max(len(row.split("|")) - 2 for row in rows) == 4
    measures = read_json(reports / "cv/metrics.json")["out_of_fold"]
    assert f"{measures['loss']:.4f} (" in rows[2]
    assert "0.9645" in rows[-1]
    assert f"{read_json(reports / 'final/metrics.json')['holdout']['accuracy']:.4f}" not in printed


def test_the_small_table_and_the_holdout_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(WrongUseError, match="without the holdout"):
        tables(reports=write_results(tmp_path).reports, brief=True, holdout=True)
