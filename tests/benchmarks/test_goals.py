"""Goals of the benchmarks: met at the bound, missed just beyond it, and explained where missed."""

from typing import Any

import pytest

from benchmarks import features, heads, importing, paper_recipe, predicting, startup, tracking

RATIOS = {(16, "float32"): 301.0, (16, "bfloat16"): 150.0, (500, "float32"): 16.0, (500, "bfloat16"): 21.0}


@pytest.fixture
def race() -> dict[str, Any]:
    """A result of the race with all goals met."""
    rows = [
        {"draws": d, "precision": p, "ratio": r, "bank_seconds": 3.0, "our_seconds": 4.0}
        for (d, p), r in RATIOS.items()
    ]
    images = {"float32": {"image": {"median": 0.01}}, "bfloat16": {"image": {"median": 0.005}}}
    difference = {f"accuracy_difference{end}": x for end, x in (("", 0.001), ("_low", -0.019), ("_high", 0.021))}
    return {
        "n_subjects": 659,
        "samples": {"features": images},
        "rows": rows,
        "accuracy": {"n": 659, "epochs": 20, "ours_minus_recipe": difference},
    }


def test_the_race_with_all_goals_met(race: dict[str, Any]) -> None:
    assert [goal.met for goal in paper_recipe.goals(race)] == [True] * 4


@pytest.mark.parametrize(
    ("draws", "precision", "wanted"), [(16, "float32", 300), (500, "float32", 15), (500, "bfloat16", 20)]
)
def test_a_ratio_just_below_its_goal_is_missed(race: dict[str, Any], draws: int, precision: str, wanted: float) -> None:
    (row,) = (row for row in race["rows"] if (row["draws"], row["precision"]) == (draws, precision))
    row["ratio"] = wanted - 0.1
    (missed,) = (goal for goal in paper_recipe.goals(race) if not goal.met)
    assert missed.name.endswith(f"{draws} draws, {precision}")
    assert f"{(draws + 1) * 659:,} images take 75%" in missed.limit  # 3 s of 4
    assert "100 images/s in float32 and 200 images/s in bfloat16" in missed.limit


@pytest.mark.parametrize(("low", "met"), [(-0.0199, True), (-0.0201, False)])
def test_not_inferior_is_judged_by_the_lower_bound(race: dict[str, Any], low: float, met: bool) -> None:
    race["accuracy"]["ours_minus_recipe"]["accuracy_difference_low"] = low
    assert paper_recipe.goals(race)[-1].met is met


@pytest.mark.parametrize(("ratio", "n_missed"), [(3.0, 0), (2.99, 1), (1.69, 2)])
def test_import_and_preprocess_have_a_goal_each(ratio: float, n_missed: int) -> None:
    seconds = dict.fromkeys(("all cores", "one process", "preprocess", "obvious loop"), 1.0)
    result = {"cores": 2, "seconds": seconds, "import_ratio": ratio, "preprocess_ratio": ratio}
    assert sum(not goal.met for goal in importing.goals(result)) == n_missed


@pytest.mark.parametrize(("seconds", "met"), [(49.9, True), (50.0, False)])
def test_the_stack_must_stay_under_its_goal(seconds: float, met: bool) -> None:
    epoch = {"median": 0.1, "low": 0.05, "high": 0.2, "n": 9}
    times = {"stack_seconds": seconds, "fit_seconds": 1000.0, "ratio": 7.0, "stack_epoch": epoch, "fit_epoch": epoch}
    text = "\n".join(heads.parts({"n_heads": 10, "n_epochs": 500, **times}))
    assert ("MISSED" in text, "an epoch takes 0.100 s, 50 s in all" in text) == (not met, not met)


@pytest.mark.parametrize(("seconds", "met"), [(12.0, True), (12.1, False)])
def test_the_record_in_mlflow_has_a_limit(seconds: float, met: bool) -> None:
    kinds = {"models": 1.5, "curves": seconds - 1.5}
    text = "\n".join(
        tracking.parts(
            {
                "parts": kinds,
                "record_seconds": seconds,
                "stage_seconds": 100.0,
                "import_seconds": 5.0,
                "live": live(1.0),
            }
        )
    )
    assert ("MISSED" in text, "most of it is curves" in text) == (not met, not met)


def live(sending_cpu_seconds: float) -> dict[str, float]:
    return {
        "sendings": 4, "seconds": 60.0, "sending_cpu_seconds": sending_cpu_seconds, "training_cpu_seconds": 100.0
    }  # fmt: skip


@pytest.mark.parametrize(("seconds", "met"), [(2.0, True), (2.1, False)])
def test_curves_that_grow_may_cost_two_percent_of_the_training(seconds: float, met: bool) -> None:
    record = {"parts": {"curves": 1.0}, "record_seconds": 1.0, "stage_seconds": 100.0, "import_seconds": 5.0}
    text = "\n".join(tracking.parts({**record, "live": live(seconds)}))
    assert ("MISSED" in text, "a sending takes" in text) == (not met, not met)


@pytest.mark.parametrize(("bank", "met"), [(80.0, True), (79.0, False)])
def test_the_bank_must_reach_most_of_predict(bank: float, met: bool) -> None:
    speed = {
        "bank_images_per_second": bank, "predict_images_per_second": 100.0, "gflop_per_image": 0.8,
        "bank_gflop_per_second": 60.0, "matrix_gflop_per_second": 200.0,
    }  # fmt: skip
    made = {"n_images": 384, "n_rounds": 5, "memory_mb": {"4": 984}}
    assert ("MISSED" in "\n".join(features.parts({"speed": {"float32": speed}, **made}))) is not met


@pytest.mark.parametrize(("scans", "seconds", "n_missed"), [(60.0, 15.0, 0), (59.0, 15.1, 2), (29.0, 25.1, 4)])
def test_predictions_have_goals_for_one_scan_and_for_many(scans: float, seconds: float, n_missed: int) -> None:
    one = {"seconds": {"least": 10.0, "path": seconds, "alias": seconds}}
    rates = {"features_per_second": 100.0, "features_per_second_float32": 100.0}
    many = {"n": 659, "scans_per_second": {"plain": scans, "packed": scans}, **rates}
    assert "\n".join(predicting.parts(one, many)).count("MISSED") == n_missed


@pytest.mark.parametrize(("split", "met"), [(0.9, True), (1.0, False)])
def test_the_imports_of_all_stages_together_have_a_limit(split: float, met: bool) -> None:
    result = {
        "seconds": {"cv": 24.0, "split": split},
        "libraries": {"cv": ["keras", "pandas"], "split": ["pandas"]},
    }
    text = "\n".join(startup.parts(result))
    assert ("MISSED" in text, "load Keras take 24.0 s of it: cv" in text) == (not met, not met)
