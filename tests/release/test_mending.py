"""The commands that mend damage: what they are, and that real DVC is whole after them."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from tests.release.made_up_cache import FOLDER, IN_GIT, KINDS, PHANTOM, cached, damage, write_outputs
from tests.release.repositories import run

from datspect.release.dvc_lock import content_md5, locked_outputs
from datspect.release.mending import commands
from datspect.release.verifying import differences, graph_outputs


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_outputs(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def to_mend(root: Path) -> list[str]:
    return commands(root, {output: differences(root, output) for output in graph_outputs(root)})


def test_nothing_is_to_be_done_where_all_is_whole(root: Path) -> None:
    assert to_mend(root) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_cached_file_is_removed_and_saved_again_from_a_whole_workspace(root: Path, kind: str) -> None:
    md5 = content_md5(root / KINDS[kind])
    damage(cached(root, md5))
    assert to_mend(root) == [f"rm -f .dvc/cache/files/md5/{md5[:2]}/{md5[2:]}", "dvc commit train"]
    cached(root, md5).unlink()
    assert to_mend(root) == ["dvc commit train"]


@pytest.mark.parametrize("kind", KINDS)
def test_damage_that_came_back_is_removed_and_its_stage_run_by_force(root: Path, kind: str) -> None:
    md5 = content_md5(root / KINDS[kind])
    output = FOLDER if kind == "file in a folder" else KINDS[kind]
    damage(cached(root, md5))
    shutil.copyfile(cached(root, md5), root / KINDS[kind])
    assert to_mend(root) == [
        f"rm -f .dvc/cache/files/md5/{md5[:2]}/{md5[2:]}",
        "dvc repro --force -s train",
        f"  # or, if a remote of DVC has them: dvc fetch {output} && dvc checkout --force {output}",
    ]


def test_a_changed_workspace_comes_back_from_a_whole_cache_and_what_git_keeps_is_made_again(root: Path) -> None:
    damage(root / KINDS["csv"])
    (root / FOLDER / "more").touch()
    assert to_mend(root) == [f"dvc checkout --force {KINDS['csv']} {FOLDER}"]
    keep_whole = (root / KINDS["csv"]).read_bytes()
    damage(cached(root, content_md5(root / KINDS["json"])))
    assert to_mend(root)[1:] == [f"dvc checkout --force {KINDS['csv']} {FOLDER}", "dvc commit train"]
    assert (root / KINDS["csv"]).read_bytes() == keep_whole  # nothing is done, only said
    damage(root / IN_GIT)
    assert "dvc repro report" in to_mend(root)


def test_stages_of_other_pipelines_come_first_and_are_named_as_dvc_does(root: Path) -> None:
    shutil.rmtree(root / ".dvc/cache")
    shutil.rmtree(root / PHANTOM)
    damage(root / KINDS["csv"])
    made = [command for command in to_mend(root) if command.startswith("dvc")]
    assert made == ["dvc repro data/phantom/dvc.yaml:phantom", "dvc repro train"]


def test_paths_are_shown_from_where_one_is_and_quoted(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damage(cached(root, content_md5(root / KINDS["csv"])))
    monkeypatch.chdir(root / "reports")
    assert to_mend(root)[0].startswith(f"rm -f {root}/.dvc/cache/files/md5/")
    moved = root / "a b"
    moved.mkdir()
    write_outputs(moved)
    damage(cached(moved, content_md5(moved / KINDS["csv"])))
    assert to_mend(moved)[0].startswith(f"rm -f '{moved}/.dvc/cache/")


@pytest.fixture(scope="module")
def made_by_dvc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose outputs real DVC has made: a stage copies them, and the next reads them."""
    source, root = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dvc")
    write_outputs(source)
    outs = [*(path for kind, path in KINDS.items() if kind != "file in a folder"), FOLDER]
    copies = " && ".join(f"mkdir -p {Path(path).parent} && cp -r {source / path} {path}" for path in outs)
    stages = {
        "train": {"cmd": copies, "outs": outs},
        "report": {"cmd": f"cp {source / IN_GIT} {IN_GIT}", "deps": outs, "metrics": [{IN_GIT: {"cache": False}}]},
    }
    with (root / "dvc.yaml").open("w") as file:
        YAML().dump({"stages": stages}, file)
    run(root, "git", "init", "--quiet")
    run(root, sys.executable, "-m", "dvc", "init", "-q")
    run(root, sys.executable, "-m", "dvc", "repro", "-q")
    return root


def brought_back(root: Path, path: str) -> None:
    damage(cached(root, content_md5(root / path)))
    (root / path).unlink()
    run(root, sys.executable, "-m", "dvc", "checkout", "-q")


HARMS: dict[str, Callable[[Path, str], None]] = {
    "cached file damaged": lambda root, path: damage(cached(root, content_md5(root / path))),
    "cached file missing": lambda root, path: cached(root, content_md5(root / path)).unlink(),
    "damage brought back by dvc checkout": brought_back,
    "changed in the workspace": lambda root, path: damage(root / path),
    "gone from the workspace": lambda root, path: (root / path).unlink(),
    "cache removed": lambda root, path: shutil.rmtree(root / ".dvc/cache/files"),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(harm, marks=[] if "brought back" in harm or "removed" in harm else pytest.mark.long)
        for harm in HARMS
    ],
)
def test_real_dvc_sees_no_harm_in_the_cache_and_is_whole_after_the_commands(
    made_by_dvc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    for kind, path in KINDS.items():
        root = tmp_path / kind.replace(" ", "-")
        shutil.copytree(made_by_dvc, root)
        monkeypatch.chdir(root)
        locked = locked_outputs(root)
        assert to_mend(root) == []
        HARMS[harm](root, path)
        if harm in ("cached file damaged", "damage brought back by dvc checkout"):
            assert "up to date" in run(root, sys.executable, "-m", "dvc", "repro")
        lines = to_mend(root)
        assert lines, (harm, path)
        bin_folder = Path(sys.executable).parent
        script = "\n".join([f"PATH={bin_folder}:$PATH", "set -e", *lines])
        done = subprocess.run(["sh", "-c", script], cwd=root, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (harm, path, lines, done.stderr)
        assert to_mend(root) == [], (harm, path, lines)
        assert locked_outputs(root) == locked
