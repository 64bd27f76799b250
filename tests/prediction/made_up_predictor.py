"""Predictors of both models with random weights, whole and made in seconds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from datspect.evaluation.withholding import Withholding
from datspect.imaging.appearance import APPEARANCE
from datspect.imaging.slabs import SLABS_SHAPE
from datspect.modeling.backbone import build_backbone, set_random_weights
from datspect.modeling.classifier import build_classifier
from datspect.modeling.ensemble import joined_head
from datspect.modeling.heads import FittedHead, HeadWeights
from datspect.modeling.model_files import write_model
from datspect.modeling.striatal_layout import Size
from datspect.modeling.striatal_network import initial_weights
from datspect.modeling.whole_ensemble import build_ensemble
from datspect.params.data import PreprocessParams
from datspect.params.judging import PredictionParams
from datspect.prediction.files import write_parts
from datspect.prediction.judging import TrainingRole, fit_parts, judge_doubt

PREPROCESS = PreprocessParams(
    slices=[40, 41, 42],
    intensity="image_max",
    input_size="native",
    smooth_fwhm_mm=None,
    z_offset_voxels=4.0,
    on_bad_scan="stop",
)
N_RATIOS = 8
"""Two sides of caudate, putamen and its two halves."""
RULES = PredictionParams(coverage=0.9, ratio_c=1.0, typical_share=0.99, withheld_share=0.01, typical_directions=4)


ANSWERED = Withholding({}, at_most=0.01)
"""Limits that withhold nothing: features and measures of made-up subjects are like those of no scan."""


def write_predictor(folder: Path, withholding: Withholding = ANSWERED) -> None:
    """MobileNetV2 and a head, calibrated on made-up scores of 60 subjects of a phantom."""
    rng = np.random.default_rng(2)
    backbone = build_backbone("MobileNetV2", (109, 91))
    set_random_weights(backbone, 1)
    n_features = backbone.output_shape[-1]
    kernel = (rng.normal(size=(n_features, 4)) / np.sqrt(n_features)).astype(np.float32)
    head = HeadWeights(kernel, np.zeros(4, np.float32), rng.normal(size=4).astype(np.float32), 0.0)
    role = _role(rng, n_features)
    write_model(folder / "model.keras", build_classifier(backbone, head, 0.5))
    parts = fit_parts(role, judge_doubt(role, RULES), "phantom", PREPROCESS, RULES)
    write_parts(folder, replace(parts, withholding=withholding))


def random_ensemble(maps: int, units: int, n_members: int) -> FittedHead:
    """An ensemble whose weights and biases are all drawn."""
    rng = np.random.default_rng(5)
    started = {f"member{k}": initial_weights(Size(maps, units), seed=k) for k in range(1, n_members + 1)}
    layers = {
        name: [(each + rng.normal(0, 0.05, each.shape)).astype(np.float32) for each in weights]
        for name, weights in started.items()
    }
    return FittedHead("final", joined_head(list(layers.values())), {}, None, layers)


def write_striatal_predictor(folder: Path) -> None:
    """Three members of the recipe's size, judged by made-up scores of 60 subjects of a phantom."""
    rng = np.random.default_rng(2)
    fitted = random_ensemble(12, 16, 3)
    role = replace(
        _role(rng, 3 * 2 * 16),
        spread=rng.random(60),
        normal=np.full(SLABS_SHAPE, 1.5, np.float32),
    )
    write_model(folder / "model.keras", build_ensemble(fitted, 0.0))
    parts = fit_parts(role, judge_doubt(role, RULES), "phantom", PREPROCESS, RULES, "striatum")
    write_parts(folder, replace(parts, withholding=ANSWERED))


def _role(rng: np.random.Generator, n_features: int) -> TrainingRole:
    labels = np.arange(60) % 2
    measures = pd.DataFrame(
        {"peak_slice": 41.0, "striatal_contrast": np.linspace(1, 99, 60), "image_mean": 0.2}, index=range(60)
    ).assign(**{name: np.linspace(0, 1, 60) for name in APPEARANCE})
    ratios = rng.normal(size=(60, N_RATIOS)) - labels[:, None]
    return TrainingRole(
        labels, np.arange(60) % 5, rng.normal(size=60) + labels, ratios, rng.random((60, n_features)), measures
    )
