"""Part `cost`: seconds of what differs between the recipes, and whether both backends decide alike.

Times are those of a machine as busy as it was, so processor seconds stand beside them: where nothing else runs, a step
takes as long as these, or less if it uses more than one core.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datspect  # noqa: F401 - first, since TensorFlow reads what the package sets while it is loaded

# isort: split
import keras
import numpy as np

from datspect.modeling.ensemble import fit_ensemble
from datspect.reporting.markdown import markdown_table
from datspect.training import crossval
from datspect.training.fitting import slabs_of
from measuring import Goal
from striatum_parts.readers import PAPER, STRIATUM, ensemble_log_odds
from striatum_parts.unlike import final_predictor
from striatum_parts.workplace import DEFAULT_SEED, Workplace, measured, run_stage

STEPS = {
    "features": "the bank",
    "cv": "ten folds",
    "final": "stage final: final model and ten development folds",
    "ensemble": "the final ensemble alone",
}
N_FOLDS_OF_JAX = 2
_CV_SECONDS, _FINAL_SECONDS = 150, 30


def measure(place: Workplace, *, with_paper: bool) -> None:
    """Run what has not been measured yet."""
    final_predictor(place)
    if with_paper and not place.known(_name("final", PAPER)):
        _papers_final(place)
    if not place.known(_name("ensemble", STRIATUM)):
        _final_ensemble(place)
    if not place.known("jax"):
        command = [sys.executable, "-m", "striatum_parts.cost", str(place.scratch), str(place.graph)]
        path = os.pathsep.join([str(Path(__file__).parents[1]), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
        subprocess.run(command, check=True, env=os.environ | {"KERAS_BACKEND": "jax", "PYTHONPATH": path})


def found(place: Workplace) -> dict[str, dict[str, Any]]:
    """Return all costs that are known by step and recipe, and the answers of JAX."""
    names = {f"{step}-{recipe}": _any(place, step, recipe) for step in STEPS for recipe in (STRIATUM, PAPER)}
    jax = place.known("jax")
    return {name: record for name, record in {**names, "jax": jax}.items() if record}


def _name(step: str, recipe: str, seed: int = DEFAULT_SEED) -> str:
    return f"cost-{step}-{seed}-{recipe}"


def _any(place: Workplace, step: str, recipe: str) -> dict[str, Any] | None:
    """Return the cheapest run of a step of all seeds, the least disturbed one."""
    found = [place.known(path.stem) for path in place.result("x").parent.glob(f"cost-{step}-*-{recipe}.json")]
    return min((each for each in found if each), key=lambda each: each["seconds"], default=None)


def _final_ensemble(place: Workplace) -> None:
    data, params = place.data(DEFAULT_SEED, STRIATUM), place.params(DEFAULT_SEED, STRIATUM)
    is_test, folds = (data.splits["role"] == "test").to_numpy(), data.splits["dev_fold"].to_numpy()
    final, *_ = crossval.final_heads(is_test, folds, params.classifier, params.training)
    with measured(place, _name("ensemble", STRIATUM).removeprefix("cost-")):
        fit_ensemble(final, slabs_of(data, params))


def _papers_final(place: Workplace) -> None:
    folder, features = place.folder(DEFAULT_SEED), place.features(DEFAULT_SEED, PAPER)
    images, splits, params = (
        place.images(DEFAULT_SEED),
        folder / "data/splits.csv",
        place.params_file(DEFAULT_SEED, PAPER),
    )
    with measured(place, _name("final", PAPER).removeprefix("cost-")):
        run_stage(
            "final", images, features, place.backbone(), splits, folder / PAPER / "final", folder / PAPER / "reports",
            params=params,
        )  # fmt: skip


def answer_by_this_backend(place: Workplace) -> None:
    """Keep what the first folds of the default phantom say under the backend in use."""
    data, params = place.data(DEFAULT_SEED, STRIATUM), place.params(DEFAULT_SEED, STRIATUM)
    heads = crossval.cv_heads(data.splits["fold"].to_numpy(), params.classifier, params.training)[:N_FOLDS_OF_JAX]
    rows = np.concatenate([head.validation_rows for head in heads])
    log_odds = ensemble_log_odds(heads, data, params)[rows]
    figures = {"backend": keras.backend.backend(), "rows": rows.tolist(), "log_odds": np.round(log_odds, 5).tolist()}
    place.keep("jax", figures)


def parts(records: Mapping[str, Mapping[str, Any]], place: Workplace) -> list[str]:
    """Return the table of costs and how far the backends differ."""
    rows = [["step", "recipe", "seconds", "processor seconds", "load before", "after"]]
    for step, words in STEPS.items():
        for recipe in (STRIATUM, PAPER):
            if record := records.get(f"{step}-{recipe}"):
                numbers = [f"{record[name]:g}" for name in ("seconds", "cpu_seconds", "load_before", "load_after")]
                rows.append([words, recipe, *numbers])
    return [markdown_table(rows, 2), _backends(records, place)]


def _backends(records: Mapping[str, Mapping[str, Any]], place: Workplace) -> str:
    jax, own = records.get("jax"), place.known(f"seed-{DEFAULT_SEED}")
    if own is None or jax is None:
        return "JAX has not been compared."
    theirs, mine = np.array(jax["log_odds"]), np.array(own["log_odds"][STRIATUM])[jax["rows"]]
    n_alike = int(((theirs > 0) == (mine > 0)).sum())
    return (
        f"JAX beside TensorFlow, {len(theirs)} subjects of {N_FOLDS_OF_JAX} folds: {n_alike} of {len(theirs)} "
        f"decisions are the same; the log odds differ by at most {np.abs(theirs - mine).max():.2g}, in the median by "
        f"{np.median(np.abs(theirs - mine)):.2g}."
    )


def goals(records: Mapping[str, Mapping[str, Any]]) -> list[Goal]:
    """Return what training may cost; processor seconds are what it takes where nothing else runs, or more."""
    goals = []
    for step, limit in (("cv", _CV_SECONDS), ("ensemble", _FINAL_SECONDS)):
        if record := records.get(f"{step}-{STRIATUM}"):
            shown = f"{record['cpu_seconds']:g} processor seconds; {record['seconds']:g} s beside other work"
            met = record["cpu_seconds"] < limit
            goals.append(Goal(f"{STEPS[step]}, striatum", f"under {limit} s", shown, met, "epochs and members"))
    return goals


if __name__ == "__main__":
    answer_by_this_backend(Workplace(Path(sys.argv[1]), Path(sys.argv[2])))
