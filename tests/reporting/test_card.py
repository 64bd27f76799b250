"""The model card has the right figures, hides small groups, names nobody and calls a phantom one."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tests.reporting.results import made_up_panel

from datspect.evaluation.intervals import wilson_interval
from datspect.evaluation.metrics import binary_metrics
from datspect.reporting.card import CardInputs, card_markdown, card_page, groups_table

N = 40
PNG = b"\x89PNG picture"


def made_up(kind: str = "phantom", **columns: object) -> CardInputs:
    number = np.arange(N)
    subjects = pd.DataFrame(
        {
            "scan_id": [f"S-QQ{k:03d}" for k in number],
            "subject_id": [f"P-ZZ{k:03d}" for k in number],
            "label": np.where(number % 2, "pd", "control"),
            "sex": np.where(number % 4 < 2, "male", "female"),
            "age": number + 35.0,
            "site": np.where(number < 30, "one", "t|wo"),
        }
    ).assign(**columns)
    splits = subjects[["scan_id", "subject_id", "label"]].assign(role=np.where(number < 20, "train", "test"))
    predictions = subjects[20:].reset_index(drop=True)[["scan_id", "label"]]
    predictions["prediction"] = np.where(np.arange(20) % 5, predictions["label"], "pd")
    promised = {"errors_found": 0.7, "errors_found_low": 0.5, "errors_found_high": 0.8}
    decisions = {"coverage": 0.9, "coverage_low": 0.8, "coverage_high": 0.95, "accuracy": 0.9}
    metrics = {
        "cohort_kind": kind,
        "holdout": binary_metrics(np.arange(20) % 2, np.linspace(0.1, 0.9, 20)),
        "training_role": decisions | promised | {"conclusive_accuracy": 0.97, "conclusive_wrong_at_most": 0.0281},
        "holdout_decisions": decisions,
        "holdout_withheld": {"share": 0.0125},
    }
    run = {
        "result_id": "the-result", "code_sha256": "c" * 64, "params_sha256": "e" * 64, "data_sha256": "d" * 64,
        "git": {"commit": "0123456789", "dirty": True, "changed": ["params.yaml"]},
        "cohort": {"kind": kind, "n": N}, "tags": {}, "started": "then", "mlflow": {"run_id": "the-run"},
        "features": {"backbone_source": "Keras", "backbone_tensor_digest": "f" * 64}, "releases": {"keras": "3.1"},
    }  # fmt: skip
    parts = {
        "n_train": 20,
        "n_pd": 15,
        "preprocess": {"slices": [40, 41, 42]},
        "doubt": {"limit": 0.18},
        "withholding": {"at_most": 0.0095},
    }
    return CardInputs(
        digest="a" * 64, run=run, parts=parts, metrics=metrics,
        robustness=made_up_panel(np.random.default_rng(4), kind),
        subjects=subjects, splits=splits, predictions=predictions, outputs={"models/predictor": "9" * 32}, looks=3,
    )  # fmt: skip


def row(table: str, name: str) -> list[str]:
    lines = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()]
    return next(line for line in lines if line[0].strip("| ").startswith(name))


def test_groups_have_the_figures_that_counting_gives() -> None:
    inputs = made_up()
    table = inputs.predictions.merge(inputs.subjects[["scan_id", "sex"]], on="scan_id")
    women = table[table["sex"] == "female"]
    right = women["label"] == women["prediction"]
    cells = row(groups_table(inputs.subjects, inputs.predictions), "sex: female")
    low, high = wilson_interval(int(right.sum()), len(women))
    assert cells[1:4] == [
        str((women["label"] == "control").sum()),
        str((women["label"] == "pd").sum()),
        f"{right.mean():.4f} ({low:.4f} to {high:.4f})",
    ]
    controls = women["label"] == "control"
    assert cells[5].strip(" |").startswith(f"{right[controls].mean():.4f}")


def test_small_groups_are_counted_and_not_judged() -> None:
    site = ["big"] * 36 + ["a", "b", "c", "c"]
    table = groups_table(made_up(site=site).subjects, made_up().predictions)
    assert "site: a" not in table
    assert row(table, "3 sites of fewer than 5")[1].strip() == "fewer than 5"
    assert row(table, "age: \\< 50")[1].strip() == "0"


def test_the_card_names_nobody_and_calls_a_phantom_a_phantom() -> None:
    page = card_page(made_up(), PNG, PNG)
    assert "S-QQ" not in page
    assert "P-ZZ" not in page
    assert page.count("PHANTOM") >= 3
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    real = card_markdown(made_up("real"))
    assert "trained on 20 subjects and" in real
    assert "trained on 20 simulated subjects and" in card_markdown(made_up())
    assert "PHANTOM" not in real
    assert "simulated" not in real


def test_the_card_says_for_what_how_good_how_often_looked_at_and_from_where() -> None:
    markdown = card_markdown(made_up())
    for text in (
        "## Not for",
        "Diagnosis",
        "inconclusive",
        "looked at 3 times",
        "the-result",
        "0123456789",
        "params.yaml",
    ):
        assert text in markdown, text
    accuracy = made_up().metrics["holdout"]["accuracy"]
    assert f"{accuracy:.4f}" in markdown
    assert "9" * 32 in markdown


@pytest.mark.parametrize(
    "columns", [{"sex": "", "age": np.nan, "site": ""}, {"site": "one"}, {"age": 60.0}], ids=["unknown", "one", "age"]
)
def test_missing_demographics_make_a_card_too(columns: dict[str, object]) -> None:
    assert "## How good it is" in card_markdown(made_up(**columns))


def test_names_of_sites_stay_text() -> None:
    assert "t\\|wo" in card_markdown(made_up())


def test_the_card_of_a_fine_tuned_network_says_so() -> None:
    frozen = made_up()
    tags = {"datspect.trainable": "mixed7", "datspect.precision": "bfloat16"}
    tuned = replace(frozen, run=frozen.run | {"tags": tags})
    assert row(card_markdown(frozen), "trained")[1:] == ["the head alone, on features of the network"]
    assert "the head and the network from layer mixed7, in bfloat16" in card_markdown(tuned)


def test_the_card_says_what_is_promised_and_what_an_inconclusive_answer_is() -> None:
    markdown = card_markdown(made_up())
    assert "above 18.0 %" in markdown
    assert "of conclusive answers at most 2.9 % are wrong, with 95 % confidence" in markdown
    assert "not more than a draw by lot" not in markdown
    metrics = made_up().metrics
    lot = metrics | {"training_role": metrics["training_role"] | {"errors_found_low": 0.05}}
    assert "not more than a draw by lot" in card_markdown(replace(made_up(), metrics=lot))


def of_the_striatum() -> CardInputs:
    paper = made_up()
    run = {**paper.run, "params": {"striatum": {"members": 3}}, "tags": {"datspect.recipe": "striatum"}}
    run["features"] = {**paper.run["features"], "precision": "float32"}
    metrics = {**paper.metrics, "recipe": "striatum"}
    return replace(paper, run=run, metrics=metrics, parts={**paper.parts, "model": "striatum"})


def test_an_ensemble_on_slabs_is_called_one_and_its_recipe_named() -> None:
    card = card_markdown(of_the_striatum())
    assert card.splitlines()[0].endswith("(PHANTOM cohort, simulated; recipe striatum)")
    assert (
        "3 small convolutional networks, trained from nothing, look at four slabs of 12 mm around both striata" in card
    )
    assert row(card, "trained")[1].startswith("3 small networks, all layers, by AdamW in float32")
    assert row(card, "recipe")[1].startswith("striatum")
    for untrue in ("three slices", "axial slices", "Keras", "digest of these weights"):
        assert untrue not in card, untrue
    assert "recipe striatum" in card_page(of_the_striatum(), PNG, PNG)


def test_the_card_of_the_papers_model_names_no_recipe() -> None:
    card = card_markdown(made_up())
    assert "A convolutional network looks at axial slices 40, 41, 42 of a DaT SPECT scan in MNI space and gives" in card
    assert "- Only three slices are seen" in card
    assert "recipe" not in card
