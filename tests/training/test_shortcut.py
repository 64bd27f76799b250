"""A site that depends on the label is a shortcut: random folds reward it, grouped folds show it, the check says so."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from datspect.evaluation.baselines import Baseline, fold_parts, held_out_predictions
from datspect.evaluation.grouped import grouped_minus_random
from datspect.evaluation.leakage import Check, check_label_from, fit_group_share
from datspect.params.whole import load_params
from datspect.phantom.acquisition import draw_acquisition, draw_site, families_of_sites, sites_of_label
from datspect.training import crossval
from datspect.training.grouped_splitting import assign_grouped_folds
from datspect.training.splitting import subject_folds

ROOT = Path(__file__).parents[2]
N, N_SITES, N_FOLDS, N_FEATURES = 240, 12, 6, 24


@dataclass(frozen=True)
class Judged:
    check: Check
    lost: dict[str, float]


def judged(site_by_label: float) -> Judged:
    """Heads on made-up features, which show the label a little and a phantom site clearly, in both sets of folds."""
    params, rng = load_params(ROOT / "params.yaml"), np.random.default_rng(5)
    phantom = params.phantom.model_copy(update={"n_sites": N_SITES})
    families = families_of_sites(phantom, rng)
    sites = tuple(draw_site(f"site{i:02d}", family, phantom, rng) for i, family in enumerate(families))
    labels = np.arange(N) % 2
    names = [draw_acquisition(sites, rng, sites_of_label(sites, label), site_by_label).site for label in labels]
    scans = pd.DataFrame({"scan_id": [f"S{k:03d}" for k in range(N)], "subject_id": [f"P{k:03d}" for k in range(N)]})
    scans["label"] = np.where(labels == 1, "pd", "control")
    looks = dict(zip((site.name for site in sites), rng.normal(size=(N_SITES, N_FEATURES)), strict=True))
    clean = np.stack([looks[name] for name in names]) + 0.7 * rng.normal(size=(N, N_FEATURES))
    clean[:, :4] += 0.6 * (2 * labels - 1)[:, None]
    bank = np.stack([clean, clean + 0.1 * rng.normal(size=clean.shape)]).astype(np.float16)
    random = subject_folds(scans, N_FOLDS, 1, "folds")
    grouped = assign_grouped_folds(scans, pd.Series(names), N_FOLDS, 1, "site")
    classifier = params.classifier.model_copy(update={"width": 16})
    training = params.training.model_copy(update={"epochs": 30})
    said = []
    for heads in (
        crossval.cv_heads(random, classifier, training),
        crossval.grouped_heads(grouped, classifier, training),
    ):
        fitted = crossval.train(heads, bank, labels, training.batch_size, "test")
        said.append(crossval.probabilities(crossval.out_of_fold_logits(heads, fitted, bank[0].astype(np.float32))))
    codes = pd.factorize(pd.Series(names))[0].astype(float)[:, None]
    alone = held_out_predictions(Baseline("site", codes, fit_group_share), labels, fold_parts(random))
    return Judged(
        check_label_from("site_predicts_label", "site", labels, alone, 0.6, []),
        grouped_minus_random(labels, *said, names),
    )


@pytest.mark.slow
def test_the_gap_appears_where_the_site_tells_the_label_and_the_check_says_so():
    planted = judged(0.9)
    assert not planted.check.passed
    assert planted.check.figures["roc_auc"] > 0.85
    assert planted.lost["loss_difference_low"] > 0.1
    assert planted.lost["loss_difference_by_group_low"] > 0.05
    assert planted.lost["accuracy_difference_high"] < -0.03
    assert planted.lost["roc_auc_difference_high"] < -0.1


@pytest.mark.slow
def test_no_gap_is_shown_where_labels_share_their_sites():
    shared = judged(0.0)
    assert shared.check.passed
    assert shared.lost["loss_difference_by_group_low"] < 0 < shared.lost["loss_difference_by_group_high"]
    assert shared.lost["loss_difference"] < 0.1
