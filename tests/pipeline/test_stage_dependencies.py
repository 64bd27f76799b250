"""DVC does not follow imports: each stage's `deps` must name every module that it runs."""

from pathlib import Path

import grimp
import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"


def _stages() -> dict[str, tuple[str, set[str]]]:
    """Name to (stage module, paths under src/ among its deps), over all pipelines of the project."""
    stages = {}
    for path in (ROOT / "dvc.yaml", ROOT / "data/phantom/dvc.yaml"):
        for name, stage in YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))["stages"].items():
            assert f"datspect.stages.{name} " in f"{stage['cmd']} "
            stages[name] = (f"datspect.stages.{name}", {dep for dep in stage["deps"] if dep.startswith("src/")})
    return stages


def _imported(module: str) -> set[str]:
    """Source files of a module and of all that it imports, directly or not; empty package files aside."""
    graph = grimp.build_graph("datspect", cache_dir=None)
    modules = {module, *graph.find_upstream_modules(module)}
    files = {path for name in modules for path in [_source_file(name)] if path.name != "__init__.py"}
    packages = {_source_file(name) for name in modules if _source_file(name).name == "__init__.py"}
    return {
        path.relative_to(ROOT).as_posix() for path in files | {p for p in packages if "import " in p.read_text("utf-8")}
    }


def _source_file(module: str) -> Path:
    path = SOURCE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@pytest.mark.parametrize("stage", sorted(_stages()))
def test_deps_name_every_module_that_the_stage_imports(stage: str) -> None:
    module, named = _stages()[stage]
    imported = _imported(module)
    folders = {dep for dep in named if not dep.endswith(".py")}
    missing = {path for path in imported - named if not any(path.startswith(f"{folder}/") for folder in folders)}
    surplus = {dep for dep in named if not any(path == dep or path.startswith(f"{dep}/") for path in imported)}
    assert not missing, f"add to the deps of {stage}: {sorted(missing)}"
    assert not surplus, f"remove from the deps of {stage}: {sorted(surplus)}"


def test_every_stage_file_is_in_a_pipeline() -> None:
    files = {path.stem for path in (SOURCE / "datspect/stages").glob("*.py")} - {"__init__"}
    assert files == set(_stages())
