"""Tables of what an answer of the final model is worth, and of what the leakage and chance checks found."""

from collections.abc import Mapping

from datspect.reporting.inputs import JsonObject
from datspect.reporting.markdown import markdown_table
from datspect.reporting.paper_tables import with_interval


def answers_table(final: JsonObject, predictor: JsonObject) -> str:
    """Return how many answers are conclusive and right: out of fold, and on the holdout, which is new to all of it."""
    role, holdout = predictor["training_role"], predictor["holdout_decisions"]
    rows = [["", "training role, out of fold (95 % interval)", "holdout (95 % interval)"]]
    for name, title in (
        ("coverage", "share of conclusive answers"),
        ("conclusive_accuracy", "accuracy of these"),
        ("accuracy", "accuracy of all"),
        ("errors_found", "share of the wrong answers that are called inconclusive"),
    ):
        rows.append([title, with_interval(role, name), with_interval(holdout, name)])
    rows.append(["share withheld", "", with_interval(predictor["holdout_withheld"], "share")])
    rows.append(["loss as the network gives it", "", with_interval(final["holdout"], "loss")])
    rows.append(["loss once calibrated", "", with_interval(predictor["holdout"], "loss")])
    return markdown_table(rows)


def evidence_table(predictor: JsonObject) -> str:
    """Return which share of the wrong answers each rule finds, out of fold, and which rule is applied."""
    shares = (5, 10)
    rows = [["a rule that looks at", *(f"wrong answers found with {share} % set aside (95 %)" for share in shares)]]
    for row in predictor["evidence"]:
        applied = " (applied)" if row["is_applied"] else ""
        found = [with_interval(row, f"errors_found_at_{share}") for share in shares]
        rows.append([" and ".join(row["looks_at"]) + applied, *found])
    return markdown_table(rows)


def other_groups_table(other_groups: JsonObject) -> str:
    """Return what is said of each group that is neither PD nor control, and below of the test set's two."""
    titles = {
        "called_pd": "called PD",
        "called_control": "called control",
        "called_inconclusive": "inconclusive",
        "withheld": "withheld",
        "unlike": "unlike training",
    }
    head = ["group", "n", *titles.values(), "median P(PD)", "caudate", "putamen"]
    rows = [*other_groups["groups"], *(row | {"label": f"{row['label']}, holdout"} for row in other_groups["holdout"])]
    body = [
        [
            *(row["label"].replace("_", " "), f"{row['n']}"),
            *(_share(row, name) for name in titles),
            *(f"{row['probability']:.3f}", f"{row['sbr_caudate']:.2f}", f"{row['sbr_putamen']:.2f}"),
        ]
        for row in rows
    ]
    return markdown_table([head, *body])


def _share(row: JsonObject, name: str) -> str:
    low, share, high = (row[f"{name}{end}"] for end in ("_low", "", "_high"))
    return f"{share:.2f} ({low:.2f} to {high:.2f})"


def checks_table(checks: Mapping[str, JsonObject]) -> str:
    """Return name, finding and outcome of every check, those that did not pass first."""
    rows = [["check", "passed", "finding"]]
    for name, check in sorted(checks.items(), key=lambda item: (item[1]["passed"], item[0])):
        rows.append([name.replace("_", " "), "yes" if check["passed"] else "NO", check["finding"]])
    return markdown_table(rows, n_text_columns=3)
