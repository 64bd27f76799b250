"""Files are read: sources exist, steps are real, nobody is root, nothing leaks. A builder, where one is, builds."""

import fnmatch
import json
import re
import subprocess
import uuid
from functools import cache
from pathlib import Path

import pytest
from tests.repository.files import ROOT, problems_of_line, tracked

from datspect import __version__

FILES = ("Containerfile", ".devcontainer/Containerfile")
INSTRUCTIONS = {"ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "FROM", "RUN", "USER", "WORKDIR"}
GROUPS = ("cpu", "gpu", "jax")


def instructions(name: str) -> list[tuple[str, str]]:
    """Every instruction of a Containerfile with its arguments, on one line."""
    text = re.sub(r"^#.*\n", "", (ROOT / name).read_text("utf-8"), flags=re.MULTILINE)
    lines = [line for line in re.sub(r"\\\n\s*", " ", text).split("\n") if line.strip()]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def stages(name: str) -> list[list[tuple[str, str]]]:
    """Instructions of every stage, each beginning with FROM."""
    found: list[list[tuple[str, str]]] = []
    for each in instructions(name):
        if each[0] == "FROM":
            found.append([])
        if found:
            found[-1].append(each)
    return found


def in_context() -> set[str]:
    """The files that .dockerignore lets into an image, of those that git knows or would add."""
    rules = [line for line in (ROOT / ".dockerignore").read_text("utf-8").split("\n") if line and line[0] != "#"]

    def kept(name: str) -> bool:
        keep = True
        for rule in rules:
            pattern = rule.removeprefix("!").removeprefix("**/")
            parts = Path(name).parts
            above = ["/".join(parts[: k + 1]) for k in range(len(parts))]
            whole = any(fnmatch.fnmatch(path, pattern) for path in above)
            if whole or (rule.startswith("**/") and any(fnmatch.fnmatch(part, pattern) for part in parts)):
                keep = rule.startswith("!")
        return keep

    return {name for name in tracked() if kept(name)}


@pytest.mark.parametrize("name", FILES)
def test_a_containerfile_has_known_instructions_alone_and_begins_with_the_usual_base(name: str) -> None:
    found = instructions(name)
    assert {word for word, _ in found} <= INSTRUCTIONS
    named = [rest.rpartition(" AS ")[2] for word, rest in found if word == "FROM" and " AS " in rest]
    for _, rest in (each for each in found if each[0] == "FROM"):
        base = rest.partition(" ")[0]
        assert base in named or re.fullmatch(r"python:(\$\{PYTHON\}|3\.11)-slim", base)


@pytest.mark.parametrize("name", FILES)
def test_what_runs_is_not_root_and_is_started_without_a_shell(name: str) -> None:
    for stage in stages(name):
        words = [word for word, _ in stage]
        if "CMD" in words or "ENTRYPOINT" in words or name != "Containerfile":
            # A number in an image, since Kubernetes' runAsNonRoot cannot tell who a name is.
            user = "1000" if name == "Containerfile" else "datspect"
            assert [rest for word, rest in stage if word == "USER"] == [user]
        for word, rest in stage:
            if word in ("CMD", "ENTRYPOINT"):
                assert all(isinstance(part, str) for part in json.loads(rest))


@pytest.mark.parametrize("group", GROUPS)
def test_every_source_of_a_copy_is_let_into_the_image_and_exists(group: str) -> None:
    there = in_context()
    for word, rest in instructions("Containerfile"):
        if word != "COPY":
            continue
        *sources, _target = [part for part in rest.replace("${GROUP}", group).split() if not part.startswith("--")]
        for source in sources:
            assert source == "." or any(name == source or name.startswith(f"{source}/") for name in there), source


def test_every_step_names_targets_and_scripts_that_there_are_and_locked_requirements() -> None:
    steps = [rest for name in FILES for word, rest in instructions(name) if word in ("RUN", "CMD")]
    assert [problem for step in steps for problem in problems_of_line(step.replace('", "', " ").strip('["]'))] == []
    for step in steps:
        for part in re.findall(r"pip install[^&]*", step):
            assert "--require-hashes" in part or "--no-deps" in part
    assert {f"requirements/{group}.txt" for group in GROUPS} <= tracked()


def test_the_image_of_the_graph_has_what_make_repro_reads_and_no_results_scans_or_history() -> None:
    there = in_context()
    needed = {
        *("Makefile", "params.yaml", "dvc.yaml", "dvc.lock", "data/phantom/dvc.yaml", ".dvc/config", ".dvcignore"),
        *("scripts/install", "scripts/prepare-dvc", "requirements/cpu.txt", "reports/reference/reference.json"),
        "src/datspect/__main__.py",
    }
    assert needed <= there
    assert not [name for name in there if name.startswith(("tests/", "docs/", ".git/", "benchmarks/", ".github/"))]
    assert not [name for name in there if name.endswith((".nii", ".nii.gz", ".dcm", ".db", ".keras", ".png"))]


@pytest.mark.parametrize("name", [*FILES, ".devcontainer/devcontainer.json"])
def test_no_secret_and_no_registry_is_named(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    assert not re.search(r"(?i)password|token|secret_key|index-url|://", text)


def test_the_number_that_runs_is_the_user_that_owns_the_files() -> None:
    (added,) = [rest for word, rest in instructions("Containerfile") if word == "RUN" and "useradd" in rest]
    assert "--uid 1000 datspect" in added
    owners = re.findall(r"--chown=(\S+)", (ROOT / "Containerfile").read_text("utf-8"))
    assert set(owners) == {"datspect"}


def test_the_dev_container_names_a_file_that_is_there_and_a_real_target() -> None:
    settings = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text("utf-8"))
    assert (ROOT / ".devcontainer" / settings["build"]["dockerfile"]).is_file()
    assert problems_of_line(settings["postCreateCommand"]) == []
    users = [rest for word, rest in instructions(".devcontainer/Containerfile") if word == "USER"]
    assert users == [settings["remoteUser"]]


@cache
def builder() -> str | None:
    """The first program here that can build images: it is installed, and its service, if it needs one, answers."""
    for name in ("podman", "docker"):
        try:
            subprocess.run([name, "info"], capture_output=True, check=True, timeout=60)
        except (OSError, subprocess.SubprocessError):
            continue
        return name
    return None


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_programs_image_is_built_and_says_its_version() -> None:
    name, tag = builder(), f"datspect-test-{uuid.uuid4().hex[:8]}"
    if name is None:
        pytest.skip("neither podman nor docker can build an image here")
    if subprocess.run(
        [name, "pull", "docker.io/library/python:3.11-slim"], capture_output=True, check=False
    ).returncode:
        pytest.skip("the base image cannot be fetched here")
    build = [name, "build", "--file", "Containerfile", "--target", "program", "--tag", tag, "."]
    subprocess.run(build, cwd=ROOT, check=True)
    try:
        run = [name, "run", "--rm", "--network", "none", tag, "--version"]
        said = subprocess.run(run, capture_output=True, text=True, check=True).stdout
        assert said.startswith(f"datspect {__version__}")
    finally:
        subprocess.run([name, "rmi", tag], check=False)
