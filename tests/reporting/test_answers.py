"""The table of answers shows what they are worth."""

import numpy as np

from datspect.reporting.answers import answers_table, evidence_table, other_groups_table

from .results import random_metrics

ENDS = (("", 0.0), ("_low", 0.01), ("_high", 0.02))


def test_each_figure_stands_in_its_own_column() -> None:
    rng = np.random.default_rng(5)
    names = ("coverage", "accuracy", "conclusive_accuracy", "errors_found")
    role, holdout = random_metrics(rng, names), random_metrics(rng, names)
    final, calibrated = random_metrics(rng, ("loss",)), random_metrics(rng, ("loss",))
    predictor = {"training_role": role, "holdout_decisions": holdout, "holdout": calibrated}
    predictor["holdout_withheld"] = {"share": 0.0125, "share_low": 0.01, "share_high": 0.02}
    table = answers_table({"holdout": final}, predictor)
    rows = {
        cells[1].strip(): [cell.strip() for cell in cells[2:4]] for cells in (r.split("|") for r in table.split("\n"))
    }
    for title, name in (
        ("share of conclusive answers", "coverage"),
        ("accuracy of these", "conclusive_accuracy"),
        ("accuracy of all", "accuracy"),
        ("share of the wrong answers that are called inconclusive", "errors_found"),
    ):
        assert [cell[:6] for cell in rows[title]] == [f"{role[name]:.4f}", f"{holdout[name]:.4f}"]
    assert rows["share withheld"] == ["", "0.0125 (0.0100 to 0.0200)"]
    assert rows["loss as the network gives it"][1].startswith(f"{final['loss']:.4f}")
    assert rows["loss once calibrated"][1].startswith(f"{calibrated['loss']:.4f}")


def test_the_rule_applied_is_marked_and_every_rule_has_its_figures() -> None:
    found = {"errors_found_at_5": 0.25, "errors_found_at_5_low": 0.1, "errors_found_at_5_high": 0.5}
    rows = [
        {"looks_at": ["margin"], "is_applied": False},
        {"looks_at": ["margin", "support"], "is_applied": True, **found},
    ]
    lines = evidence_table({"evidence": rows}).split("\n")
    assert "margin and support (applied)" in lines[-1]
    assert "0.2500 (0.1000 to 0.5000)" in lines[-1]
    assert "applied" not in lines[-2]


def test_other_groups_stand_above_the_test_sets_two_with_all_their_shares() -> None:
    names = ("called_pd", "called_control", "called_inconclusive", "withheld", "unlike")
    shares = {f"{name}{end}": 0.1 * k + add for k, name in enumerate(names) for end, add in ENDS}
    row = {"label": "gencohort_pd", "n": 12, **shares, "probability": 0.123, "sbr_caudate": 1.04, "sbr_putamen": 0.51}
    table = other_groups_table({"groups": [row], "holdout": [row | {"label": "control", "n": 40}]})
    *_, group, control = ([cell.strip() for cell in line.split("|")[1:-1]] for line in table.split("\n"))
    assert group[:2] == ["gencohort pd", "12"]
    assert group[2:7] == [f"0.{k}0 (0.{k}1 to 0.{k}2)" for k in range(5)]
    assert group[7:] == ["0.123", "1.04", "0.51"]
    assert control[:2] == ["control, holdout", "40"]
