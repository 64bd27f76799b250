"""A comparison reads the same in a terminal and as Markdown, and names a phantom as one."""

from datspect.cohort.kind import CohortKind
from datspect.reporting.comparison import ComparedSet, Comparison, as_markdown, as_text

MEASURES = {"accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 0.95, "loss": 0.3}
DIFFERENCES = {
    "accuracy_difference": -0.01, "accuracy_difference_low": -0.02, "accuracy_difference_high": 0.005,
    "n_only_a_right": 1, "n_only_b_right": 3, "mcnemar_p": 0.625, "delong_p": 0.00001,
}  # fmt: skip


def comparison(**changes: object) -> Comparison:
    compared = ComparedSet("holdout", "holdout", (10, 12), (MEASURES, MEASURES), 9, DIFFERENCES, notes=("a note",))
    facts: dict[str, object] = {
        "kind": CohortKind.PHANTOM,
        "titles": ("DVC experiment a_b, commit 1", "the results on disk"),
        "differing": {"training.learning_rate.initial": ("0.1", "0.2")},
        "n_shared": 5,
        "only": (["features.*"], []),
        "also_differing": ["code"],
        "sets": (compared,),
        "remarks": ("a remark",),
    }
    return Comparison(**(facts | changes))  # type: ignore[arg-type]


def test_a_terminal_sees_parameters_measures_and_differences_side_by_side() -> None:
    text = as_text(comparison())
    assert text.startswith("PHANTOM cohort: simulated scans, not patients\n")
    assert "  training.learning_rate.initial  0.1  0.2\n" in text
    assert "The other 4 that both name are the same.\n" in text
    assert "Named by A only: features.*." in text
    assert "Named by B only" not in text
    assert "These differ too: code." in text
    lines = [line.split("  ") for line in text.splitlines() if line.startswith("  accuracy")]
    assert [cell.strip() for cell in lines[0] if cell] == [
        "accuracy", "0.9000 (0.8000 to 0.9500)", "0.9000 (0.8000 to 0.9500)", "-0.0100 (-0.0200 to +0.0050)",
    ]  # fmt: skip
    assert "Only A right: 1, only B right: 3, McNemar's p = 0.6250; ROC AUC, DeLong's p = < 0.0001." in text
    assert "Left out of the pairs: 1 whom only A judged, 3 whom only B judged." in text
    assert text.endswith("a note\n\na remark")
    assert max(map(len, text.splitlines())) <= 120


def test_markdown_takes_text_literally_and_shows_the_picture_if_there_is_one() -> None:
    page = as_markdown(comparison(), "comparison.png")
    assert page.startswith("# A compared with B\n\nPHANTOM cohort")
    assert "| A   | DVC experiment a\\_b, commit 1" in page
    assert page.endswith("![differences and ROC curves](comparison.png)\n")
    assert "![" not in as_markdown(comparison(), None)


def test_a_refusal_stands_in_the_place_of_differences() -> None:
    refused = ComparedSet("holdout", "holdout", (10, 12), (MEASURES, MEASURES), refusal="the cohorts differ")
    text = as_text(comparison(sets=(refused,), differing={}, kind=CohortKind.REAL))
    assert "Not paired: the cohorts differ" in text
    assert "A minus B" not in text
    assert "All 5 that both name are the same." in text
    assert "PHANTOM" not in text
