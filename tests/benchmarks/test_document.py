from typing import Any

import pytest
from benchmarks.document import Benchmark, document, goals

MACHINE = {"cpu": "A Processor", "cores": 2, "memory_gb": 24, "instruction_sets": ["avx2"], "system": "Linux x86_64"}
VERSIONS = {"python": "3.11.9", "keras": "3.15.1"}


def summary(median: float) -> dict[str, float]:
    return {"median": median, "low": 0.9 * median, "high": 1.1 * median, "n": 5}


def measures(value: float) -> dict[str, float]:
    return {"accuracy": value, "roc_auc": value, "loss": 1 - value}


@pytest.fixture
def results() -> dict[str, Any]:
    """Results of every benchmark, all goals met."""
    rows = [
        {
            "draws": draws,
            "precision": precision,
            "recipe_seconds": 30_000.0,
            "bank_seconds": 0.75 * 30_000 / ratio,
            "stack_seconds": 0.25 * 30_000 / ratio,
            "our_seconds": 30_000 / ratio,
            "ratio": ratio,
        }
        for draws, precision, ratio in (
            (16, "float32", 101.0),
            (16, "bfloat16", 150.0),
            (500, "float32", 14.0),
            (500, "bfloat16", 21.0),
        )
    ]
    difference = {
        f"{name}_difference{bound}": value
        for name in ("accuracy", "roc_auc", "loss")
        for bound, value in (("", 0.001), ("_low", -0.012), ("_high", 0.013))
    }
    speed = {
        "bank_images_per_second": 170.0,
        "predict_images_per_second": 180.0,
        "gflop_per_image": 0.83,
        "bank_gflop_per_second": 141.0,
        "predict_gflop_per_second": 149.0,
        "matrix_gflop_per_second": 200.0,
    }
    return {
        "noop": {"seconds": summary(2.5)},
        "features": {
            "n_images": 384,
            "n_rounds": 5,
            "matrix_size": 3072,
            "speed": {"float32": speed, "bfloat16": dict(speed)},
            "memory_mb": {"4": 984, "16": 993},
        },
        "heads": {
            "n_heads": 10,
            "n_epochs": 500,
            "stack_epoch": summary(0.17),
            "fit_epoch": summary(0.3),
            "stack_seconds": 88.0,
            "fit_seconds": 1500.0,
            "ratio": 17.0,
        },
        "tracking": {
            "stage_seconds": 100.0,
            "record_seconds": 4.8,
            "share": 0.048,
            "import_seconds": 5.0,
            "parts": {"curves": 3.3, "models": 1.5},
        },
        "importing": {
            "n_scans": 659,
            "n_rounds": 3,
            "cores": 2,
            "samples": {"all cores": [9.0], "one process": [18.0], "preprocess": [6.0], "obvious loop": [20.0]},
            "seconds": {"all cores": 9.0, "one process": 18.0, "preprocess": 6.0, "obvious loop": 20.0},
            "scans_per_second": {"all cores": 73.2, "one process": 36.6, "preprocess": 109.8, "obvious loop": 33.0},
            "import_ratio": 2.0,
            "preprocess_ratio": 3.33,
            "import_memory_mb": 300,
        },
        "paper_recipe": {
            "cohort_kind": "phantom",
            "auto_precision": "float32",
            "n_subjects": 659,
            "race": {"n_folds": 10, "n_epochs": 500},
            "samples": {
                "recipe": {"first_epoch": summary(12.0), "later_epoch": summary(6.0)},
                "features": {
                    "float32": {"start": 5.0, "image": summary(0.006), "n_images": 3200},
                    "bfloat16": {"start": 5.0, "image": summary(0.004), "n_images": 3200},
                },
                "stack": {"16": {"first_epoch": 3.0, "later_epoch": summary(0.17)}},
            },
            "rows": rows,
            "memory_mb": {"recipe": 1500, "features": 1100, "heads-16": 1200, "heads-500": 4100},
            "accuracy": {
                "n": 659,
                "epochs": 20,
                "bank": {"draws": 16, "precision": "float32"},
                "recipe": measures(0.94),
                "ours": measures(0.941),
                "ours_minus_recipe": difference,
            },
        },
    }


def written(results: dict[str, Any], **options: Any) -> str:
    ran = [Benchmark(name, f"python benchmarks/{name}.py", 1.0, result) for name, result in results.items()]
    return document(ran, MACHINE, VERSIONS, options.pop("kind", "phantom"), quick=options.pop("quick", False))


def ratio_row(results: dict[str, Any], draws: int, precision: str) -> dict[str, Any]:
    rows = results["paper_recipe"]["rows"]
    return next(row for row in rows if (row["draws"], row["precision"]) == (draws, precision))


def test_the_document_names_machine_versions_commands_and_the_phantom(results: dict[str, Any]) -> None:
    text = written(results)
    assert "A Processor" in text
    assert "3.15.1" in text
    assert "PHANTOM" in text
    for name in results:
        assert f"python benchmarks/{name}.py" in text


def test_goals_that_are_met_need_no_excuse(results: dict[str, Any]) -> None:
    assert all(goal.met for goal in goals(results))
    assert "MISSED" not in written(results)
    assert "What limits" not in written(results)


@pytest.mark.parametrize(
    ("draws", "precision", "wanted"), [(16, "float32", 100), (500, "float32", 13), (500, "bfloat16", 20)]
)
def test_a_ratio_just_below_its_goal_is_missed_and_explained(
    results: dict[str, Any], draws: int, precision: str, wanted: float
) -> None:
    ratio_row(results, draws, precision)["ratio"] = wanted - 0.1
    (missed,) = [goal for goal in goals(results) if not goal.met]
    assert missed.name.endswith(f"{draws} draws, {precision}")
    assert "| MISSED |" in written(results)
    assert missed.limit in written(results)


def test_the_16_draws_are_judged_in_the_precision_that_the_machine_chooses(results: dict[str, Any]) -> None:
    ratio_row(results, 16, "float32")["ratio"] = 1.0
    results["paper_recipe"]["auto_precision"] = "bfloat16"
    assert all(goal.met for goal in goals(results))


def test_what_limits_a_ratio_says_what_the_matrix_product_would_allow(results: dict[str, Any]) -> None:
    row = ratio_row(results, 500, "float32")
    row["ratio"] = 12.0
    (missed,) = [goal for goal in goals(results) if not goal.met]
    images = 501 * 659
    assert f"{images:,} images" in missed.limit
    assert f"{30_000 / (images * 0.83 / 200 + row['stack_seconds']):.1f}" in missed.limit


@pytest.mark.parametrize(("low", "met"), [(-0.0199, True), (-0.0201, False)])
def test_not_inferior_is_judged_by_the_lower_bound(results: dict[str, Any], low: float, met: bool) -> None:
    results["paper_recipe"]["accuracy"]["ours_minus_recipe"]["accuracy_difference_low"] = low
    (goal,) = [goal for goal in goals(results) if goal.name.startswith("accuracy")]
    assert goal.met is met


@pytest.mark.parametrize(
    ("benchmark", "change", "explained"),
    [
        ("heads", {"stack_seconds": 151.0}, "an epoch takes 0.170 s"),
        ("tracking", {"record_seconds": 12.1}, "curves: 3.3 s"),
    ],
)
def test_other_goals_are_missed_above_their_bound(
    results: dict[str, Any], benchmark: str, change: dict[str, float], explained: str
) -> None:
    results[benchmark] |= change
    (missed,) = [goal for goal in goals(results) if not goal.met]
    assert explained in missed.limit


def test_throughput_is_compared_in_each_precision(results: dict[str, Any]) -> None:
    results["features"]["speed"]["bfloat16"]["bank_images_per_second"] = 0.79 * 180
    assert [goal.name for goal in goals(results) if not goal.met] == ["bank's throughput against predict, bfloat16"]


def test_a_failed_benchmark_is_named_and_the_others_are_shown(results: dict[str, Any]) -> None:
    results["heads"] = None
    text = written(results)
    assert "`python benchmarks/heads.py` failed" in text
    assert "## Heads" not in text
    assert "## The race" in text


def test_without_the_features_a_missed_ratio_is_still_explained(results: dict[str, Any]) -> None:
    ratio_row(results, 500, "bfloat16")["ratio"] = 5.0
    results["features"] = None
    assert "250 images/s (167 in float32)." in written(results)


def test_nothing_worked_is_a_document_too(results: dict[str, Any]) -> None:
    text = written(dict.fromkeys(results))
    assert text.count("failed") == len(results)


def test_a_short_run_says_so(results: dict[str, Any]) -> None:
    assert "Short run" in written(results, quick=True)
    assert "Short run" not in written(results)


def test_figures_of_a_real_cohort_are_not_called_phantom(results: dict[str, Any]) -> None:
    assert "PHANTOM" not in written(results, kind="ppmi")


@pytest.mark.parametrize(("ratio", "name"), [("import_ratio", "import on 2 cores"), ("preprocess_ratio", "preprocess")])
def test_a_slow_import_is_missed_and_explained(results: dict[str, Any], ratio: str, name: str) -> None:
    results["importing"][ratio] = 1.5
    (missed,) = [goal for goal in goals(results) if not goal.met]
    assert missed.name.startswith(name)
    assert "1.50x" in written(results)
