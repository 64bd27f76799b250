"""What `dvc repro` would do, as DVC tells it."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.status.made_up_projects import up_to_date, write_project

from datspect.running.programs import TOO_SLOW, Said
from datspect.status.graph import followers, graph_status, reasons


def test_every_kind_of_change_is_a_reason() -> None:
    changes = [
        {"changed deps": {"src/a.py": "modified", "params.yaml": {"training": "modified", "split.seed": "new"}}},
        {"changed outs": {"data/x.csv": "deleted"}},
        "changed command",
    ]
    assert reasons(changes) == [
        "src/a.py modified",
        "params.yaml: training modified, split.seed new",
        "data/x.csv deleted (an output)",
        "changed command",
    ]


def test_those_that_read_what_is_made_anew_follow_in_the_order_of_the_graph() -> None:
    stages = {
        "report": {"deps": ["models/final"]},
        "split": {"outs": ["data/splits.csv"]},
        "cv": {"deps": ["data/splits.csv"], "metrics": [{"reports/cv/metrics.json": {"cache": False}}]},
        "final": {"deps": ["data/splits.csv"], "outs": ["models/final/model.keras"]},
        "aside": {"deps": ["data/other.csv"]},
    }
    assert followers(stages, ["split"]) == ["report", "cv", "final"]
    assert followers(stages, ["report"]) == []


def test_a_stage_changed_itself_does_not_follow() -> None:
    assert followers({"a": {"outs": ["x"]}, "b": {"deps": ["x"]}}, ["a", "b"]) == []


def test_the_graph_of_this_project_is_followed_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_project(tmp_path)
    up_to_date(monkeypatch, Said(0, '{"split": [{"changed deps": {"params.yaml": {"split": "modified"}}}]}\n'))
    found = graph_status(tmp_path, 1)
    assert found["up_to_date"] is False
    assert {"cv", "final", "predictor", "report"} <= set(found["then"])
    assert not {"split", "preprocess", "backbone"} & set(found["then"])


@pytest.mark.parametrize(
    "said", [Said(TOO_SLOW, "", "no answer within 1 s"), Said(255, "", "ERROR: cannot read dvc.yaml\nand more")]
)
def test_a_dvc_that_does_not_answer_leaves_it_open(said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_project(tmp_path)
    up_to_date(monkeypatch, said)
    found = graph_status(tmp_path, 1)
    assert found["up_to_date"] is None
    assert found["unknown"] == said.err.splitlines()[0].removeprefix("ERROR: ")


@pytest.mark.slow
def test_dvc_itself_is_asked(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text("stages:\n  a:\n    cmd: echo 1 > x\n    outs: [x]\n")
    for command in ("init --quiet --no-scm", "repro --quiet"):
        subprocess.run([sys.executable, "-m", "dvc", *command.split()], cwd=tmp_path, check=True, capture_output=True)
    assert graph_status(tmp_path, 60)["up_to_date"] is True
    (tmp_path / "x").write_text("2")
    assert graph_status(tmp_path, 60)["stages"] == {"a": ["x modified (an output)"]}
