"""`datspect register` and `trace` on made-up results: a version is named once, and its way back printed."""

import json
import os
import shutil
from pathlib import Path

import pytest
import typer
from tests.commands.documented import json_keys
from tests.release.made_up_graph import add_run, write_graph_results
from tests.tracking.made_up_results import PARAMS_PATH

from datspect.commands.register import register
from datspect.commands.trace import trace
from datspect.errors import DatspectError, PromotionError
from datspect.release import registering
from datspect.release.registry import Registry
from datspect.tracking import required_connection


def test_where_files_cannot_be_stored_no_result_is_read(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(PARAMS_PATH, project)
    monkeypatch.setattr(registering, "read_registrable", lambda _: pytest.fail("results were read"))
    monkeypatch.setattr(os, "access", lambda _, mode: not mode & os.W_OK)
    with pytest.raises(DatspectError, match=r"files of a version go to .*: cannot be written \(you may not write"):
        register()


def test_a_model_is_registered_once_and_traced_until_its_files_are_gone(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = project
    shutil.copy(PARAMS_PATH, root)
    write_graph_results(root)
    with required_connection("datspect") as connection:
        registry = Registry(connection)
    add_run(registry, root)
    register()
    register()
    assert capsys.readouterr().out == (
        "version 1 of datspect registered (PHANTOM cohort) and is the challenger\n"
        "version 1 of datspect was registered before (PHANTOM cohort) and is the challenger\n"
    )
    register(form="json")
    record = json.loads(capsys.readouterr().out)
    assert (set(record), record["version"], record["is_new"]) == (json_keys("register"), 1, False)
    trace("challenger", check=True, form="json")
    record = json.loads(capsys.readouterr().out)
    assert (set(record), record["version"]) == (json_keys("trace"), 1)
    assert {"name", "holds", "finding"} == set(record["checks"][0])
    trace("challenger", check=True)
    printed = capsys.readouterr().out
    assert printed.startswith("version 1 of datspect, PHANTOM cohort\n")
    assert f"  {registry.named('1').outputs['data/splits.csv']:<36}  data/splits.csv\n" in printed
    assert "git worktree add ../datspect-version" in printed
    assert "  holds      model in the registry: its files have the digest\n" in printed
    assert "  not here   commit at training: " in printed
    shutil.rmtree(registry.artifact(registry.named("1"), "predictor"))
    trace("1")  # nothing is looked at
    with pytest.raises(typer.Exit) as failed:
        trace("1", check=True)
    assert failed.value.exit_code == 1
    assert "  FAILED     model in the registry: " in capsys.readouterr().out
    with pytest.raises(PromotionError, match="datspect has no version champion; run datspect promote first"):
        trace()
