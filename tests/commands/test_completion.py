"""What a shell is offered, by the shell itself where bash is here."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from datspect.commands import completion

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.yaml").touch()
    for name in ("recipes/paper.yaml", "recipes/striatum.yaml", "reports/tune/mine/study.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def names(offered: completion.Offered) -> list[str]:
    return [name for name, _ in offered]


def test_versions_recipes_and_studies_are_offered_by_their_beginning(folder: Path) -> None:
    assert names(completion.versions("ch")) == ["champion", "challenger"]
    assert names(completion.models("m")) == ["models/predictor"]
    assert names(completion.recipe_names("")) == ["paper", "striatum"]
    assert names(completion.studies("")) == ["mine"]
    assert names(completion.contenders("w")) == ["workspace"]


def test_branches_and_tags_are_offered_where_there_is_git(folder: Path) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for command in (
        ("init", "--quiet", "-b", "main"),
        ("commit", "--quiet", "--allow-empty", "-m", "x"),
        ("tag", "v1"),
    ):
        subprocess.run(["git", *who, *command], cwd=folder, check=True)
    assert names(completion.contenders("ma")) == ["main"]
    assert names(completion.contenders("v")) == ["v1"]


def complete(folder: Path, *words: str) -> list[str]:
    """What the program answers to bash, which asks with the words typed so far, the last one unfinished."""
    program = "from datspect.__main__ import app; app(prog_name='datspect')"
    environment = os.environ | {
        "_DATSPECT_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(("datspect", *words)),
        "COMP_CWORD": str(len(words)), "PYTHONPATH": os.pathsep.join([str(ROOT / "src")]),
    }  # fmt: skip
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    ).stdout.split()


def test_a_shell_is_offered_commands_options_choices_and_names(folder: Path) -> None:
    assert complete(folder, "sta") == ["status"]
    assert complete(folder, "promote", "ch") == ["champion", "challenger"]
    assert complete(folder, "recipe", "") == ["paper", "striatum"]
    assert complete(folder, "predict", "--format", "") == ["table", "csv", "json"]
    assert complete(folder, "predict", "--spa") == ["--space"]
    assert complete(folder, "predict", "") == []  # bash then offers paths


def program_in(folder: Path) -> Path:
    """Put the program into a folder, under the name that users give it."""
    program = folder / "datspect"
    main = "from datspect.__main__ import main\nmain()"
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT / 'src')!r})\n{main}\n")
    program.chmod(0o755)
    return program


def in_shell(folder: Path, *command: str) -> list[str]:
    """What a shell prints that finds the program on its path and has the script that the program gives for it."""
    shell = command[0]
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "HOME": str(folder), "_DATSPECT_COMPLETE": f"source_{shell}"}
    asked = subprocess.run([program_in(folder)], env=environment, capture_output=True, text=True, check=True)
    del environment["_DATSPECT_COMPLETE"]
    environment["SCRIPT"] = asked.stdout
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish")
def test_fish_takes_the_script_and_falls_back_to_paths(folder: Path) -> None:
    script = 'echo $SCRIPT | source; complete -C "datspect trace p"; complete -C "datspect predict recipes/pa"'
    offered = in_shell(folder, "fish", "--no-config", "-c", script)
    assert offered == ["previous\tthe champion before this one", "recipes/paper.yaml"]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh")
def test_zsh_takes_the_script_and_is_offered_names_with_what_they_mean(folder: Path) -> None:
    # The two functions are zsh's own, of its completion system.
    script = (
        'compdef() {}; _arguments() { print -r -- "$1" }; eval "$SCRIPT"; '
        "words=(datspect promote ch); CURRENT=3; _datspect_completion"
    )
    (offered,) = in_shell(folder, "zsh", "-f", "-c", script)
    assert offered.startswith('*: :(("champion":"the version in use"')
    assert '"challenger":"the version that was registered last"' in offered


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_takes_the_script_and_falls_back_to_paths(folder: Path) -> None:
    program_in(folder)
    script = (
        'PATH="$PWD:$PATH"; eval "$(datspect --show-completion bash)"; '
        "COMP_WORDS=(datspect trace p); COMP_CWORD=2; _datspect_completion datspect; "
        'echo "${COMPREPLY[*]}"; complete -p datspect'
    )
    done = subprocess.run(["bash", "--norc", "-c", script], cwd=folder, capture_output=True, text=True, check=False)
    offered, registered = done.stdout.splitlines()
    assert offered == "previous"
    assert "-o default" in registered


def test_a_completion_is_quick(folder: Path) -> None:
    complete(folder, "sta")
    started = time.monotonic()
    complete(folder, "sta")
    assert time.monotonic() - started < 5  # a third of a second on a quiet machine
