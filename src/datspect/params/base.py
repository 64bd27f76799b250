"""What all sections of params.yaml share, and how a program reads the sections that it uses."""

from importlib import import_module
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from datspect.errors import ParamsError

PARAMS_PATH = Path("params.yaml")

Seed = Annotated[int, Field(ge=0, lt=2**32)]
FiniteFloat = Annotated[float, Field(allow_inf_nan=False)]


class Section(BaseModel):
    """One section of params.yaml: no unknown key, no silent conversion, no change afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Sections(BaseModel):
    """The sections of params.yaml that one program reads; it says nothing of the others."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


_LONGEST_VALUE = 200
"""Characters of a value that a message shows."""

Read = TypeVar("Read", bound=Sections)


def read_params(model: type[Read], path: Path = PARAMS_PATH) -> Read:
    """Read the sections that `model` names, after a check of the whole file.

    Raises
    ------
    ParamsError : the file is missing or not YAML, or a key is unknown, missing, of a wrong type or impossible;
        the message holds each dotted key, the value and what is allowed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ParamsError(f"{path}: cannot be read ({error.strerror}); run from the repository root") from error
    except UnicodeDecodeError as error:
        raise ParamsError(f"{path}: not text in UTF-8; save it as such") from error
    return parsed_params(model, text, path)


def parsed_params(model: type[Read], text: str, path: Path = PARAMS_PATH) -> Read:
    """Return the sections that `model` names of a text of params.yaml; raises as `read_params` does, about `path`."""
    # Named, not imported: the rest of the file can stop a stage but not change its result, so no stage depends on it.
    whole: type[Sections] = import_module("datspect.params.whole").Params
    try:
        # Pure Python: the parser that DVC uses, so that both read the same values (1e-4 is a number, no is text).
        raw = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise ParamsError(f"{path}: not valid YAML: {error}") from error
    except RecursionError:
        raise ParamsError(f"{path}: brackets are nested without end; its sections hold at most three levels") from None
    try:
        whole.model_validate(raw)
        return model.model_validate(raw)
    except ValidationError as error:
        problems = [_explain(problem, list(whole.model_fields)) for problem in error.errors()]
        raise ParamsError("\n  ".join([f"{path}: {len(problems)} problem(s)", *problems])) from None


def _shortened(text: str) -> str:
    """Return a value as a message shows it, however large it is."""
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}... ({len(text):,} characters)"


def _explain(problem: ErrorDetails, sections: list[str]) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    value = _shortened(repr(problem["input"]))
    match problem["type"]:
        case "missing":
            return f"{key}: missing; add it"
        case "extra_forbidden":
            return f"{key} = {value}: unknown key; remove it or mend its spelling"
        case "value_error":  # of a section: the message goes on with the key below it
            return f"{key}.{message}" if key else message
        case "model_type" if not key:
            return f"no sections; expected {', '.join(sections)}"
        case _:
            return f"{key} = {value}: {message[:1].lower()}{message[1:]}"
