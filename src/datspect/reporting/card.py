"""Write the model card of one version: what it is, for what, how good on whom, and where it comes from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from datspect.cohort.kind import CohortKind
from datspect.cohort.scope import Scope
from datspect.evaluation.doubt import is_informative, promise
from datspect.reporting.groups import (
    GROUP_COLUMNS,
    UNKNOWN,
    by_age,
    by_sex,
    group_cells,
    people_table,
    with_predictions,
)
from datspect.reporting.markdown import markdown_table
from datspect.reporting.page import html_page
from datspect.reporting.paper_tables import ALL_MEASURES, with_interval
from datspect.reporting.provenance import packages, short
from datspect.reporting.rendering import Markdown, render
from datspect.reporting.robustness import FIGURE as PANEL_FIGURE
from datspect.reporting.robustness import largest_table, panel_summary

FIGURE = "calibration.png"
LEAST_SHOWN = 5
"""A group of fewer subjects shows no figures: they could tell who was wrong."""


@dataclass(frozen=True, eq=False)
class CardInputs:
    """What a card is made of.

    metrics : of stage `predictor`, robustness : of the stage of this name; run : run.json of stage `final`
    parts : predictor.json
    subjects : of the cohort, columns subject_id, label, sex, age, site; splits : scan_id, subject_id, role
    predictions : of the test set, calibrated, columns scan_id, label, prediction, inconclusive
    outputs : path to hash in dvc.lock; looks : at the test set so far, this card included
    """

    digest: str
    run: Mapping[str, Any]
    parts: Mapping[str, Any]
    metrics: Mapping[str, Any]
    robustness: Mapping[str, Any]
    subjects: pd.DataFrame
    splits: pd.DataFrame
    predictions: pd.DataFrame
    outputs: Mapping[str, str]
    looks: int

    @property
    def scope(self) -> Scope:
        """What the figures of the card are of."""
        return Scope.of(self.metrics)

    @property
    def n_members(self) -> int:
        """How many small networks the model averages; 0 if it is the paper's."""
        return int(self.run["params"]["striatum"]["members"]) if self.parts.get("model") == "striatum" else 0


def card_markdown(inputs: CardInputs) -> str:
    """Return the card; its pictures are `FIGURE` and `PANEL_FIGURE`. It names no subject and shows no single one."""
    return render(
        "card.md.j2",
        title=card_title(inputs),
        is_phantom=inputs.scope.kind is CohortKind.PHANTOM,
        n_members=inputs.n_members,
        n_train=inputs.parts["n_train"],
        prevalence=f"{inputs.parts['n_pd'] / inputs.parts['n_train']:.0%}",
        n_test=inputs.metrics["holdout"]["n"],
        slices=", ".join(map(str, inputs.parts["preprocess"]["slices"])),
        limit=f"{inputs.parts['doubt']['limit']:.1%}".replace("%", " %"),
        promise=promise(inputs.metrics["training_role"]),
        found=with_interval(inputs.metrics["training_role"], "errors_found") or "none, as no answer was wrong,",
        is_informative=is_informative(inputs.metrics["training_role"]),
        holdout_found=with_interval(inputs.metrics["holdout_decisions"], "errors_found")
        or "none, as no answer was wrong,",
        coverage=with_interval(inputs.metrics["training_role"], "coverage"),
        conclusive=with_interval(inputs.metrics["training_role"], "conclusive_accuracy") or "not known",
        holdout_coverage=with_interval(inputs.metrics["holdout_decisions"], "coverage"),
        holdout_conclusive=with_interval(inputs.metrics["holdout_decisions"], "conclusive_accuracy") or "not known",
        withheld_at_most=f"{100 * inputs.parts['withholding']['at_most']:.2g} %",
        holdout_withheld=with_interval(inputs.metrics["holdout_withheld"], "share"),
        least_shown=LEAST_SHOWN,
        looks=inputs.looks,
        tables={name: Markdown(table) for name, table in _tables(inputs).items()},
        figure=Markdown(FIGURE),
        panel_summary=panel_summary(inputs.robustness),
        panel_figure=Markdown(PANEL_FIGURE),
    )


def card_page(inputs: CardInputs, calibration_png: bytes, panel_png: bytes) -> str:
    """Return the card as one HTML page that needs nothing beside it."""
    pictures = {FIGURE: calibration_png, PANEL_FIGURE: panel_png}
    return html_page(card_markdown(inputs), pictures, card_title(inputs), inputs.scope.banner)


def card_title(inputs: CardInputs) -> str:
    """Return the title of the card; it calls a phantom one, and names a recipe that is not the paper's."""
    return f"Model card: DaTscan SPECT, Parkinson's disease against control ({inputs.scope.caption})"


def _tables(inputs: CardInputs) -> dict[str, str]:
    train = set(inputs.splits.loc[inputs.splits["role"] == "train", "scan_id"])
    return {
        "training": people_table(inputs.subjects[inputs.subjects["scan_id"].isin(train)]),
        "holdout": people_table(inputs.subjects[~inputs.subjects["scan_id"].isin(train)]),
        "measures": markdown_table(
            [
                ["test set", "value (95 % interval)"],
                *([title, with_interval(inputs.metrics["holdout"], name)] for name, title in ALL_MEASURES.items()),
            ]
        ),
        "groups": groups_table(inputs.subjects, inputs.predictions),
        "panel": largest_table(inputs.robustness),
        "provenance": _provenance(inputs),
        "outputs": markdown_table([["output", "hash in dvc.lock"], *map(list, sorted(inputs.outputs.items()))], 2),
    }


def groups_table(subjects: pd.DataFrame, predictions: pd.DataFrame) -> str:
    """Return accuracy, sensitivity and specificity on the test set by sex, age band and site."""
    groups = _groups(with_predictions(subjects, predictions))
    return markdown_table([GROUP_COLUMNS, *([name, *_cells(group)] for name, group in groups)])


def _groups(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    yield "all", table
    yield from ((name, table[inside]) for name, inside in (*by_sex(table), *by_age(table)))
    sites = table["site"].replace("", UNKNOWN)
    sizes = sites.value_counts()
    for site in sorted(sizes.index[sizes >= LEAST_SHOWN]):
        yield f"site: {site}", table[sites == site]
    small = sizes.index[sizes < LEAST_SHOWN]
    if len(small):
        yield f"{len(small)} sites of fewer than {LEAST_SHOWN}", table[sites.isin(small)]


def _cells(group: pd.DataFrame) -> list[str]:
    if len(group) < LEAST_SHOWN:
        return [f"fewer than {LEAST_SHOWN}" if len(group) else "0", "", "", "", ""]
    return group_cells(group, LEAST_SHOWN)


def _provenance(inputs: CardInputs) -> str:
    run = inputs.run
    changed = run["git"].get("changed") or (["unknown"] if run["git"]["dirty"] else [])
    rows = [
        ["item", "value"],
        ["model digest", inputs.digest],
        ["result", run["result_id"]],
        ["commit at training", run["git"]["commit"] or "none"],
        ["files changed and not committed then", ", ".join(changed) or "none"],
        ["cohort", f"{run['cohort']['kind']}, {run['cohort']['n']} scans"],
        *(
            [name, short(run[key])]
            for name, key in (("code", "code_sha256"), ("parameters", "params_sha256"), ("data read", "data_sha256"))
        ),
        *(_ensemble(inputs) if inputs.n_members else _network(run)),
        ["parameters from", str(run["tags"].get("datspect.parameters_from", "params.yaml"))],
        ["training began", str(run["started"])],
        ["MLflow run", str(run["mlflow"]["run_id"])],
        ["packages", packages(run)],
    ]
    return markdown_table([[str(cell) for cell in row] for row in rows], 2)


def _network(run: Mapping[str, Any]) -> list[list[str]]:
    return [
        ["trained", _trained(run)],
        ["weights that training began with", str(run["features"]["backbone_source"])],
        ["digest of these weights", short(run["features"]["backbone_tensor_digest"])],
    ]


def _ensemble(inputs: CardInputs) -> list[list[str]]:
    precision = inputs.run["features"]["precision"]
    return [
        ["recipe", str(inputs.run["tags"].get("datspect.recipe", "unknown"))],
        ["trained", f"{inputs.n_members} small networks, all layers, by AdamW in {precision}"],
        ["weights that training began with", "random numbers, by the seeds"],
    ]


def _trained(run: Mapping[str, Any]) -> str:
    trainable = run["tags"].get("datspect.trainable", "none")
    if trainable == "none":
        return "the head alone, on features of the network"
    layers = "all layers of the network" if trainable == "all" else f"the network from layer {trainable}"
    return f"the head and {layers}, in {run['tags']['datspect.precision']}"
