"""What shells offer to complete, beside commands, options and paths: versions, recipes, studies, revisions.

A shell waits for it at every press of the Tab key, so nothing heavy is loaded and no server is asked.
"""

import subprocess
from collections.abc import Iterator

from datspect.running.addresses import repository_root

_VERSIONS = {
    "champion": "the version in use",
    "challenger": "the version that was registered last",
    "previous": "the champion before this one",
}
_WORKSPACE = {"workspace": "the results on disk"}
_REFS = ("refs/heads", "refs/tags")

Offered = Iterator[tuple[str, str]]


def versions(incomplete: str) -> Offered:
    """Offer the aliases of versions."""
    return _beginning(_VERSIONS, incomplete)


def models(incomplete: str) -> Offered:
    """Offer aliases of versions, and the folder of the model on disk."""
    return _beginning({**_VERSIONS, "models/predictor": "the model on disk"}, incomplete)


def contenders(incomplete: str) -> Offered:
    """Offer what `compare` takes: the workspace, aliases, branches and tags."""
    return _beginning({**_WORKSPACE, **_VERSIONS, **dict.fromkeys(_revisions(), "revision")}, incomplete)


def recipe_names(incomplete: str) -> Offered:
    """Offer the recipes beside params.yaml."""
    names = (path.stem for path in sorted((repository_root() / "recipes").glob("*.yaml")))
    return _beginning(dict.fromkeys(names, "recipe"), incomplete)


def studies(incomplete: str) -> Offered:
    """Offer the studies that have left files here."""
    names = (path.parent.name for path in sorted((repository_root() / "reports/tune").glob("*/study.json")))
    return _beginning(dict.fromkeys(names, "study"), incomplete)


def _beginning(offered: dict[str, str], incomplete: str) -> Offered:
    return ((name, what) for name, what in offered.items() if name.startswith(incomplete))


def _revisions() -> list[str]:
    command = ["git", "-C", str(repository_root()), "for-each-ref", "--format=%(refname:short)", "--count=200", *_REFS]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=2)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return []
    return answer.stdout.split()
