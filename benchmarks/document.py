"""docs/benchmarks.md from the results of the benchmarks: text alone, nothing is measured here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datspect.reporting.markdown import markdown_table

Result = Mapping[str, Any]

RATIO_GOALS = {(16, None): 100.0, (500, "bfloat16"): 20.0, (500, "float32"): 13.0}
"""By draws and precision; None is the precision that the pipeline chooses on the machine at hand."""
ACCURACY_MARGIN = 0.02
"""Ours counts as not inferior when the lower bound of the difference is above minus this: 13 of 659 subjects."""
PREDICT_GOAL = 0.8
STACK_GOAL_SECONDS = 150.0
RECORD_GOAL_SECONDS = 12.0
IMPORT_GOAL, PREPROCESS_GOAL = 1.7, 3.0


@dataclass(frozen=True)
class Goal:
    """One goal beside what was found; `limit` is a sentence on what holds it back, said where it is missed."""

    name: str
    wanted: str
    found: str
    met: bool
    limit: str


@dataclass(frozen=True)
class Benchmark:
    """One benchmark as it was run: `result` is None when it failed."""

    name: str
    command: str
    minutes: float
    result: Result | None


def document(benchmarks: Sequence[Benchmark], machine: Result, versions: Result, kind: str, *, quick: bool) -> str:
    """The whole document.

    Parameters
    ----------
    machine, versions : as from `measuring`
    kind : of the cohort in use
    quick : the figures are of a short run
    """
    results = {benchmark.name: benchmark.result for benchmark in benchmarks if benchmark.result is not None}
    failed = [benchmark for benchmark in benchmarks if benchmark.result is None]
    parts = [
        "# Benchmarks",
        "Written by `make bench`; every figure is of one run on one machine. Where two ways are compared (the race, "
        "the features, the heads), they take turns in one process, and medians are compared. " + cohort_sentence(kind),
        *(["**Short run (`--quick`): it shows that everything works, not how fast it is.**"] if quick else []),
        *(f"**`{benchmark.command}` failed: its part is missing.**" for benchmark in failed),
        "## Machine",
        machine_table(machine, versions),
        "## Commands",
        commands(benchmarks, quick=quick),
        "## Goals",
        goals_part(goals(results)),
        *(text for name, section in SECTIONS.items() if name in results for text in section(results[name])),
    ]
    return "\n\n".join(parts) + "\n"


def cohort_sentence(kind: str) -> str:
    """What the figures of quality are of."""
    if kind == "phantom":
        return "Accuracy is that on the PHANTOM cohort, simulated: it says nothing about patients."
    return f"Accuracy is that on the cohort in use ({kind})."


def machine_table(machine: Result, versions: Result) -> str:
    """Hardware and software."""
    rows = [
        ["", ""],
        ["processor", str(machine["cpu"])],
        ["cores", str(machine["cores"])],
        ["memory", f"{machine['memory_gb']} GB"],
        ["instruction sets for matrix products", ", ".join(machine["instruction_sets"]) or "not known"],
        ["system", str(machine["system"])],
        *([name, str(number)] for name, number in versions.items()),
    ]
    return markdown_table(rows, n_text_columns=2)


def commands(benchmarks: Sequence[Benchmark], *, quick: bool) -> str:
    """What was run, in order."""
    whole = "python benchmarks/run_all.py" + (" --quick" if quick else "")
    width = max(len(each.command) for each in benchmarks)
    lines = [f"{each.command:<{width}}  # {each.minutes:.1f} min" for each in benchmarks]
    return f"`make bench` calls `{whole}`, which runs\n\n```\n" + "\n".join(lines) + "\n```"


def goals(results: Mapping[str, Result]) -> list[Goal]:
    """Every goal whose benchmark gave a result."""
    found: list[Goal] = []
    if race := results.get("paper_recipe"):
        found += [_ratio_goal(race, results.get("features"), *key) for key in RATIO_GOALS]
        found.append(_accuracy_goal(race["accuracy"]))
    if features := results.get("features"):
        found += [_predict_goal(precision, row) for precision, row in features["speed"].items()]
    if heads := results.get("heads"):
        found.append(_stack_goal(heads))
    if tracking := results.get("tracking"):
        found.append(_record_goal(tracking))
    if importing := results.get("importing"):
        found += importing_goals(importing)
    return found


def goals_part(found: Sequence[Goal]) -> str:
    """The table of goals and, below it, what limits those that are missed."""
    rows = [["", "wanted", "found", ""]]
    rows += [[goal.name, goal.wanted, goal.found, "met" if goal.met else "MISSED"] for goal in found]
    limits = [f"- {goal.name}: {goal.limit}" for goal in found if not goal.met]
    return "\n\n".join(
        [markdown_table(rows), *(["What limits those missed:\n\n" + "\n".join(limits)] if limits else [])]
    )


def race_section(race: Result) -> list[str]:
    """Seconds, memory and accuracy of the recipe and of ours."""
    length, samples = race["race"], race["samples"]
    whole = f"{length['n_folds']} folds of {length['n_epochs']} epochs"
    features = samples["features"].values()
    n_images = " and ".join(f"{each['n_images']:,}" for each in features)
    epoch = samples["recipe"]["later_epoch"]
    table = [["draws", "precision", "recipe, s", "bank, s", "stack, s", "ours, s", "recipe / ours"]]
    for row in race["rows"]:
        parts = [f"{row[name]:,.0f}" for name in ("recipe_seconds", "bank_seconds", "stack_seconds", "our_seconds")]
        table.append([str(row["draws"]), row["precision"], *parts, f"{row['ratio']:.1f}"])
    return [
        "## The race against the paper's recipe",
        f"Seconds for {whole}, scaled from {epoch['n']} epochs of the recipe (the first of each fold apart), "
        f"{n_images} images of the bank ({' and '.join(samples['features'])}) and the epochs of the stack below. "
        "The recipe: 8-bit PNGs, `ImageDataGenerator.flow_from_directory` with the augmentation of params.yaml, frozen "
        "InceptionV3, dense, dropout, dense, `fit` in float32. Ours: the bank of (draws + 1) x "
        f"{race['n_subjects']} images once, then all heads as one stack. 16 draws: the augmented images are reused "
        "every 16 epochs; 500: each epoch has its own, as in the recipe. First epochs and first batches, with tracing "
        "and compilation, are counted on both sides; the start of the programs, the writing of the PNGs and the record "
        f"in MLflow on neither. `auto` chooses {race['auto_precision']} here.",
        markdown_table(table, n_text_columns=2),
        _samples_table(samples),
        _memory_table(race["memory_mb"]),
        *_accuracy_part(race["accuracy"]),
    ]


def features_section(features: Result) -> list[str]:
    """Throughput of the bank."""
    head = ["precision", "bank, images/s", "predict, images/s", "bank / predict", "bank, GFLOP/s", "matrix, GFLOP/s"]
    table = [[*head, "bank / matrix"]]
    for precision, row in features["speed"].items():
        bank, predict = row["bank_images_per_second"], row["predict_images_per_second"]
        of_bank, of_matrix = row["bank_gflop_per_second"], row["matrix_gflop_per_second"]
        speeds = [f"{bank:.0f}", f"{predict:.0f}", _percent(bank / predict), f"{of_bank:.0f}", f"{of_matrix:.0f}"]
        table.append([precision, *speeds, _percent(of_bank / of_matrix)])
    gflop = next(iter(features["speed"].values()))["gflop_per_image"]
    size = features["matrix_size"]
    memory = ", ".join(f"{mb} MB at {draws}" for draws, mb in features["memory_mb"].items())
    return [
        "## Features",
        f"The bank (augmentation and writing included) against `predict` on clean images in memory and against a "
        f"matrix product of {size} x {size}: {features['n_images']} images, median of {features['n_rounds']} rounds. "
        f"An image takes {gflop:.2f} GFLOP (counted over the convolutions).",
        markdown_table(table),
        f"Peak memory by draws, 32 subjects, float32: {memory}.",
    ]


def heads_section(heads: Result) -> list[str]:
    """The stack against Keras' own `fit`."""
    stack, fit = heads["stack_epoch"], heads["fit_epoch"]
    return [
        "## Heads",
        f"{heads['n_heads']} heads of 2048 -> 128 -> 1 over {heads['n_epochs']} epochs: "
        f"**{heads['stack_seconds']:.0f} s** as a stack, scaled from {stack['n']} epochs; "
        f"**{heads['fit_seconds']:,.0f} s** as plain `fit` calls, scaled from {fit['n']} epochs; "
        f"{heads['ratio']:.1f} times as long. An epoch of all heads in the stack takes {stack['median']:.3f} s "
        f"({stack['low']:.3f} to {stack['high']:.3f}), of one head under `fit` {fit['median']:.3f} s "
        f"({fit['low']:.3f} to {fit['high']:.3f}).",
    ]


def tracking_section(tracking: Result) -> list[str]:
    """What the record costs."""
    parts = ", ".join(f"{what} {seconds:.1f}" for what, seconds in tracking["parts"].items())
    return [
        "## MLflow",
        f"The record of stage `cv` on SQLite takes {tracking['record_seconds']:.1f} s ({parts}), "
        f"{_percent(tracking['share'], 1)} of the stage's {tracking['stage_seconds']:.0f} s from start to end. Import "
        f"of MLflow and a new database: {tracking['import_seconds']:.1f} s, once, not in the former.",
    ]


def noop_section(noop: Result) -> list[str]:
    """DVC with nothing to do."""
    found = noop["seconds"]
    return [
        "## Nothing to do",
        f"`dvc repro` with everything up to date: {found['median']:.1f} s (median of {found['n']}, "
        f"{found['low']:.1f} to {found['high']:.1f}).",
    ]


def importing_section(importing: Result) -> list[str]:
    """Import of a made-up download, and stage `preprocess`, in scans a second."""
    names = {
        "all cores": f"import, {importing['cores']} cores",
        "one process": "import, one process",
        "preprocess": "stage `preprocess`, on the cohort folder",
        "obvious loop": "obvious loop: `get_fdata` on .nii.gz, slices 40 to 42",
    }
    rows = [["", "seconds, median", "lowest", "highest", "scans/s"]]
    for key, name in names.items():
        times, rate = importing["samples"][key], importing["scans_per_second"][key]
        rows.append([name, *(f"{figure:.1f}" for figure in (importing["seconds"][key], min(times), max(times), rate))])
    return [
        "## Import",
        f"A made-up PPMI download of {importing['n_scans']} DICOM files, {importing['n_rounds']} round(s), each way in "
        f"turn, every import a program of its own. Peak memory of an import: {importing['import_memory_mb']} MB.",
        markdown_table(rows),
    ]


def importing_goals(importing: Result) -> list[Goal]:
    """Of the import's cores, and of `preprocess` beside the obvious loop."""
    seconds = importing["seconds"]
    return [
        Goal(
            name=f"import on {importing['cores']} cores against one process",
            wanted=f"at least {IMPORT_GOAL:g}x",
            found=f"{importing['import_ratio']:.2f}x",
            met=importing["import_ratio"] >= IMPORT_GOAL,
            limit=f"{seconds['one process']:.0f} s in one process, {seconds['all cores']:.0f} s on all cores; "
            "plan, mean phantom and journal are made by one process, and both cores share the way to memory.",
        ),
        Goal(
            name="preprocess against the obvious loop",
            wanted=f"at least {PREPROCESS_GOAL:g}x",
            found=f"{importing['preprocess_ratio']:.2f}x",
            met=importing["preprocess_ratio"] >= PREPROCESS_GOAL,
            limit=f"{seconds['preprocess']:.1f} s against {seconds['obvious loop']:.1f} s; digests, fingerprints, "
            "binding ratios and the contact sheet are in it, which the loop does not make.",
        ),
    ]


SECTIONS: Mapping[str, Callable[[Result], list[str]]] = {
    "paper_recipe": race_section,
    "features": features_section,
    "heads": heads_section,
    "tracking": tracking_section,
    "importing": importing_section,
    "noop": noop_section,
}
"""By benchmark, in the order of the document."""


def _samples_table(samples: Result) -> str:
    """Medians, and the range of the middle 80 %."""
    rows = [["sampled", "median, s", "10 to 90 %", "n"]]
    rows.append(["recipe, first epoch of a fold", *_cells(samples["recipe"]["first_epoch"], 1)])
    rows.append(["recipe, later epoch", *_cells(samples["recipe"]["later_epoch"], 2)])
    for precision, times in samples["features"].items():
        rows.append([f"bank, image, {precision}", *_cells(times["image"], 5)])
        rows.append([f"bank, until the first batch is done, {precision}", f"{times['start']:.1f}", "", "1"])
    for draws, times in samples["stack"].items():
        rows.append([f"stack, later epoch, {draws} draws", *_cells(times["later_epoch"], 3)])
        rows.append([f"stack, first epoch, {draws} draws", f"{times['first_epoch']:.1f}", "", "1"])
    return markdown_table(rows)


def _memory_table(memory: Mapping[str, int]) -> str:
    names = {"recipe": "recipe, one fold", "features": "ours: bank, any number of draws"}
    rows = [["peak memory, each in a process of its own", "MB"]]
    for part, mb in memory.items():
        name = names.get(part, f"ours: stack, {part.removeprefix('heads-')} draws")
        rows.append([name, f"{mb:,}"])
    return markdown_table(rows)


def _accuracy_part(found: Result) -> list[str]:
    """Both after equally many epochs."""
    difference = found["ours_minus_recipe"]
    rows = [["out of fold", "recipe", "ours", "ours - recipe (95 % interval)"]]
    for measure, name in (("accuracy", "accuracy"), ("roc_auc", "ROC AUC"), ("loss", "loss")):
        key = f"{measure}_difference"
        low, high = difference[f"{key}_low"], difference[f"{key}_high"]
        interval = f"{difference[key]:+.4f} ({low:+.4f} to {high:+.4f})"
        rows.append([name, f"{found['recipe'][measure]:.4f}", f"{found['ours'][measure]:.4f}", interval])
    draws, precision = found["bank"]["draws"], found["bank"]["precision"]
    return [
        f"Accuracy of {found['n']} subjects out of fold after {found['epochs']} epochs of each fold, the steps of the "
        f"learning rate pressed into them. The recipe draws its augmentation anew every epoch; ours reuses {draws} "
        f"draws ({precision}). The interval is a paired one, from a bootstrap of the subjects, and conditional on "
        "the fitted models.",
        markdown_table(rows),
    ]


def _ratio_goal(race: Result, features: Result | None, draws: int, precision: str | None) -> Goal:
    chosen = precision or race["auto_precision"]
    wanted = RATIO_GOALS[draws, precision]
    row = next(row for row in race["rows"] if row["draws"] == draws and row["precision"] == chosen)
    return Goal(
        name=f"the recipe's time over ours, {draws} draws, {chosen}",
        wanted=f"{wanted:.0f}",
        found=f"{row['ratio']:.1f}",
        met=row["ratio"] >= wanted,
        limit=_ratio_limit(race, row, features),
    )


def _ratio_limit(race: Result, row: Result, features: Result | None) -> str:
    """Where the time goes, how far the network is from the machine's peak, and what the other precision does."""
    images = (row["draws"] + 1) * race["n_subjects"]
    speed = {name: 1 / times["image"]["median"] for name, times in race["samples"]["features"].items()}
    text = (
        f"the bank's {images:,} images take {_percent(row['bank_seconds'] / row['our_seconds'])} of our time, at "
        f"{speed[row['precision']]:.0f} images/s"
    )
    if row["precision"] == "bfloat16":
        text += f" ({speed['float32']:.0f} in float32)"
    if features is None:
        return text + "."
    of_precision = features["speed"][row["precision"]]
    at_peak = images * of_precision["gflop_per_image"] / of_precision["matrix_gflop_per_second"] + row["stack_seconds"]
    text += (
        f". A large matrix product reaches {of_precision['matrix_gflop_per_second']:.0f} GFLOP/s in "
        f"{row['precision']}; with the network at that speed the figure would be {row['recipe_seconds'] / at_peak:.1f}"
    )
    if row["precision"] == "bfloat16":
        text += f" (float32: {features['speed']['float32']['matrix_gflop_per_second']:.0f} GFLOP/s)"
    return text + "."


def _accuracy_goal(found: Result) -> Goal:
    difference = found["ours_minus_recipe"]
    low, high = difference["accuracy_difference_low"], difference["accuracy_difference_high"]
    return Goal(
        name=f"accuracy after {found['epochs']} epochs, ours minus the recipe's",
        wanted=f"not inferior: lower bound above -{ACCURACY_MARGIN:g} (our margin)",
        found=f"{difference['accuracy_difference']:+.4f} ({low:+.4f} to {high:+.4f})",
        met=low > -ACCURACY_MARGIN,
        limit=f"the interval reaches down to {low:+.4f}; with {found['n']} subjects it is {high - low:.4f} wide.",
    )


def _predict_goal(precision: str, row: Result) -> Goal:
    bank, predict = row["bank_images_per_second"], row["predict_images_per_second"]
    return Goal(
        name=f"bank's throughput against predict, {precision}",
        wanted=f"at least {_percent(PREDICT_GOAL)}",
        found=_percent(bank / predict),
        met=bank >= PREDICT_GOAL * predict,
        limit=f"an image takes {1000 / bank:.1f} ms in the bank and {1000 / predict:.1f} ms in predict.",
    )


def _stack_goal(heads: Result) -> Goal:
    epoch = heads["stack_epoch"]["median"]
    return Goal(
        name=f"{heads['n_heads']} heads, {heads['n_epochs']} epochs, as a stack",
        wanted=f"under {STACK_GOAL_SECONDS:.0f} s",
        found=f"{heads['stack_seconds']:.0f} s",
        met=heads["stack_seconds"] < STACK_GOAL_SECONDS,
        limit=f"an epoch takes {epoch:.3f} s, {heads['n_epochs'] * epoch:.0f} s in all, the rest is compilation.",
    )


def _record_goal(tracking: Result) -> Goal:
    largest = max(tracking["parts"], key=tracking["parts"].get)
    return Goal(
        name="record of stage cv in MLflow",
        wanted=f"at most {RECORD_GOAL_SECONDS:.0f} s",
        found=f"{tracking['record_seconds']:.1f} s",
        met=tracking["record_seconds"] <= RECORD_GOAL_SECONDS,
        limit=f"most of it is {largest}: {tracking['parts'][largest]:.1f} s.",
    )


def _cells(summary: Result, digits: int) -> list[str]:
    return [
        f"{summary['median']:.{digits}f}",
        f"{summary['low']:.{digits}f} to {summary['high']:.{digits}f}",
        str(summary["n"]),
    ]


def _percent(share: float, digits: int = 0) -> str:
    return f"{100 * share:.{digits}f} %"
