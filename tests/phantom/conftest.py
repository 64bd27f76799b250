"""A small phantom cohort on a plain head, which needs no template."""

from pathlib import Path

import pytest

import datspect.phantom.cohort
from datspect.imaging.regions import Ellipsoid, ellipsoid_fractions
from datspect.imaging.volume import MNI_SHAPE, mni_affine
from datspect.params.data import PhantomParams
from datspect.params.whole import load_params
from datspect.phantom.anatomy import Activity, background
from datspect.phantom.cohort import Laboratory, build_laboratory

ROOT = Path(__file__).parents[2]
UPRIGHT = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@pytest.fixture(scope="session")
def phantom_params() -> PhantomParams:
    return load_params(ROOT / "params.yaml").phantom.model_copy(update={"n_pd": 4, "n_control": 2})


@pytest.fixture(scope="session")
def plain_head() -> Activity:
    """An egg of grey matter around white matter, scalp outside, no striata."""
    brain = ellipsoid_fractions(Ellipsoid((0, -18, 6), (68, 86, 66), UPRIGHT), MNI_SHAPE, mni_affine())
    white = ellipsoid_fractions(Ellipsoid((0, -18, 6), (50, 70, 50), UPRIGHT), MNI_SHAPE, mni_affine())
    return background(brain - white, white, brain > 0.5)


@pytest.fixture(scope="session")
def laboratory(phantom_params: PhantomParams, plain_head: Activity) -> Laboratory:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datspect.phantom.cohort, "_N_CALIBRATION_HEADS", 4)
        return build_laboratory(phantom_params, plain_head, n_jobs=1)


@pytest.fixture
def still_params(phantom_params: PhantomParams) -> PhantomParams:
    """Everybody has the same head, perfectly registered."""
    varying = [
        name for name in type(phantom_params).model_fields if name.startswith(("registration", "head", "nucleus"))
    ]
    return phantom_params.model_copy(update=dict.fromkeys(varying, 0.0))
