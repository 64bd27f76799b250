"""The model card of one version: what it is, for what, how good on whom, and where it comes from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from datspect.cohort.kind import CohortKind
from datspect.evaluation.intervals import wilson_interval, with_bounds
from datspect.reporting.groups import AGE_BANDS, UNKNOWN, people_table
from datspect.reporting.markdown import escape, markdown_table
from datspect.reporting.page import html_page
from datspect.reporting.tables import with_interval

FIGURE = "calibration.png"
LEAST_SHOWN = 5
"""Subjects of a group whose figures are shown; of fewer one could tell who was wrong."""

_MEASURES = {
    "accuracy": "accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "precision": "precision",
    "roc_auc": "ROC AUC",
    "pr_auc": "PR AUC",
    "loss": "loss",
    "brier": "Brier score",
    "calibration_error": "calibration error",
}
_DIGEST_CHARACTERS = 16


@dataclass(frozen=True, eq=False)
class CardInputs:
    """What a card is made of.

    metrics : of stage `predictor`, run : run.json of stage `final`; parts : predictor.json
    subjects : of the cohort, columns subject_id, label, sex, age, site; splits : scan_id, subject_id, role
    predictions : of the test set, calibrated, columns scan_id, label, prediction, inconclusive
    outputs : path to hash in dvc.lock; looks : at the test set for a promotion, so far
    """

    digest: str
    run: Mapping[str, Any]
    parts: Mapping[str, Any]
    metrics: Mapping[str, Any]
    subjects: pd.DataFrame
    splits: pd.DataFrame
    predictions: pd.DataFrame
    outputs: Mapping[str, str]
    looks: int

    @property
    def kind(self) -> CohortKind:
        """Whether the cohort is simulated."""
        return CohortKind.of(self.metrics["cohort_kind"])


class _Markup(str):
    """Text that is Markdown already."""

    __slots__ = ()


def card_markdown(inputs: CardInputs) -> str:
    """The card; its one picture is the link `FIGURE`. It names no subject and shows no single one."""
    environment = Environment(
        loader=PackageLoader("datspect.reporting"),
        autoescape=False,  # noqa: S701  (Markdown, not HTML: `finalize` escapes)
        finalize=lambda value: value if isinstance(value, _Markup) else escape(str(value)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("card.md.j2").render(
        title=card_title(inputs),
        is_phantom=inputs.kind is CohortKind.PHANTOM,
        n_train=inputs.parts["n_train"],
        n_test=inputs.metrics["holdout"]["n"],
        slices=", ".join(map(str, inputs.parts["preprocess"]["slices"])),
        half_width=f"{inputs.parts['band']['half_width']:.3f}",
        has_heads=bool(inputs.parts.get("n_heads", 1)),
        min_agreement=f"{inputs.parts['prediction']['min_agreement']:.0%}",
        coverage=with_interval(inputs.metrics["training_role"], "coverage"),
        conclusive=with_interval(inputs.metrics["training_role"], "conclusive_accuracy") or "not known",
        holdout_coverage=with_interval(inputs.metrics["holdout_decisions"], "coverage"),
        holdout_conclusive=with_interval(inputs.metrics["holdout_decisions"], "conclusive_accuracy") or "not known",
        least_shown=LEAST_SHOWN,
        looks=inputs.looks,
        tables={name: _Markup(table) for name, table in _tables(inputs).items()},
        figure=_Markup(FIGURE),
    )


def card_page(inputs: CardInputs, calibration_png: bytes) -> str:
    """The card as one HTML page that needs nothing beside it."""
    banner = inputs.kind.banner
    return html_page(card_markdown(inputs), {FIGURE: calibration_png}, card_title(inputs), banner)


def card_title(inputs: CardInputs) -> str:
    """What the card is of; a phantom is called one."""
    return f"Model card: DaTscan SPECT, Parkinson's disease against control ({inputs.kind.caption})"


def _tables(inputs: CardInputs) -> dict[str, str]:
    train = set(inputs.splits.loc[inputs.splits["role"] == "train", "scan_id"])
    return {
        "training": people_table(inputs.subjects[inputs.subjects["scan_id"].isin(train)]),
        "holdout": people_table(inputs.subjects[~inputs.subjects["scan_id"].isin(train)]),
        "measures": markdown_table(
            [
                ["test set", "value (95 % interval)"],
                *([title, with_interval(inputs.metrics["holdout"], name)] for name, title in _MEASURES.items()),
            ]
        ),
        "groups": groups_table(inputs.subjects, inputs.predictions),
        "provenance": _provenance(inputs),
        "outputs": markdown_table([["output", "hash in dvc.lock"], *map(list, sorted(inputs.outputs.items()))], 2),
    }


def groups_table(subjects: pd.DataFrame, predictions: pd.DataFrame) -> str:
    """Accuracy, sensitivity and specificity on the test set by sex, age band and site, with Wilson's intervals."""
    columns = ["scan_id", "label", "prediction"]
    table = predictions[columns].merge(subjects[["scan_id", "sex", "age", "site"]], on="scan_id", validate="one_to_one")
    rows = [["group", "control", "PD", "accuracy", "sensitivity", "specificity"]]
    rows += [[name, *_cells(group)] for name, group in _groups(table)]
    return markdown_table(rows)


def _groups(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    yield "all", table
    for sex, group in table.groupby(table["sex"].replace("", UNKNOWN)):
        yield f"sex: {sex}", group
    for name, (low, high) in AGE_BANDS.items():
        yield f"age: {name}", table[(table["age"] >= low) & (table["age"] < high)]
    if table["age"].isna().any():
        yield f"age: {UNKNOWN}", table[table["age"].isna()]
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
    right, is_pd = group["prediction"] == group["label"], group["label"] == "pd"
    counts = [str(int((~is_pd).sum())), str(int(is_pd.sum()))]
    return [*counts, *(_proportion(right[inside]) for inside in (np.full(len(group), True), is_pd, ~is_pd))]


def _proportion(right: "pd.Series[bool]") -> str:
    n, n_right = len(right), int(right.sum())
    if n < LEAST_SHOWN:
        return ""
    return with_interval(with_bounds("p", n_right / n, wilson_interval(n_right, n)), "p")


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
            [name, str(run[key])[:_DIGEST_CHARACTERS]]
            for name, key in (("code", "code_sha256"), ("parameters", "params_sha256"), ("data read", "data_sha256"))
        ),
        ["trained", _trained(run)],
        ["weights that training began with", str(run["features"]["backbone_source"])],
        ["digest of these weights", str(run["features"]["backbone_tensor_digest"])[:_DIGEST_CHARACTERS]],
        ["parameters from", str(run["tags"].get("datspect.parameters_from", "params.yaml"))],
        ["training began", str(run["started"])],
        ["MLflow run", str(run["mlflow"]["run_id"])],
        ["packages", ", ".join(f"{name} {release}" for name, release in sorted(run["releases"].items()))],
    ]
    return markdown_table([[str(cell) for cell in row] for row in rows], 2)


def _trained(run: Mapping[str, Any]) -> str:
    trainable = run["tags"].get("datspect.trainable", "none")
    if trainable == "none":
        return "the head alone, on features of the network"
    layers = "all layers of the network" if trainable == "all" else f"the network from layer {trainable}"
    return f"the head and {layers}, in {run['tags']['datspect.precision']}"
