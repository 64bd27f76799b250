import numpy as np
import pytest
from tests.reporting.results import made_up_panel

from datspect.reporting.robustness import (
    largest_table,
    mixed_table,
    needless_summary,
    panel_summary,
    panel_table,
    ratios_table,
)


@pytest.fixture
def panel():
    return made_up_panel(np.random.default_rng(1))


def cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_the_table_has_every_row_and_each_measure_in_its_column(panel):
    head, _, *body = cells(panel_table(panel))
    assert [line[0] for line in body] == ["unaltered", "blur, 4 mm", "blur, 8 mm"]
    network = panel["rows"][1]["network"]
    line = dict(zip(head, body[1], strict=True))
    assert line["sens. / spec."] == f"{network['sensitivity']:.3f} / {network['specificity']:.3f}"
    assert line["log loss"] == f"{network['loss']:.3f} ({network['loss_low']:.3f} to {network['loss_high']:.3f})"
    assert "refused" not in head


def test_binding_ratios_stand_beside_the_largest_strengths(panel):
    head, _, *body = cells(ratios_table(panel))
    assert [line[0] for line in body] == ["unaltered", "blur, 8 mm"]
    assert body[1][1].startswith(f"{panel['rows'][2]['regression']['accuracy']:.3f} (")
    assert body[1][head.index("threshold: accuracy")].startswith(f"{panel['rows'][2]['threshold']['accuracy']:.3f} (")


def test_refused_scans_get_a_column_if_there_are_any(panel):
    panel["rows"][2]["refused"] = 0.25
    head, _, *body = cells(panel_table(panel))
    assert body[2][head.index("refused")] == "0.250"


def test_the_card_shows_each_alteration_at_its_largest(panel):
    _, _, *body = cells(largest_table(panel))
    assert [line[0] for line in body] == ["unaltered", "blur, 8 mm"]


def test_a_measure_that_is_not_known_is_an_empty_cell(panel):
    panel["rows"][1]["network"] = {"n": 0}
    _, _, *body = cells(panel_table(panel))
    assert body[1][1] == ""


def test_the_experiment_of_two_resolutions_has_three_kinds_of_scans(panel):
    _, _, *body = cells(mixed_table(panel))
    assert [line[0] for line in body] == ["as they are", "all smoothed by 18 mm FWHM", "half of them smoothed"]
    assert body[2][1].startswith(f"{panel['mixed_resolution']['mixed']['threshold']['accuracy']:.3f}")


def test_the_summary_names_the_worst_row(panel):
    for row, accuracy in zip(panel["rows"], (0.9, 0.5, 0.8), strict=True):
        row["network"]["accuracy"] = accuracy
    assert panel_summary(panel).endswith("in the worst row 0.500 (blurred by 4 mm).")


def test_the_share_withheld_needlessly_is_told_for_all_strengths_and_for_the_largest(panel):
    assert "6.1 % are withheld (rows: 2), at the largest strengths 15.2 % (rows: 1)." in needless_summary(panel)
    panel["as_good"] = {"all": {"n_rows": 0}, "largest": {"n_rows": 0}}
    assert needless_summary(panel).endswith("There is no such row.")
