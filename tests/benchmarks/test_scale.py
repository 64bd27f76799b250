"""The law by which stages grow, and what it says of more subjects than were run."""

import pytest
from benchmarks.graph import StageCost
from benchmarks.scale import FAR, law, parts


def test_the_law_is_the_line_through_what_was_measured() -> None:
    assert law([330, 659, 2000], [3 + 0.02 * n for n in (330, 659, 2000)]) == pytest.approx((3, 0.02))


@pytest.mark.parametrize(("values", "found"), [([1.0, 2.0, 8.0], (0.0, 37 / 21)), ([5.0, 4.0, 3.0], (4.0, 0.0))])
def test_neither_part_of_the_law_is_below_zero(values: list[float], found: tuple[float, float]) -> None:
    """Of values that grow faster than the sizes the line goes through the origin; falling ones have their mean."""
    assert law([1, 2, 4], values) == pytest.approx(found)


def test_each_stage_has_its_figures_and_the_laws() -> None:
    measured = {
        n: {"cv": StageCost("cv", 10 + n / 100, 0.0, 0.5), "split": StageCost("split", 2.0, 0.0, n / 1000)}
        for n in (100, 300)
    }
    _, times, memory = parts(measured)
    cv, total = (next(line for line in times.splitlines() if line.startswith(f"| {name}")) for name in ("cv", "all"))
    assert [cell.strip() for cell in cv.split("|")[2:-1]] == ["11", "13", "10", "10", f"{10 + FAR // 100}"]
    assert total.rstrip(" |").endswith(f"{12 + FAR // 100}")
    assert "10.0" in next(line for line in memory.splitlines() if line.startswith("| split"))
