"""The saved ensemble says what the fitted one does."""

from pathlib import Path

import numpy as np
import pytest
from tests.modeling.test_ensemble import N, head, made_up_material

from datspect.imaging.slabs import SLABS_SHAPE
from datspect.modeling.compilation import gradient_of
from datspect.modeling.ensemble import fit_ensemble
from datspect.modeling.folding import folded
from datspect.modeling.heads import FittedHead, logits
from datspect.modeling.model_files import read_model, write_model
from datspect.modeling.whole_ensemble import build_ensemble
from datspect.training.crossval import probabilities

MATERIAL = made_up_material()
VIEWS = MATERIAL.bank[0].astype(np.float32).reshape(N, *SLABS_SHAPE)


@pytest.fixture(scope="module")
def fitted() -> FittedHead:
    return fit_ensemble(head(), MATERIAL)


def test_it_has_the_probabilities_of_the_head_saved_and_folded_too(fitted: FittedHead, tmp_path: Path) -> None:
    assert fitted.features is not None
    expected = probabilities(logits(fitted.weights, fitted.features))
    model = build_ensemble(fitted, 0.2)
    write_model(tmp_path / "model.keras", model)
    for each in (model, folded(read_model(tmp_path / "model.keras"))):
        np.testing.assert_allclose(each.predict(VIEWS, verbose=0)[:, 0], expected, atol=1e-5)
    alone = model.predict(VIEWS[:1], verbose=0)[0, 0]
    assert alone == pytest.approx(expected[0], abs=1e-5)


def test_its_features_are_the_readings(fitted: FittedHead) -> None:
    read = build_ensemble(fitted, 0.2).get_layer("features")(VIEWS)
    np.testing.assert_allclose(np.asarray(read), fitted.features, atol=1e-5)


def test_gradients_reach_every_slab(fitted: FittedHead) -> None:
    gradient = gradient_of(build_ensemble(fitted, 0.2))(VIEWS)
    assert gradient.shape == VIEWS.shape
    assert np.isfinite(gradient).all()
    assert (np.abs(gradient).sum(axis=(0, 1, 2)) > 0).all()
