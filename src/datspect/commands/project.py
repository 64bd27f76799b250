"""What a command does where there is no project: it reads the package's own values, or says what it needs."""

import logging
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from datspect.errors import DatspectError
from datspect.running.addresses import repository_root

PARAMS = Path("params.yaml")
_MARKS = ("params.yaml", "dvc.yaml", ".dvc")
"""One of these lies in a project's root."""
_IN_A_WHEEL, _IN_A_CHECKOUT = Path(__file__).parents[1] / "defaults", Path(__file__).parents[3]
"""Where the package's own params.yaml lies; the build puts it into a wheel (setup.py)."""

log = logging.getLogger("datspect")


class NoProjectError(DatspectError):
    """A command that works on a project was started outside of one."""


def params_or_defaults(path: Path) -> Path:
    """Return `path`; for the default one, where there is none, the params.yaml of the package, which is said."""
    if path != PARAMS or path.exists():
        return path
    own = next((folder / PARAMS for folder in (_IN_A_WHEEL, _IN_A_CHECKOUT) if (folder / PARAMS).is_file()), path)
    if own != path:
        log.info("no params.yaml here: the values are those that came with datspect (the paper's)")
    return own


def of_project(command: Callable[..., Any]) -> Callable[..., Any]:
    """Make a command stop with a `NoProjectError` outside of a project, unless its `params` name a file."""

    @wraps(command)
    def checked(**given: Any) -> Any:
        if not _is_project(repository_root()) and not Path(given.get("params") or PARAMS).exists():
            raise NoProjectError(
                f"no project here: none of {', '.join(_MARKS)} is in this folder, nor dvc.yaml or .dvc above it. This "
                "command works on a project: change into a clone of the repository, or get one (docs/install.md). "
                "Everywhere work predict, evaluate, import, phantom, serve and doctor"
            )
        return command(**given)

    return checked


def _is_project(root: Path) -> bool:
    return any((root / mark).exists() for mark in _MARKS)
