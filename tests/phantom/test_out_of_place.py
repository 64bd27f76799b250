"""What nobody may answer, on the MNI grid: it lies there, repeats, and differs from ordinary scans in some measure."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from datspect.cohort.screening import check_volume, measure_quality, mni_regions
from datspect.cohort.table import LABELS
from datspect.errors import ScanError
from datspect.evaluation.withholding import Withholding, fit_withholding
from datspect.imaging.orientation import reorient
from datspect.imaging.volume import MNI_SHAPE, Volume, mni_affine
from datspect.params.whole import load_params
from datspect.phantom.cohort import Laboratory, simulate
from datspect.phantom.out_of_place import ALTERED, OUT_OF_PLACE, out_of_place_scan
from datspect.phantom.uprightness import check_uprightness

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml").preprocess
MEASURES = ["peak_slice", "striatal_contrast", "unevenness", "air", "grain"]
N_ORDINARY = 10


def measured(volume: Volume) -> dict[str, float]:
    quality = measure_quality(reorient(volume), PARAMS, mni_regions(PARAMS))
    return {name: float(quality[name]) for name in MEASURES}


def ordinary(laboratory: Laboratory, index: int) -> Volume:
    return Volume(simulate(laboratory, LABELS[index % 2], index).data, mni_affine())


@pytest.fixture(scope="module")
def limits(laboratory: Laboratory) -> Withholding:
    rows = [measured(ordinary(laboratory, index)) for index in range(N_ORDINARY)]
    return fit_withholding(pd.DataFrame(rows), 0.1, tail=0.99, one_sided=frozenset({"air"}))


@pytest.mark.parametrize("kind", OUT_OF_PLACE)
def test_every_kind_is_refused_or_lies_beyond_the_limits_of_ordinary_scans(
    laboratory: Laboratory, limits: Withholding, kind: str
) -> None:
    volume = out_of_place_scan(kind, laboratory, 1)  # type: ignore[arg-type]
    assert volume.data.shape == MNI_SHAPE
    assert np.isfinite(volume.data).all()
    try:
        check_volume(reorient(volume))
        beyond = limits.beyond(measured(volume))
    except ScanError:
        return
    assert beyond or check_uprightness(reorient(volume)).best  # predict refuses heads that lie the wrong way


def test_few_ordinary_scans_of_other_subjects_are_beyond_the_limits(
    laboratory: Laboratory, limits: Withholding
) -> None:
    others = [measured(ordinary(laboratory, N_ORDINARY + index)) for index in range(1, 7)]
    assert sum(bool(limits.beyond(each)) for each in others) <= 2  # each one with a chance of a tenth


def test_a_kind_repeats_and_goes_on(laboratory: Laboratory) -> None:
    one, same, other = (out_of_place_scan("shuffled_slices", laboratory, index).data for index in (1, 1, 3))
    np.testing.assert_array_equal(one, same)
    assert one.tobytes() != other.tobytes()


def test_five_grey_levels_are_five_and_voxels_out_of_order_are_the_same_ones(laboratory: Laboratory) -> None:
    scan = reorient(ordinary(laboratory, 1)).data
    assert len(np.unique(out_of_place_scan("five_grey_levels", laboratory, 1).data)) <= 5
    for kind in ("shuffled_voxels", "shuffled_slices", "upside_down", "on_its_side"):
        assert kind in ALTERED
        altered = out_of_place_scan(kind, laboratory, 1).data  # type: ignore[arg-type]
        np.testing.assert_array_equal(np.sort(altered.ravel()), np.sort(scan.ravel()))
