"""Tell how the parameters of two results differ, given as dotted keys with values as text."""

from collections.abc import Mapping

from datspect.tracking.labels import same_value

_NOT_OF_RESULTS = (
    *("baselines", "checks", "executor", "other_groups", "prediction", "promotion", "robustness", "tracking", "tune"),
)
"""Sections of params.yaml that no result of cv or final depends on; some hold addresses."""


def parameter_differences(
    first: Mapping[str, str], second: Mapping[str, str]
) -> tuple[dict[str, tuple[str, str]], int, tuple[list[str], list[str]]]:
    """Return values of the keys that differ, how many keys both have, and the keys that only one has.

    A whole section that only one has is named as `section.*`. Sections that no result depends on are left out, and a
    value that is a path of this machine shows its last part alone.
    """
    first, second = ({key: value for key, value in side.items() if _matters(key)} for side in (first, second))
    shared = sorted(first.keys() & second.keys())
    differing = {
        key: (_shown(first[key]), _shown(second[key])) for key in shared if not same_value(first[key], second[key])
    }
    return differing, len(shared), (_only(first, second), _only(second, first))


def _matters(key: str) -> bool:
    return key.partition(".")[0] not in _NOT_OF_RESULTS


def _shown(value: str) -> str:
    return f".../{value.rstrip('/').rpartition('/')[2]}" if value.startswith(("/", "file:", "~")) else value


def _only(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    sections = {key.partition(".")[0] for key in theirs}

    def named(key: str) -> str:
        section, dot, _ = key.partition(".")
        return f"{section}.*" if dot and section not in sections else key

    return sorted({named(key) for key in ours.keys() - theirs.keys()})
