"""Write a project's status as lines for a terminal."""

from collections.abc import Mapping
from typing import Any

from datspect.cohort.kind import CohortKind

_SHORT = 12
_REASONS = 3


def status_text(status: Mapping[str, Any]) -> str:
    """Return the status, a heading and a few lines for each part."""
    parts = {
        "cohort": _cohort(status["cohort"]),
        "recipe": _recipe(status["recipe"]),
        "study": _study(status["study"]),
        "champion": _version(status["versions"], "champion"),
        "challenger": _version(status["versions"], "challenger"),
        "model here": _model(status["model"], status["versions"]),
        "results": [status["results"]["headline"]],
        "dvc repro": _graph(status["graph"]),
    }
    width = max(map(len, parts)) + 2
    rows = [(name if n == 0 else "", line) for name, lines in parts.items() for n, line in enumerate(lines)]
    return "\n".join(f"{name:<{width}}{line}".rstrip() for name, line in rows)


def _cohort(cohort: Mapping[str, Any]) -> list[str]:
    if cohort["kind"] is None:
        return [f"{cohort['path']}; not read yet: dvc repro"]
    excluded = f", {cohort['n_excluded']} excluded" if cohort["n_excluded"] else ""
    kind = CohortKind.of(cohort["kind"])
    return [f"{kind.short}, {cohort['n']} subjects{excluded}, digest {cohort['digest'][:_SHORT]} ({cohort['path']})"]


def _recipe(recipe: Mapping[str, Any]) -> list[str]:
    differing = [f"{key} = {each['value']} (recipe: {each['recipe']})" for key, each in recipe["differing"].items()]
    return [recipe["title"], *differing]


def _study(study: Mapping[str, Any]) -> list[str]:
    origin = study["parameters_from"]
    lines = ["parameters come from no study"]
    if origin:
        other = "; of another split than today's" if study["same_split"] is False else ""
        lines = [f"parameters come from study {origin['study']}, trial {origin['trial']}{other}"]
    for each in study["studies"]:
        counts = ", ".join(f"{n} {state}" for state, n in each["n_trials"].items()) or "no trial"
        kind = CohortKind.of(each["cohort_kind"]).short
        lines.append(f"{each['study']} ({kind}): {counts}; {_best(each)}")
    return lines


def _best(study: Mapping[str, Any]) -> str:
    if (best := study["best"]) is None:
        return "no trial is complete yet"
    bounds = "" if best["low"] is None else f" ({best['low']:.4f} to {best['high']:.4f})"
    return f"best: trial {best['trial']}, {study['objective']} {best['score']:.4f}{bounds}, optimistic"


def _version(versions: Mapping[str, Any], alias: str) -> list[str]:
    if versions["unknown"]:
        return [f"not known: {versions['unknown']}"]
    version = versions[alias]
    if version is None:
        how = "datspect register" if alias == "challenger" else "datspect promote"
        return [f"none yet ({how})"]
    recipe = f", recipe {version['recipe']}" if version["recipe"] else ""
    of = f"{CohortKind.of(version['cohort_kind']).short}{recipe}"
    lines = [f"version {version['version']} ({of}), run {version['run_id'] or 'none'}"]
    figures = [
        f"{name.replace('_', ' ')} {each['estimate']:.4f} ({each['low']:.4f} to {each['high']:.4f})"
        for name, each in version["measures"].items()
    ]
    return [*lines, *([f"out of fold: {', '.join(figures)}"] if figures else [])]


def _model(model: Mapping[str, Any], versions: Mapping[str, Any]) -> list[str]:
    if model["digest"] is None:
        return [f"none in models/predictor yet (model {model['model']}): dvc repro"]
    named = [alias for alias in ("champion", "challenger", "previous") if (versions[alias] or {}).get("is_workspace")]
    who = (
        f"the {' and '.join(named)}"
        if named
        else "no version with an alias (datspect register makes it the challenger)"
    )
    if versions["unknown"]:
        who = "whether it is a version is not known"
    return [f"model {model['model']}, digest {model['digest'][:_SHORT]}: {who}"]


def _graph(graph: Mapping[str, Any]) -> list[str]:
    if graph["up_to_date"] is None:
        return [f"not known: {graph['unknown']}"]
    if graph["up_to_date"]:
        return ["would run nothing: everything is up to date"]
    run, restored = graph["stages"], graph["restored"]
    lines = [f"would run {_counted(run)}:", *_stage_lines(run)] if run else ["would run nothing"]
    lines += [f"then, if these make something else: {', '.join(graph['then'])}"] if graph["then"] else []
    return [
        *lines,
        *([f"would restore {_counted(restored)} from DVC's cache:"] if restored else []),
        *_stage_lines(restored),
    ]


def _counted(stages: Mapping[str, Any]) -> str:
    return f"{len(stages)} stage{'s' if len(stages) > 1 else ''}"


def _stage_lines(stages: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, reasons in stages.items():
        more = f"; and {len(reasons) - _REASONS} more" if len(reasons) > _REASONS else ""
        lines.append(f"  {name}: {'; '.join(reasons[:_REASONS])}{more}")
    return lines
