import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

import datspect.phantom.cohort
from datspect.cohort.table import read_cohort
from datspect.imaging.regions import Ellipsoid, ellipsoid_fractions
from datspect.imaging.volume import MNI_SHAPE, mni_affine
from datspect.stages.phantom import TILES_PER_LABEL, main, scans_to_show

UPRIGHT = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def plain_head() -> np.ndarray:
    return ellipsoid_fractions(Ellipsoid((0, -18, 6), (68, 86, 66), UPRIGHT), MNI_SHAPE, mni_affine())


def test_the_stage_writes_cohort_truth_and_pictures(tmp_path, write_params, monkeypatch):
    monkeypatch.setattr(datspect.phantom.cohort, "read_background", plain_head)
    monkeypatch.setattr(datspect.phantom.cohort, "_N_CALIBRATION_HEADS", 2)
    params = write_params(phantom={"n_pd": 2, "n_control": 1})
    cohort_folder, truth_path, sheet_path = tmp_path / "cohort", tmp_path / "truth.csv", tmp_path / "sheet.png"
    main(cohort_folder, truth_path, sheet_path, params)
    scans = read_cohort(cohort_folder).scans
    truth = pd.read_csv(truth_path)
    assert list(truth["scan_id"]) == list(scans["scan_id"])
    assert sorted(scans["label"]) == ["control", "pd", "pd"]
    assert {"true_caudate_left", "measured_putamen_posterior_right", "peak_slice"} <= set(truth.columns)
    assert imread(sheet_path).std() > 0.05


@pytest.mark.parametrize("n", [1, 5, 200])
def test_pictures_span_each_label_from_high_to_low(n):
    rng = np.random.default_rng(0)
    truth = pd.DataFrame(
        {
            "label": ["control", "pd"] * n,
            "measured_putamen_left": rng.random(2 * n),
            "measured_putamen_right": rng.random(2 * n),
        }
    )
    shown = scans_to_show(truth)
    worse = truth[["measured_putamen_left", "measured_putamen_right"]].min(axis=1)
    for label in ("control", "pd"):
        values = shown.loc[shown["label"] == label, "worse_putamen"]
        assert len(values) == min(n, TILES_PER_LABEL)
        assert values.is_monotonic_decreasing
        assert (values.iloc[0], values.iloc[-1]) == (
            worse[truth["label"] == label].max(),
            worse[truth["label"] == label].min(),
        )
