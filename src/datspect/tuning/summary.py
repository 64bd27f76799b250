"""Say what a study has found, in numbers and sentences, and that its best score is optimistic."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from datspect.tuning.lost import disturbed, given_up
from datspect.tuning.scoring import TITLES, Objective
from datspect.tuning.space import SearchSpace
from datspect.tuning.study import Study, added
from datspect.tuning.trials import Trial, values_text

OPTIMISTIC = (
    "optimistic: the trial was chosen for this very score. Honest figures: `datspect tune --nested`, and Table 2 after "
    "`dvc repro`"
)


def study_summary(study: Study, space: SearchSpace, cohort_kind: str) -> dict[str, Any]:
    """Return what study.json holds: counts, the best trial, and the trial with the values of params.yaml, if any."""
    best, base = study.best(), base_trial(study, space)
    trials = [trial for trial in study.trials() if trial.state != "added"]
    states = [trial.state for trial in trials]
    return {
        "study": study.name,
        "cohort_kind": cohort_kind,
        "objective": study.objective,
        "space": space.description(),
        "n_trials": {state: states.count(state) for state in sorted(set(states))},
        "n_added": added(study.trials()),
        "given_up": [each | {"of_params_yaml": each["values"] == space.base_values()} for each in given_up(trials)],
        "disturbed": disturbed(trials),
        "seconds": sum(trial.seconds or 0.0 for trial in trials),
        "epochs_trained": sum(trial.n_epochs for trial in trials),
        "best": _as_record(best) if best else None,
        "values_of_params_yaml": _as_record(base) if base else None,
        "note": f"the best score is {OPTIMISTIC}",
    }


def trials_table(study: Study) -> pd.DataFrame:
    """Return the table of trials.csv: a row for each trial of a search, with what it tried and what came out."""
    return pd.DataFrame(
        [
            {
                "trial": trial.number,
                "state": trial.state,
                "n_epochs": trial.n_epochs,
                "seconds": trial.seconds,
                "score": trial.score,
                **trial.values,
                **trial.measures,
            }
            for trial in study.trials()
            if trial.state != "added"
        ]
    )


def base_trial(study: Study, space: SearchSpace) -> Trial | None:
    """Return the complete trial with the values that params.yaml holds now, None if there is none."""
    values = space.base_values()
    found = [trial for trial in study.trials() if trial.state == "complete" and trial.values == values]
    return found[0] if found else None


def summary_metrics(summary: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a summary, for the run of the study."""
    counts = {f"trials/{state}": float(n) for state, n in summary["n_trials"].items()}
    return {
        **counts,
        "seconds": summary["seconds"],
        **{
            f"{name}/{measure}": value
            for name, key in (("best", "best"), ("base", "values_of_params_yaml"))
            if summary[key]
            for measure, value in summary[key]["measures"].items()
        },
    }


def summary_text(summary: Mapping[str, Any], cohort: str) -> str:
    """Return a few lines for the terminal; `cohort` says what kind it is."""
    title, best, base = TITLES[summary["objective"]], summary["best"], summary["values_of_params_yaml"]
    counts = ", ".join(f"{n} {state}" for state, n in summary["n_trials"].items()) or "no trial"
    lines = [f"Study {summary['study']} ({cohort}): {counts}; {summary['seconds'] / 60:.1f} min of training"]
    lines += [f"  {note}"] if (note := added_note(summary["n_added"])) else []
    lines += [f"  {note}" for note in loss_notes(summary)]
    if best is None:
        return "\n".join([*lines, "No trial is complete yet."])
    lines.append(f"  best: trial {best['trial']}, {title} {_with_bounds(best, summary['objective'])}")
    lines.append(f"    {values_text(best['values'])}")
    lines.append(f"    {OPTIMISTIC}")
    if base:
        lines.append(
            f"  values of params.yaml: trial {base['trial']}, {title} {_with_bounds(base, summary['objective'])}"
        )
    return "\n".join(lines)


def added_note(n_added: int) -> str:
    """Return a line on the trials that somebody added to the study, empty if there is none.

    >>> added_note(1).split(":")[0]
    '1 trial left aside'
    """
    if not n_added:
        return ""
    trials = "1 trial" if n_added == 1 else f"{n_added} trials"
    return f"{trials} left aside: added with `optuna ask` and `tell` or in the dashboard, so without our measures"


def loss_notes(summary: Mapping[str, Any]) -> list[str]:
    """Return a line on each trial that was given up, and one on what lost trials do to a study; none without any."""
    notes = [_given_up_note(each) for each in summary["given_up"]]
    return notes + ([summary["disturbed"]["note"]] if summary["disturbed"] else [])


def _given_up_note(lost: Mapping[str, Any]) -> str:
    whose = "the values of params.yaml: " if lost["of_params_yaml"] else ""
    return (
        f"given up: trial {lost['attempts'][0]} ({whose}{values_text(lost['values'])}); {lost['why']}. Start the "
        "command again to try it once more"
    )


def _with_bounds(trial: Mapping[str, Any], objective: Objective) -> str:
    measures = trial["measures"]
    return f"{trial['score']:.4f} ({measures[f'{objective}_low']:.4f} to {measures[f'{objective}_high']:.4f})"


def _as_record(trial: Trial) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "values": dict(trial.values),
        "score": trial.score,
        "measures": dict(trial.measures),
        "fold_scores": list(trial.fold_scores),
    }
