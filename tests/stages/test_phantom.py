import numpy as np
import pandas as pd
from matplotlib.image import imread

import datspect.phantom.cohort
from datspect.cohort.table import read_cohort
from datspect.imaging.regions import Ellipsoid, ellipsoid_fractions
from datspect.imaging.volume import MNI_SHAPE, mni_affine
from datspect.phantom.background import Background, background
from datspect.stages.phantom import main

UPRIGHT = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def plain_head() -> Background:
    brain = ellipsoid_fractions(Ellipsoid((0, -18, 6), (68, 86, 66), UPRIGHT), MNI_SHAPE, mni_affine())
    return background(brain, np.zeros_like(brain), brain > 0.5)


def test_the_stage_writes_cohort_truth_and_pictures(tmp_path, write_params, monkeypatch):
    monkeypatch.setattr(datspect.phantom.cohort, "read_background", plain_head)
    params = write_params(phantom={"n_pd": 2, "n_control": 1, "n_sites": 2})
    cohort_folder, truth_path, sheet_path = tmp_path / "cohort", tmp_path / "truth.csv", tmp_path / "sheet.png"
    main(cohort_folder, truth_path, sheet_path, params)
    scans = read_cohort(cohort_folder).scans
    truth = pd.read_csv(truth_path)
    assert list(truth["scan_id"]) == list(scans["scan_id"])
    assert sorted(scans["label"]) == ["control", "pd", "pd"]
    assert {"true_caudate_left", "measured_putamen_posterior_right", "peak_slice"} <= set(truth.columns)
    beside_the_scans = pd.read_csv(cohort_folder / "truth.csv")
    regions = [column for column in truth.columns if column.startswith("true_")]
    pd.testing.assert_frame_equal(beside_the_scans, truth[["scan_id", *regions]])
    assert imread(sheet_path).std() > 0.05
