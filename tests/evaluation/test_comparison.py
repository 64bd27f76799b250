"""Two models on the same subjects differ by what theory says."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom

from datspect.evaluation.comparison import Predictions, compare_holdout, compare_out_of_fold, mcnemar_p
from datspect.evaluation.intervals import delong_difference
from datspect.evaluation.metrics import binary_metrics, predicted_labels

Labels = NDArray[np.int64]


def model(probabilities: NDArray[np.float64]) -> Predictions:
    return Predictions(predicted_labels(probabilities), probabilities, probabilities)


def two_models(rng: np.random.Generator, n: int = 300) -> tuple[Labels, Predictions, Predictions]:
    """Return a good and a worse model of the same subjects, whose mistakes go together."""
    labels = (np.arange(n) % 3 > 0).astype(np.int64)
    shared = rng.normal(size=n) + 2 * (2 * labels - 1)
    logits = [shared + rng.normal(size=n) * noise for noise in (0.4, 1.5)]
    first, second = (model(1 / (1 + np.exp(-values))) for values in logits)
    return labels, first, second


def swapped(differences: dict[str, float]) -> dict[str, float]:
    """Return what the same comparison must say with the models exchanged."""
    names = [name for name in differences if name.endswith("_difference")]
    result = {"n_only_network_right": "n_only_other_right", "n_only_other_right": "n_only_network_right"}
    turned = {name: differences[result.get(name, name)] for name in differences}
    for name in names:
        turned |= {name: -differences[name], f"{name}_low": -differences[f"{name}_high"]}
        turned[f"{name}_high"] = -differences[f"{name}_low"]
    return turned


def test_a_model_differs_from_itself_by_exactly_nothing(rng: np.random.Generator) -> None:
    labels, network, _ = two_models(rng)
    out_of_fold = compare_out_of_fold(labels, network, network)
    names = {f"{name}_difference{end}" for name in ("accuracy", "roc_auc", "loss") for end in ("", "_low", "_high")}
    assert out_of_fold == dict.fromkeys(names, 0.0)
    holdout = compare_holdout(labels, network, network)
    assert holdout["mcnemar_p"] == holdout["delong_p"] == 1.0
    assert holdout["n_only_network_right"] == holdout["n_only_other_right"] == holdout["accuracy_difference"] == 0
    assert holdout["roc_auc_difference_low"] == holdout["roc_auc_difference_high"] == 0
    # Agreement on 300 subjects does not prove equal accuracy on the next one.
    assert -0.02 < holdout["accuracy_difference_low"] < 0 < holdout["accuracy_difference_high"] < 0.02


def test_exchanging_the_models_turns_every_difference(rng: np.random.Generator) -> None:
    labels, network, other = two_models(rng)
    for compare in (compare_out_of_fold, compare_holdout):
        assert compare(labels, other, network) == pytest.approx(swapped(compare(labels, network, other)))


def test_differences_are_those_of_the_single_measures(rng: np.random.Generator) -> None:
    labels, network, other = two_models(rng)
    mine, theirs = binary_metrics(labels, network.scores), binary_metrics(labels, other.scores)
    out_of_fold, holdout = compare_out_of_fold(labels, network, other), compare_holdout(labels, network, other)
    for name in ("accuracy", "roc_auc", "loss"):
        key = f"{name}_difference"
        assert out_of_fold[key] == pytest.approx(mine[name] - theirs[name])
        assert out_of_fold[f"{key}_low"] < out_of_fold[key] < out_of_fold[f"{key}_high"]
        if name != "loss":
            assert holdout[key] == pytest.approx(mine[name] - theirs[name])


def test_both_models_get_the_same_resample(rng: np.random.Generator) -> None:
    labels, network, _ = two_models(rng)
    near = model(np.clip(network.scores + rng.normal(size=300) * 0.02, 0.001, 0.999))
    ours, alone = compare_out_of_fold(labels, network, near), binary_metrics(labels, near.scores)
    # Unpaired resamples would give the difference of two like models about 1.4 times the width of each.
    for name in ("roc_auc", "loss"):
        width = ours[f"{name}_difference_high"] - ours[f"{name}_difference_low"]
        assert width < 0.7 * (alone[f"{name}_high"] - alone[f"{name}_low"])


def test_the_paired_bootstrap_agrees_with_delong_and_with_normal_theory(rng: np.random.Generator) -> None:
    labels, network, other = two_models(rng, 600)
    ours = compare_out_of_fold(labels, network, other)
    delong = delong_difference(labels, network.scores, other.scores)
    width = ours["roc_auc_difference_high"] - ours["roc_auc_difference_low"]
    assert width == pytest.approx(delong.high - delong.low, rel=0.1)
    gained = (network.predictions == labels).astype(float) - (other.predictions == labels)
    variance = sum(np.sum(labels == k) * gained[labels == k].var() for k in (0, 1)) / 600**2
    width = ours["accuracy_difference_high"] - ours["accuracy_difference_low"]
    assert width == pytest.approx(2 * 1.96 * np.sqrt(variance), rel=0.12)  # steps of 1 / 600


def test_scores_without_probabilities_have_no_loss_and_any_scale(rng: np.random.Generator) -> None:
    labels, network, other = two_models(rng, 90)
    threshold = Predictions(other.predictions, 40 * other.scores - 3)
    ours = compare_out_of_fold(labels, network, threshold)
    full = compare_out_of_fold(labels, network, other)
    assert ours == pytest.approx({name: value for name, value in full.items() if not name.startswith("loss")})
    assert compare_holdout(labels, network, threshold) == pytest.approx(compare_holdout(labels, network, other))


def test_a_file_can_hold_the_comparisons_of_six_subjects() -> None:
    labels = np.array([1, 1, 1, 0, 0, 0])
    network, other = model(np.array([0.9, 0.8, 0.7, 0.3, 0.2, 0.1])), model(np.array([0.9, 0.2, 0.7, 0.8, 0.2, 0.1]))
    holdout = compare_holdout(labels, network, other)
    bounds = {f"{name}_difference{end}" for name in ("accuracy", "roc_auc") for end in ("", "_low", "_high")}
    assert set(holdout) == {"n_only_network_right", "n_only_other_right", "mcnemar_p", "delong_p"} | bounds
    assert (holdout["n_only_network_right"], holdout["n_only_other_right"], holdout["mcnemar_p"]) == (2, 0, 0.5)
    for result in (holdout, compare_out_of_fold(labels, network, other)):
        assert json.loads(json.dumps(result, allow_nan=False)) == result
        assert {type(value) for value in result.values()} <= {int, float}


def test_one_class_has_accuracy_and_loss_but_no_area() -> None:
    network, other = model(np.array([0.9, 0.8, 0.7])), model(np.array([0.9, 0.2, 0.6]))
    labels = np.ones(3, np.int64)
    assert not any("auc" in name or "delong" in name for name in compare_holdout(labels, network, other))
    out_of_fold = compare_out_of_fold(labels, network, other)
    assert not any("auc" in name for name in out_of_fold)
    assert out_of_fold["accuracy_difference"] == pytest.approx(1 / 3)
    assert out_of_fold["loss_difference"] == pytest.approx((np.log(0.2 * 0.6) - np.log(0.8 * 0.7)) / 3)


@settings(deadline=None)
@given(st.integers(0, 200), st.integers(0, 200))
def test_mcnemar_doubles_the_tail_of_a_fair_coin(first: int, second: int) -> None:
    tail = binom.cdf(min(first, second), first + second, 0.5)
    assert mcnemar_p(first, second) == pytest.approx(min(1.0, 2 * tail))
    assert mcnemar_p(first, second) == mcnemar_p(second, first)
