"""A study of small networks: fold by fold, with a bank for each set of ranges, and honest about test subjects."""

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML
from tests.tracking.projects import Recorded
from tests.tuning.made_up_data import add_studies, write_params, write_slab_inputs

from datspect.errors import CohortError
from datspect.params.whole import load_params
from datspect.training.data import TrainingInputs, read_training_data
from datspect.tuning import whole_study
from datspect.tuning.development import Development
from datspect.tuning.quiet import quiet_optuna
from datspect.tuning.scoring import Outcome, outcomes, score
from datspect.tuning.slab_banks import SlabBanks
from datspect.tuning.study import Study

N_FOLDS = 3


@pytest.fixture(autouse=True)
def studies(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("datspect.tracking.joining._SETTLING_SECONDS", 0.0)
    add_studies(project)
    with quiet_optuna():
        yield


@pytest.fixture
def params(project: Path) -> Path:
    return write_striatum_params(project)


@pytest.fixture
def inputs(project: Path, params: Path) -> TrainingInputs:
    return write_slab_inputs(project, params)


def write_striatum_params(folder: Path, **tune: Any) -> Path:
    path = write_params(folder, **tune)
    values = YAML(typ="safe", pure=True).load(path.read_text("utf-8"))
    values["model"] = "striatum"
    values["classifier"] = {"width": 8, "dropout": 0.0}
    values["training"] |= {"epochs": 2, "weight_decay": 0.02}
    values["training"]["learning_rate"] = {"initial": 5e-3, "final": 1e-5, "schedule": "one_cycle", "drops": 1}
    values["striatum"] |= {"maps": 2, "members": 2, "label_smoothing": 0.0}
    values["striatum"]["alter"] |= {"draws": 2}
    space = values["tune"]["space"]["striatum"]
    space["epochs"] = {"low": 1, "high": 2, "step": 1, "scale": "linear"}
    space["maps"] = {"low": 2, "high": 3, "step": 1, "scale": "linear"}
    YAML().dump(values, path)
    return path


def chosen(params: Path, inputs: TrainingInputs, vary: list[str] | None = None, **tune: Any) -> whole_study.Chosen:
    read = load_params(params)
    read = read.model_copy(update={"tune": read.tune.model_copy(update=tune)})
    return whole_study.choose(read, inputs, params.parent / "reports" / "tune", vary=vary)


def study_of(asked: whole_study.Chosen) -> Study:
    with whole_study._opened(asked) as study:
        return study


def banks(data: Development) -> SlabBanks:
    assert data.slabs is not None
    return data.slabs


def test_a_study_is_named_after_the_model_and_counts_folds(params: Path, inputs: TrainingInputs) -> None:
    asked = chosen(params, inputs, trials=2, pruner="none")
    text = whole_study.search(asked)
    assert "Study tune-striatum (model striatum, PHANTOM cohort" in text
    with whole_study._opened(asked) as study:
        first, second = study.trials()
    assert first.values == asked.space.base_values()
    assert set(second.values) == set(first.values)
    assert [len(trial.fold_scores) for trial in (first, second)] == [N_FOLDS, N_FOLDS]
    assert first.reached == "3 folds"
    folder = params.parent / "reports" / "tune" / "tune-striatum"
    summary = json.loads((folder / "study.json").read_text("utf-8"))
    assert summary["values_of_params_yaml"]["values"]["alter"] == "whole"
    recorded = Recorded(params.parent)
    (parent,) = recorded.parents()
    assert parent.info.run_name == "tune-striatum"
    assert parent.data.params["space.fixed.members"] == "2"
    assert [run.data.metrics["n_folds"] for run in recorded.children(parent.info.run_id)] == [3, 3]


def test_the_score_after_some_folds_is_that_of_their_subjects(params: Path, inputs: TrainingInputs) -> None:
    asked = chosen(params, inputs)
    data = asked.development
    found = list(outcomes(asked.space.base, data, 1, "folds"))
    assert [outcome.step for outcome in found] == [1, 2, 3]
    for outcome in found:
        np.testing.assert_array_equal(outcome.judged, data.folds <= outcome.step)
        np.testing.assert_array_equal(np.isnan(outcome.probabilities), ~outcome.judged)
    last = found[-1].history.groupby("head").last()["validation_loss"]
    by_heads = np.average(last, weights=np.bincount(data.folds)[1:])
    assert score("log_loss", data.targets, found[-1].probabilities) == pytest.approx(by_heads, abs=1e-5)


def test_a_bank_of_other_ranges_has_the_same_random_numbers(params: Path, inputs: TrainingInputs) -> None:
    asked = chosen(params, inputs)
    data, alter = asked.development, asked.params.striatum.alter
    of_the_stage = banks(data)
    assert of_the_stage.of(alter) is of_the_stage.features
    untold = pickle.loads(pickle.dumps(of_the_stage))
    object.__setattr__(untold, "of_features", None)
    made = untold.of(alter)
    np.testing.assert_allclose(made, of_the_stage.features, rtol=2e-3, atol=1e-3)
    assert untold.of(alter) is made
    wide = asked.space.base.changed({"alter": "wide"})
    assert wide.striatum is not None
    other = untold.of(wide.striatum.alter)
    np.testing.assert_array_equal(other[0], made[0])
    assert (other[1:] != made[1:]).any(axis=2).all()
    assert not pickle.loads(pickle.dumps(untold))._made


def test_an_inner_search_learns_from_its_own_scans_of_every_bank(params: Path, inputs: TrainingInputs) -> None:
    asked = chosen(params, inputs)
    data, base = asked.development, asked.space.base
    keep = np.arange(len(data.targets)) % 3 > 0
    inner = data.only(keep, 2, seed=1).only(np.arange(keep.sum()) % 2 == 0, 2, seed=1)
    rows = np.flatnonzero(keep)[::2]
    half = base.changed({"alter": "half"})
    for configuration in (base, half):
        ours, whole = (each.material(configuration, banks(each)) for each in (inner, data))
        np.testing.assert_array_equal(ours.bank, whole.bank[:, rows])
        np.testing.assert_array_equal(ours.lowered, whole.lowered[:, rows])
        np.testing.assert_array_equal(ours.labels, whole.labels[rows])


def test_a_trial_is_pruned_after_some_folds_and_says_so(
    params: Path, inputs: TrainingInputs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def made_up(_configuration: Any, data: Development, _epochs: int, name: str, *_: Any) -> Iterator[Outcome]:
        p_right = 0.9 if name.endswith("trial 0") else 0.4
        history = next(iter(real)).history
        for fold in range(1, N_FOLDS + 1):
            judged = data.folds <= fold
            probabilities = np.where(judged, np.where(data.targets == 1, p_right, 1 - p_right), np.nan)
            yield Outcome(2, probabilities, history, judged, fold)

    asked = chosen(params, inputs, trials=2, pruner="halving", check_folds=2)
    real = list(outcomes(asked.space.base, asked.development, 1, "folds"))
    monkeypatch.setattr("datspect.tuning.search.outcomes", made_up)
    caplog.set_level("INFO")
    whole_study.search(asked)
    with whole_study._opened(asked) as study:
        complete, pruned = study.trials()
    assert (complete.state, pruned.state, pruned.n_folds) == ("complete", "pruned", 2)
    assert len(pruned.fold_scores) == 2
    assert pruned.score == pytest.approx(-np.log(0.4), abs=1e-4)
    assert "after 2 folds, pruned" in caplog.text
    recorded = Recorded(params.parent)
    (parent,) = recorded.parents()
    runs = {run.data.tags["datspect.trial"]: run for run in recorded.children(parent.info.run_id)}
    assert runs["1"].data.tags["datspect.pruned_after"] == "2 folds"


def test_the_winner_is_applied_with_its_ranges_and_the_study_goes_on(
    params: Path, inputs: TrainingInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wide_wins(configuration: Any, data: Development, *rest: Any) -> Iterator[Outcome]:
        for outcome in outcomes(configuration, data, *rest):
            right = 0.9 if configuration.values["alter"] == "wide" else 0.6
            probabilities = np.where(data.targets == 1, right, 1 - right)
            yield Outcome(outcome.n_epochs, probabilities, outcome.history, outcome.judged, outcome.n_folds)

    monkeypatch.setattr("datspect.tuning.search.outcomes", wide_wins)
    vary = ["alter", "epochs"]
    whole_study.search(chosen(params, inputs, vary, trials=6, pruner="none"))
    text = whole_study.apply_winner(chosen(params, inputs, vary), params)
    assert "shift_mm: 6.0" in text
    after = load_params(params)
    assert after.striatum.alter.ranges == after.tune.space.striatum.alter["wide"]
    assert after.parameters_from is not None
    assert after.parameters_from.study == "tune-striatum"
    write_slab_inputs(params.parent, params)  # as dvc repro: another bank
    assert "already" in whole_study.apply_winner(chosen(params, inputs, vary), params)
    whole_study.search(chosen(params, inputs, vary, trials=7, pruner="none"))


def test_what_belongs_to_the_other_model_is_refused(params: Path, inputs: TrainingInputs) -> None:
    paper = load_params(params).model_copy(update={"model": "paper"})
    with pytest.raises(CohortError, match=r"bank.npy: not of model: paper; run dvc repro features"):
        whole_study.choose(paper, inputs, params.parent, vary=["dropout"])
    inputs.lowered.unlink()
    with pytest.raises(CohortError, match=r"bank.npy: not of model: striatum; run dvc repro features"):
        chosen(params, inputs)


def test_boxes_of_another_cohort_are_refused(params: Path, inputs: TrainingInputs) -> None:
    np.save(inputs.boxes, np.load(inputs.boxes)[:-1])
    with pytest.raises(CohortError, match=r"striatal_box.npy: 47 striatal boxes of 48 subjects; run dvc repro"):
        chosen(params, inputs)


@pytest.mark.slow
def test_a_study_is_the_same_whatever_the_test_subjects_are(params: Path, inputs: TrainingInputs) -> None:
    vary = ["alter", "dropout"]
    honest = chosen(params, inputs, vary, trials=4, pruner="none", study="honest")
    whole_study.search(honest)
    is_test = (read_training_data(inputs).splits["role"] == "test").to_numpy()
    boxes, bank = np.load(inputs.boxes), np.load(inputs.bank)
    boxes[is_test], bank[:, is_test] = np.nan, np.nan
    np.save(inputs.boxes, boxes)
    np.save(inputs.bank, bank)
    spoilt = chosen(params, inputs, vary, trials=4, pruner="none", study="spoilt")
    whole_study.search(spoilt)
    ours, theirs = study_of(honest).trials(), study_of(spoilt).trials()
    assert len({trial.values["alter"] for trial in ours}) > 1
    assert [trial.values for trial in ours] == [trial.values for trial in theirs]
    assert [trial.fold_scores for trial in ours] == [trial.fold_scores for trial in theirs]


@pytest.mark.slow
def test_a_nested_search_trains_small_networks_on_the_outer_folds(params: Path, inputs: TrainingInputs) -> None:
    text = whole_study.nested_search(chosen(params, inputs, ["dropout"], nested_trials=1, pruner="none"))
    assert "Nested search (model striatum, PHANTOM cohort" in text
    result = json.loads((params.parent / "reports/tune/tune-striatum/nested.json").read_text("utf-8"))
    # The only trial of each search has the values of params.yaml, and a head's seed does not follow its name.
    assert result["outer"] == pytest.approx(result["values_of_params_yaml"])
