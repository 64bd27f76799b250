"""A trial chooses inside the space, and its values make a configuration."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datspect.errors import ParamsError
from datspect.params.network import ClassifierParams, LearningRateParams, TrainingParams
from datspect.params.striatum import StriatumParams
from datspect.params.tuning import IntRange, PaperSpace, StriatumSpace
from datspect.params.whole import load_params
from datspect.tuning.space import Configuration, SearchSpace, search_space

PARAMS = Path(__file__).parents[2] / "params.yaml"

SPACE = PaperSpace.model_validate(
    {
        "dropout": {"low": 0.1, "high": 0.8, "scale": "linear"},
        "width": {"low": 32, "high": 128, "step": 32, "scale": "linear"},
        "initial": {"low": 1e-4, "high": 1e-2, "scale": "log"},
        "final": {"low": 1e-7, "high": 1e-4, "scale": "log"},
        "schedule": ["step", "cosine", "exponential", "constant"],
        "drops": {"low": 1, "high": 6, "step": 1, "scale": "linear"},
    }
)
CLASSIFIER = ClassifierParams(width=128, dropout=0.5)
TRAINING = TrainingParams(
    epochs=500,
    stop_after=None,
    batch_size=16,
    learning_rate=LearningRateParams(initial=1e-3, final=1e-6, schedule="step", drops=3),
    weight_decay=0.0,
    seed=1,
)


class Choosing:
    """A trial that takes the point at `share` of every range, and remembers what it chose."""

    def __init__(self, share: float) -> None:
        self.share = share
        self.chosen: dict[str, Any] = {}

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        value = float(np.exp(self._between(np.log(low), np.log(high)))) if log else self._between(low, high)
        self.chosen[name] = min(max(value, low), high)
        return float(self.chosen[name])

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        self.chosen[name] = low + step * round(self.share * ((high - low) // step))
        return int(self.chosen[name])

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        self.chosen[name] = choices[min(int(self.share * len(choices)), len(choices) - 1)]
        return self.chosen[name]

    def _between(self, low: float, high: float) -> float:
        return float(low + self.share * (high - low))


@given(share=st.floats(0, 1))
def test_a_chosen_configuration_has_just_the_chosen_values_and_keeps_the_rest(share: float) -> None:
    trial = Choosing(share)
    configuration = search_space(SPACE, CLASSIFIER, TRAINING).suggested(trial)
    assert configuration.values == trial.chosen
    kept = {"learning_rate"}
    assert configuration.training.model_dump(exclude=kept) == TRAINING.model_dump(exclude=kept)


@pytest.mark.parametrize(
    ("schedule", "without"),
    [("step", set()), ("cosine", {"drops"}), ("exponential", {"drops"}), ("constant", {"drops", "final"})],
)
def test_values_without_effect_under_a_schedule_are_not_chosen(schedule: str, without: set[str]) -> None:
    space = SPACE.model_copy(update={"schedule": [schedule]})
    trial = Choosing(0.5)
    search_space(space, CLASSIFIER, TRAINING).suggested(trial)
    assert set(trial.chosen) == set(PaperSpace.model_fields) - without


def test_what_is_not_varied_stays_as_in_params() -> None:
    trial = Choosing(0.25)
    configuration = search_space(SPACE, CLASSIFIER, TRAINING, ["drops", "dropout"]).suggested(trial)
    assert trial.chosen == {"dropout": pytest.approx(0.275), "drops": 2}
    rate = configuration.training.learning_rate
    assert (rate.initial, rate.final, rate.schedule, configuration.classifier.width) == (1e-3, 1e-6, "step", 128)


def test_values_make_the_configuration_they_came_from() -> None:
    base = Configuration(CLASSIFIER, TRAINING)
    assert base.changed(base.values) == base
    changed = base.changed({"width": 64, "schedule": "cosine", "initial": 2e-3})
    assert changed.values == {"dropout": 0.5, "width": 64, "initial": 2e-3, "final": 1e-6, "schedule": "cosine"}


def test_a_constant_rate_below_the_final_one_is_a_valid_configuration() -> None:
    steep = Configuration(CLASSIFIER, TRAINING).changed({"final": 1e-4})
    rate = steep.changed({"schedule": "constant", "initial": 1e-5}).training.learning_rate
    assert (rate.initial, rate.final) == (1e-5, 1e-5)


def test_the_values_of_params_are_the_first_trial_only_inside_the_space() -> None:
    space = search_space(SPACE, CLASSIFIER, TRAINING)
    assert space.base_values() == space.base.values
    off_the_grid = replace(space, base=space.base.changed({"width": 100}))
    outside = replace(space, base=space.base.changed({"dropout": 0.05}))
    assert off_the_grid.base_values() is None
    assert outside.base_values() is None
    not_varied = search_space(SPACE, ClassifierParams(width=100, dropout=0.5), TRAINING, ["dropout"])
    assert not_varied.base_values() == {"dropout": 0.5}


def test_two_spaces_are_the_same_if_ranges_and_fixed_values_are() -> None:
    space = search_space(SPACE, CLASSIFIER, TRAINING, ["dropout"])
    other_base = ClassifierParams(width=128, dropout=0.3)
    assert space.description() == search_space(SPACE, other_base, TRAINING, ["dropout"]).description()
    wider = ClassifierParams(width=64, dropout=0.5)
    assert space.description() != search_space(SPACE, wider, TRAINING, ["dropout"]).description()


@pytest.mark.parametrize(
    ("vary", "training", "message"),
    [
        (["dropuot"], TRAINING, "dropuot: with model: paper expected one or more of dropout, width"),
        ([], TRAINING, "expected one or more of dropout"),
        (["drops"], TRAINING.model_copy(update={"epochs": 6}), r"drops.high = 6: must be below training.epochs \(6\)"),
        (
            ["initial"],
            TRAINING.model_copy(
                update={"learning_rate": LearningRateParams(initial=1e-2, final=1e-3, schedule="step", drops=3)}
            ),
            "final learning rate may be as high as 0.001, the initial one as low as 0.0001",
        ),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(vary: list[str], training: TrainingParams, message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        search_space(SPACE, CLASSIFIER, training, vary)


def test_a_whole_number_range_has_whole_steps() -> None:
    with pytest.raises(ValueError, match=r"high = 100: a whole number of steps of 32 above low \(32\)"):
        IntRange(low=32, high=100, step=32, scale="linear")


def striatum(**alter: float) -> StriatumParams:
    ranges = load_params(PARAMS).striatum
    return ranges.model_copy(update={"alter": ranges.alter.model_copy(update=alter)})


def of_the_striatum(vary: Sequence[str] | None = None, params: StriatumParams | None = None) -> SearchSpace:
    rate = LearningRateParams(initial=4e-3, final=1e-5, schedule="one_cycle", drops=1)
    training = TRAINING.model_copy(update={"epochs": 40, "learning_rate": rate, "weight_decay": 0.02})
    classifier = ClassifierParams(width=16, dropout=0.0)
    return search_space(load_params(PARAMS).tune.space.striatum, classifier, training, vary, params or striatum())


@given(share=st.floats(0, 1))
def test_a_configuration_of_small_networks_has_just_the_chosen_values(share: float) -> None:
    trial = Choosing(share)
    configuration = of_the_striatum().suggested(trial)
    assert configuration.values == trial.chosen
    assert set(trial.chosen) == set(StriatumSpace.model_fields)
    assert configuration.striatum is not None
    assert configuration.striatum.members == striatum().members
    wanted = configuration.alter[trial.chosen["alter"]]
    assert configuration.striatum.alter == striatum(**wanted.model_dump()).alter


def test_a_set_of_ranges_goes_by_its_name_and_into_params_by_its_values() -> None:
    base = of_the_striatum().base
    assert base.values["alter"] == "whole"
    half = base.changed({"alter": "half"})
    assert half.settings["shift_mm"] == 2.5
    assert "alter" not in half.settings
    assert half.changed(base.values) == base


def test_ranges_of_no_set_are_no_trial_unless_they_stay_as_they_are() -> None:
    odd = striatum(shift_mm=4.5)
    assert of_the_striatum(params=odd).base_values() is None
    assert of_the_striatum(["epochs", "dropout"], odd).base_values() == {"dropout": 0.0, "epochs": 40}


def test_a_space_of_small_networks_tells_what_it_fixes() -> None:
    all_varied, some = of_the_striatum().description(), of_the_striatum(["epochs"]).description()
    assert all_varied["fixed"]["members"] == striatum().members
    assert "shift_mm" not in all_varied["fixed"]["alter"]
    assert some["fixed"]["alter"]["shift_mm"] == striatum().alter.shift_mm
    assert some["fixed"]["maps"] == striatum().maps
    # The values of params.yaml that vary are no part of it, so that a study goes on after `tune --apply`.
    half = striatum(**of_the_striatum().base.alter["half"].model_dump())
    assert of_the_striatum(params=half).description() == all_varied


@pytest.mark.parametrize("name", ["drops", "members", "draws"])
def test_values_that_make_no_sense_for_the_model_are_refused(name: str) -> None:
    with pytest.raises(ParamsError, match=f"--vary {name}: with model: striatum expected one or more of dropout, "):
        of_the_striatum([name])
    with pytest.raises(ParamsError, match="--vary maps: with model: paper expected one or more of dropout, "):
        search_space(SPACE, CLASSIFIER, TRAINING, ["maps"])


def test_epochs_that_vary_leave_no_sense_to_an_early_stop() -> None:
    space = load_params(PARAMS).tune.space.striatum
    stopped = TRAINING.model_copy(update={"epochs": 40, "stop_after": 30})
    with pytest.raises(ParamsError, match=r"training.stop_after = 30: makes no sense where epochs vary"):
        search_space(space, CLASSIFIER, stopped, ["epochs"], striatum())
    assert search_space(space, CLASSIFIER, stopped, ["dropout"], striatum()).varied == ("dropout",)
    steps = TRAINING.model_copy(update={"learning_rate": TRAINING.learning_rate.model_copy(update={"drops": 20})})
    with pytest.raises(ParamsError, match=r"tune.space.striatum.epochs.low = 20: must be above .*drops \(20\)"):
        search_space(space, CLASSIFIER, steps, ["epochs"], striatum())
