"""What can be said of a written command without running it: whether its program would understand it."""

import argparse
import importlib.util
import io
import re
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from functools import cache
from typing import Any

import typer
from ruamel.yaml import YAML
from tests.docs.written_commands import ROOT, Command, is_placeholder

from datspect.__main__ import app
from datspect.errors import ParamsError
from datspect.params.base import parsed_params
from datspect.params.whole import Params

Told = str | None
"""What is wrong with a command; None if nothing is."""


def told(command: Command) -> Told:
    """Return what is wrong with a command, by the rules of its program."""
    program, *words = command.words
    if program.startswith(("scripts/", "benchmarks/")):
        return _file(program)
    check = CHECKS.get(program)
    if check is None:
        known = program.rsplit("/", 1)[-1] in OF_THE_SYSTEM
        return None if known else f"nothing here knows the program {program}"
    return check(words, command.whole)


OF_THE_SYSTEM = frozenset(
    [".", "base64", "cat", "cd", "cp", "curl", "dask", "docker", "echo", "export", "false", "git", "head", "jq", "ln",
     "ls", "mkdir", "mv", "pip", "pipx", "podman", "printf", "psql", "python3", "rm", "rsync", "source", "tr", "true",
     "umask", "unset", "uvx"]
)  # fmt: skip
"""Programs that are none of this project's, whose arguments nobody looks at."""


def of_datspect(words: Sequence[str], whole: bool) -> Told:
    """Subcommand, options, their values and the number of arguments, by the real program."""
    command: Any = typer.main.get_command(app)
    words = list(words)
    while hasattr(command, "commands"):
        if not words or words[0].startswith("-"):
            break
        if is_placeholder(words[0]):
            return None
        if words[0] not in command.commands:
            return f"no command {words[0]}"
        command = command.commands[words.pop(0)]
    return _arguments_of(command, words, whole)


def _arguments_of(command: Any, words: list[str], whole: bool) -> Told:
    options = {name: each for each in command.params if each.param_type_name == "option" for name in each.opts}
    given, arguments = set(), []
    while words:
        word = words.pop(0)
        name, _, value = word.partition("=")
        if not word.startswith("-"):
            arguments.append(word)
        elif name == "--help":
            return None
        elif name not in options:
            return f"no option {name}"
        elif not getattr(options[name], "is_flag", False):
            given.add(name)
            if not value and not words:
                return f"{name} has no value" if whole else None
            if problem := _value(command, options[name], value or words.pop(0)):
                return problem
    return _missing(command, given, arguments) if whole else None


def _value(command: Any, option: Any, value: str) -> Told:
    if is_placeholder(value):
        return None
    context = command.make_context(command.name, [], resilient_parsing=True)
    try:
        option.process_value(context, [value] if option.multiple else value)
    except typer.BadParameter as error:
        return f"{option.opts[0]} {value}: {error.message}"
    return None


def _missing(command: Any, given: set[str], arguments: list[str]) -> Told:
    positional = [each for each in command.params if each.param_type_name == "argument"]
    if len(arguments) > len(positional) and all(each.nargs == 1 for each in positional):
        return f"{len(arguments)} arguments; it takes {len(positional)}"
    if len(arguments) < sum(each.required for each in positional):
        return f"argument {positional[len(arguments)].name} is missing"
    lacking = [each.opts[0] for each in command.params if each.param_type_name == "option" and each.required]
    lacking = [name for name in lacking if name not in given]
    return f"{', '.join(lacking)} is missing" if lacking else None


def of_make(words: Sequence[str], _: bool) -> Told:
    """Targets and variables of the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for word in words:
        name, is_variable, _value = word.partition("=")
        if is_variable:
            if not re.search(rf"\$\({name}\)|^{name} [?:]?=|{name} \?=", makefile, re.MULTILINE):
                return f"the Makefile has no variable {name}"
        elif not is_placeholder(word) and not re.search(rf"^{re.escape(name)}:", makefile, re.MULTILINE):
            return f"the Makefile has no target {name}"
    return None


def of_dvc(words: Sequence[str], whole: bool) -> Told:
    """Subcommand and options by DVC's own parser; stages by the pipelines; parameters by the models."""
    if not whole and words == ["add"]:
        return None  # named in a sentence, without what it needs
    from dvc.cli import DvcParserError
    from dvc.cli.parser import get_main_parser  # here, since it takes a second

    said = io.StringIO()
    try:
        with redirect_stderr(said):
            asked = get_main_parser().parse_args(list(words))
    except (DvcParserError, SystemExit) as error:
        return (said.getvalue().strip().splitlines() or [str(error)])[-1]
    if asked.cmd in ("repro", "run"):
        return _stages(asked) or _parameters(getattr(asked, "set_param", None) or [])
    return None


@cache
def stages() -> frozenset[str]:
    """The names of all stages."""
    yaml = YAML(typ="safe", pure=True)
    files = (ROOT / "dvc.yaml", ROOT / "data/phantom/dvc.yaml")
    return frozenset(name for file in files for name in yaml.load(file.read_text(encoding="utf-8"))["stages"])


def _stages(asked: argparse.Namespace) -> Told:
    named = [str(each) for each in getattr(asked, "targets", None) or []]
    unknown = [
        each for each in named if not is_placeholder(each) and each not in stages() and not (ROOT / each).exists()
    ]
    return f"no stage {', '.join(unknown)}" if unknown else None


def _parameters(overrides: Sequence[str]) -> Told:
    """Each override alone, and each of several values of it, must make a params.yaml that a stage would take."""
    for override in overrides:
        name, _, values = override.partition("=")
        if is_placeholder(override):
            continue
        for value in [values] if values.startswith("[") else values.split(","):
            if problem := _override(name, value):
                return problem
    return None


def _override(name: str, value: str) -> Told:
    yaml = YAML(pure=True)
    params = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    *sections, key = name.split(".")
    inside = params
    for section in sections:
        inside = inside.get(section)
        if not isinstance(inside, dict):
            return f"params.yaml has no section {section} for {name}"
    if key not in inside:
        return f"params.yaml has no {name}"
    inside[key] = YAML(typ="safe", pure=True).load(value)
    text = io.StringIO()
    yaml.dump(params, text)
    try:
        parsed_params(Params, text.getvalue())
    except ParamsError as error:
        return str(error)
    return None


def of_python(words: Sequence[str], _: bool) -> Told:
    """The script is there and knows the options; or the module is."""
    if words[:1] == ["-m"]:
        return None if is_placeholder(words[1]) or importlib.util.find_spec(words[1]) else f"no module {words[1]}"
    script = words[0]
    if is_placeholder(script):
        return None
    return _file(script) or _options_of_script(script, [each for each in words[1:] if each.startswith("--")])


def _options_of_script(script: str, options: Sequence[str]) -> Told:
    """An option that a program of benchmarks/ takes is written in it, or in what all of them share."""
    parts = [ROOT / script, ROOT / "benchmarks/measuring.py", *(ROOT / script.removesuffix(".py")).with_name(
        f"{(ROOT / script).stem}_parts").glob("*.py")]  # fmt: skip
    text = "".join(part.read_text(encoding="utf-8") for part in parts)
    unknown = [each for each in options if f'"{each}"' not in text]
    return f"{script} has no option {', '.join(unknown)}" if unknown else None


def of_mlflow(words: Sequence[str], _: bool) -> Told:
    """Subcommand and options, by MLflow's own program; entry points by the file MLproject."""
    from mlflow.cli import cli  # here, since it takes seconds

    command: Any = cli
    words = list(words)
    while hasattr(command, "commands"):
        if not words:
            return None
        if words[0] not in command.commands:
            return f"mlflow has no command {words[0]}"
        command = command.commands[words.pop(0)]
    options = {name for each in command.params for name in each.opts}
    unknown = [each for each in words if each.startswith("-") and each not in options]
    if unknown:
        return f"mlflow {command.name} has no option {', '.join(unknown)}"
    if command.name == "run" and "-e" in words:
        entries = YAML(typ="safe", pure=True).load((ROOT / "MLproject").read_text(encoding="utf-8"))["entry_points"]
        entry = words[words.index("-e") + 1]
        return None if entry in entries or is_placeholder(entry) else f"MLproject has no entry point {entry}"
    return None


def of_sh(words: Sequence[str], _: bool) -> Told:
    """The script is there, or is made by `make gpu-bundle` from a folder of benchmarks/."""
    if not words or words[0].startswith("gpu-bundle/"):
        return _file("benchmarks/gpu_bundle/" + words[0].removeprefix("gpu-bundle/")) if words else None
    return _file(words[0])


def _file(name: str) -> Told:
    return None if is_placeholder(name) or (ROOT / name).exists() else f"no file {name}"


CHECKS: dict[str, Callable[[Sequence[str], bool], Told]] = {
    "datspect": of_datspect,
    "dvc": of_dvc,
    "make": of_make,
    "mlflow": of_mlflow,
    "python": of_python,
    "sh": of_sh,
}
