"""DVC does not follow imports: each stage's `deps` must name every module that it runs."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML
from scripts.stage_deps import PIPELINES, renewed

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src/datspect"


def test_the_deps_name_just_what_each_stage_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for path in PIPELINES:
        text = path.read_text(encoding="utf-8")
        assert renewed(text) == text, f"{path}: run make deps"


def test_every_stage_file_is_in_a_pipeline_with_its_imports() -> None:
    stages = {}
    for path in PIPELINES:
        stages |= YAML(typ="safe", pure=True).load((ROOT / path).read_text(encoding="utf-8"))["stages"]
    assert set(stages) == {path.stem for path in (SOURCE / "stages").glob("*.py")} - {"__init__"}
    for name, stage in stages.items():
        assert f"-m datspect.stages.{name} " in f"{stage['cmd']} "
        assert {f"src/datspect/stages/{name}.py", "src/datspect/running/launch.py"} & set(stage["deps"])
        assert all((ROOT / dep).exists() for dep in stage["deps"] if dep.startswith("src/"))


def test_a_package_that_is_used_as_a_whole_is_named_as_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    empty = "cmd: python -m datspect.stages.cv a b\n      # imports: begin\n      # imports: end\n"
    paths = [path.strip() for path in renewed(empty).split("\n", 2)[2].split("#")[0].split(",")]
    assert "src/datspect/modeling" in paths
    assert "src/datspect/io/tables.py" in paths
    assert not any(path.startswith("src/datspect/modeling/") for path in paths)


def test_no_stage_depends_on_parameters_that_only_commands_read() -> None:
    for path in PIPELINES:
        for name, stage in (
            YAML(typ="safe", pure=True).load((ROOT / path).read_text(encoding="utf-8"))["stages"].items()
        ):
            deps = set(stage["deps"])
            for part in ("promotion", "tuning", "whole"):
                assert not {"src/datspect/params", f"src/datspect/params/{part}.py"} & deps, name
