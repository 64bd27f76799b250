"""What an answer of the final model is worth: how many are conclusive, and how often those are right."""

from datspect.reporting.inputs import Record
from datspect.reporting.markdown import markdown_table
from datspect.reporting.tables import with_interval


def answers_table(final: Record, predictor: Record) -> str:
    """Training role (out of fold) beside the holdout, which took no part in fitting any of it."""
    role, holdout = predictor["training_role"], predictor["holdout_decisions"]
    rows = [["", "training role, out of fold (95 % interval)", "holdout (95 % interval)"]]
    for name, title in (
        ("coverage", "share of conclusive answers"),
        ("conclusive_accuracy", "accuracy of these"),
        ("accuracy", "accuracy of all"),
    ):
        rows.append([title, with_interval(role, name), with_interval(holdout, name)])
    rows.append(["loss as the network gives it", "", with_interval(final["holdout"], "loss")])
    rows.append(["loss once calibrated", "", with_interval(predictor["holdout"], "loss")])
    return markdown_table(rows)
