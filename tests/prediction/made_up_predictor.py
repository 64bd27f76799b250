"""A predictor with random weights, whole and made in seconds."""

from pathlib import Path

import numpy as np
import pandas as pd

from datspect.modeling.backbone import build_backbone, set_random_weights
from datspect.modeling.classifier import build_classifier
from datspect.modeling.heads import HeadWeights
from datspect.modeling.model_files import write_model
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
RULES = PredictionParams(coverage=0.9, ratio_c=1.0, typical_share=0.99, typical_directions=4)


def write_predictor(folder: Path) -> None:
    """MobileNetV2 and a head, calibrated on made-up scores of 60 subjects of a phantom."""
    rng = np.random.default_rng(2)
    backbone = build_backbone("MobileNetV2", (109, 91))
    set_random_weights(backbone, 1)
    n_features = backbone.output_shape[-1]
    kernel = (rng.normal(size=(n_features, 4)) / np.sqrt(n_features)).astype(np.float32)
    head = HeadWeights(kernel, np.zeros(4, np.float32), rng.normal(size=4).astype(np.float32), 0.0)
    labels = np.arange(60) % 2
    measures = pd.DataFrame(
        {"peak_slice": 41.0, "striatal_contrast": np.linspace(1, 99, 60), "image_mean": 0.2}, index=range(60)
    )
    ratios = rng.normal(size=(60, N_RATIOS)) - labels[:, None]
    role = TrainingRole(
        labels, np.arange(60) % 5, rng.normal(size=60) + labels, ratios, rng.random((60, n_features)), measures
    )
    write_model(folder / "model.keras", build_classifier(backbone, head, 0.5))
    write_parts(folder, fit_parts(role, judge_doubt(role, RULES), "phantom", PREPROCESS, RULES))
