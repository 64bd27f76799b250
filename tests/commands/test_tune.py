"""`datspect tune` proves that it can write before it reads a study."""

import json
import os
from pathlib import Path

import pytest
from tests.commands.documented import json_keys
from tests.tuning.made_up_data import write_inputs, write_params

from datspect.commands.tune import tune
from datspect.errors import DatspectError


def test_params_that_cannot_be_written_stop_before_the_study_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(DatspectError, match=r"--params .*\(you may not write there\)"):
        tune(apply=True, params=tmp_path / "params.yaml", study=None, vary=None)


def test_a_file_in_the_place_of_the_reports_stops_before_the_search(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DatspectError, match=r"--reports .* cannot be written"):
        tune(reports=tmp_path / "file" / "tune", params=tmp_path / "params.yaml", study=None, vary=None)


@pytest.mark.slow
def test_as_json_a_search_prints_its_summary_alone(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_inputs(project / "data")
    write_params(project, trials=1)
    tune(study=None, vary=None, form="json")
    record = json.loads(capsys.readouterr().out)
    assert set(record) == json_keys("tune")
    assert (record["cohort_kind"], record["n_trials"]) == ("phantom", {"complete": 1})
