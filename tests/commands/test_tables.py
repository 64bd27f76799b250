"""The tables command."""

from pathlib import Path

import pytest
from tests.reporting.results import write_results

from datspect.commands.tables import BEGIN, END, _replaced, tables
from datspect.errors import CohortError
from datspect.io.records import read_json


def test_only_the_marked_part_of_a_document_changes() -> None:
    document = f"# Title\n{BEGIN}\nold\n{END}\nrest\n"
    assert _replaced(document, "new", Path("README.md")) == f"# Title\n{BEGIN}\nnew\n{END}\nrest\n"


def test_a_document_without_marks_is_left_alone_with_a_word(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="add them where the tables belong"):
        _replaced("# Title\n", "new", Path("README.md"))


def test_the_written_results_and_baselines_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reports = write_results(tmp_path).reports
    accuracy = f"{read_json(reports / 'final/metrics.json')['holdout']['accuracy']:.4f}"
    tables(reports=reports)
    assert accuracy not in capsys.readouterr().out
    tables(reports=reports, holdout=True)
    printed = capsys.readouterr().out
    assert accuracy in printed
    assert printed.startswith("**PHANTOM")
    assert "| linear SVM on voxels " in printed
    assert "| ROC AUC " in printed


def test_missing_results_name_the_command_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="dvc repro"):
        tables(reports=tmp_path)
