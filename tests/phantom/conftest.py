"""Make a small phantom cohort on a plain head, which needs no template."""

from pathlib import Path

import numpy as np
import pytest

from datspect.imaging.regions import Ellipsoid, ellipsoid_fractions
from datspect.imaging.volume import MNI_SHAPE, mni_affine
from datspect.params.data import FamilyShares, PhantomParams
from datspect.params.whole import load_params
from datspect.phantom.acquisition import Camera, build_camera, coarsened
from datspect.phantom.background import Activity, Background, background
from datspect.phantom.binding import Person, draw_person
from datspect.phantom.cohort import Laboratory, build_laboratory

ROOT = Path(__file__).parents[2]
UPRIGHT = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@pytest.fixture(scope="session")
def phantom_params() -> PhantomParams:
    """Return a small cohort of three sites, one of each family."""
    small = {"n_pd": 4, "n_control": 2, "n_sites": 3, "misregistered": 0.0}
    shares = FamilyShares(fbp=1, osem_chang=1, osem_recovery=1)
    return load_params(ROOT / "params.yaml").phantom.model_copy(update={**small, "family_shares": shares})


@pytest.fixture(scope="session")
def plain_head() -> Background:
    """Return an egg of grey matter around white matter, skull and scalp outside, no striata."""
    brain = ellipsoid_fractions(Ellipsoid((0, -18, 6), (68, 86, 66), UPRIGHT), MNI_SHAPE, mni_affine())
    white = ellipsoid_fractions(Ellipsoid((0, -18, 6), (50, 70, 50), UPRIGHT), MNI_SHAPE, mni_affine())
    return background(brain - white, white, brain > 0.5)


@pytest.fixture(scope="session")
def camera(plain_head: Background) -> Camera:
    return build_camera(coarsened(plain_head.uptake))


@pytest.fixture(scope="session")
def striatal_activity(plain_head: Background) -> Activity:
    """Return the plain head with a hot ball where the right striatum is, on the 4 mm grid."""
    ball = ellipsoid_fractions(Ellipsoid((22, 2, 2), (12, 12, 12), UPRIGHT), MNI_SHAPE, mni_affine())
    return coarsened(plain_head.uptake + 5 * ball)


@pytest.fixture(scope="session")
def laboratory(phantom_params: PhantomParams, plain_head: Background) -> Laboratory:
    return build_laboratory(phantom_params, plain_head, n_workers=1)


@pytest.fixture
def still_params(phantom_params: PhantomParams) -> PhantomParams:
    """Everybody has the same head, perfectly registered."""
    starts = ("registration", "head", "nucleus", "brain_uptake")
    varying = [name for name in type(phantom_params).model_fields if name.startswith(starts)]
    return phantom_params.model_copy(update=dict.fromkeys(varying, 0.0))


@pytest.fixture
def healthy() -> Person:
    return draw_person("control", "typical", 0.0, np.random.default_rng(3))
