"""Measure what altered scans do to a model on all subjects of the paper's folds, each judged out of fold.

    python benchmarks/robustness.py [--project .] [--cohort data/phantom/cohort] [--every-strength]
                                    [--ranges] [--into docs/robustness.md]

The stage `robustness` looks at the test set, which is too small to see a loss of one per cent. Here the networks of
the ten folds answer the scans that they have not seen. Run it in the project of either model, after `dvc repro`;
`--project` names another one. On two cores it took 36 minutes with the paper's model and 7 with the striatum's.
`--ranges` trains networks on the training role with other ranges of augmentation instead, in the striatum's project;
ten minutes on two cores.
"""

import argparse
from pathlib import Path

import pandas as pd
from scipy.special import expit

from datspect.evaluation.comparison import Predictions
from datspect.evaluation.metrics import predicted_labels
from datspect.evaluation.robustness import (
    MOST_ACCURACY,
    MOST_LOSS,
    UNALTERED,
    brief_measures,
    differences,
    is_as_good,
)
from datspect.imaging.alterations import ALTERATIONS, Row, rows
from datspect.reporting.markdown import markdown_table
from measuring import Goal, goals_part, measured_by, page_parser, publish, put
from robustness_parts.out_of_fold import Project, altered_out_of_fold
from robustness_parts.ranges import RANGES, ranges_part

ASKED = (
    *("blur_8", "noise_10", "up_4", "aside_6", "nod_10", "turn_10", "tilt_6"),
    *("larger_6", "smaller_6", "narrower_6", "gain_4", "sides"),
)
"""Rows that a robust model must stand; what the others cost is shown."""
QUICK = 3


def main() -> None:
    """Alter, answer, and print the table."""
    arguments = _parser().parse_args()
    panel = [row for row in rows(ALTERATIONS) if arguments.every_strength or row.is_largest]
    project = Project(arguments.project, arguments.cohort)
    if arguments.ranges:
        names = [*RANGES][:1] if arguments.quick else [*RANGES]
        print(ranges_part(project, panel, arguments.seed, arguments.workers, names))
        return
    most = QUICK if arguments.quick else len(project.subjects())
    answers = altered_out_of_fold(project, panel, arguments.seed, arguments.workers, most)
    model = project.predictor.parts.model
    measures = {name: _measures(group, answers) for name, group in answers.groupby("row", sort=False)}
    before = answers[answers["row"] == UNALTERED]
    off = (before.set_index("scan_id")["network"] - project.subjects().set_index("scan_id")["logit"]).abs().max()
    text = (
        f"Model `{model}`, {len(before)} PHANTOMS, each judged by the network that has not seen it; probabilities as "
        f"the network gives them. Log odds of the unaltered scans are those of stage cv within {off:.3f}."
    )
    parts = [text, _table(panel, measures), goals_part(_goals(measures))]
    page, arguments.into = arguments.into, None
    publish(arguments, parts, {"model": model, **measures})
    if page is not None:
        put(page, f"robustness-{model}", "\n\n".join([measured_by(), *parts]))


def _measures(group: pd.DataFrame, answers: pd.DataFrame) -> dict[str, dict[str, float]]:
    before = answers[answers["row"] == UNALTERED].set_index("scan_id").loc[group["scan_id"]]
    labels = group["target"].to_numpy()
    network = brief_measures(labels, _said(group["network"]))
    network |= differences(labels, _said(group["network"]), _said(before["network"]))
    return {"network": network, "regression": brief_measures(labels, _said(group["regression"]))}


def _said(log_odds: "pd.Series[float]") -> Predictions:
    probabilities = expit(log_odds.to_numpy())
    return Predictions(predicted_labels(probabilities), probabilities, probabilities)


def _table(panel: list[Row], measures: dict[str, dict[str, dict[str, float]]]) -> str:
    words = {UNALTERED: "unaltered", **{row.name: row.text for row in panel}}
    lines = [["scans", "accuracy", "ROC AUC", "log loss", "accuracy, against unaltered", "log loss, against unaltered",
              "ratios: accuracy", "ratios: log loss"]]  # fmt: skip
    for name, text in words.items():
        network, ratios = measures[name]["network"], measures[name]["regression"]
        lines.append(
            [
                text,
                *(f"{network[key]:.3f}" for key in ("accuracy", "roc_auc", "loss")),
                *(_difference(network, key) for key in ("accuracy_difference", "loss_difference")),
                *(f"{ratios[key]:.3f}" for key in ("accuracy", "loss")),
            ]
        )
    return markdown_table(lines)


def _difference(measures: dict[str, float], name: str) -> str:
    return f"{measures[name]:+.3f} ({measures[f'{name}_low']:+.3f} to {measures[f'{name}_high']:+.3f})"


def _goals(measures: dict[str, dict[str, dict[str, float]]]) -> list[Goal]:
    """Return the goal of each row that a robust model must stand."""
    found = []
    for name in ASKED:
        network = measures[name]["network"]
        text = f"{network['accuracy_difference']:+.3f}, {network['loss_difference']:+.3f}"
        wanted = f"accuracy at most {MOST_ACCURACY} lower, log loss at most {MOST_LOSS} higher"
        found.append(Goal(name, wanted, text, is_as_good(network), "the text below says what limits it."))
    return found


def _parser() -> argparse.ArgumentParser:
    parser = page_parser(__doc__)
    parser.add_argument("--project", type=Path, default=Path(), help="root of the project whose graph was run")
    parser.add_argument("--cohort", type=Path, default=Path("data/phantom/cohort"), help="its cohort")
    parser.add_argument("--every-strength", action="store_true", help="all three strengths, not the largest alone")
    parser.add_argument("--ranges", action="store_true", help="try ranges of augmentation on the training role")
    parser.add_argument("--seed", type=int, default=2020, help="of what is drawn; not the stage's")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    return parser


if __name__ == "__main__":
    main()
