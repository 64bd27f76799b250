"""A template of one's own is the mean of a cohort's controls, whatever each of them is scaled by."""

import numpy as np
import pandas as pd
import pytest
from tests.normalisation.moved_heads import OFFSET_VOXELS, distances_mm, imaged, pose, read

from datspect.cohort.kind import CohortKind
from datspect.cohort.table import COLUMNS, Cohort, write_cohort
from datspect.errors import CohortError
from datspect.imaging.head_image import head_level
from datspect.imaging.volume import Volume, mni_affine
from datspect.io.digests import file_digest
from datspect.io.volumes import write_volume
from datspect.normalisation.own_template import LEAST_CONTROLS, template_of_controls
from datspect.normalisation.placing import placed
from datspect.phantom.template import mean_phantom


def _cohort(folder, n_controls):
    """Mean phantoms with other gains as controls, and one PD that has nothing of a head's front."""
    (folder / "volumes").mkdir(parents=True)
    head = mean_phantom(4.0).data[::-1]  # as stored, x runs to the left
    rows = []
    for number in range(n_controls + 1):
        label = "control" if number < n_controls else "pd"
        data = np.rint(head * (300 + 200 * number)) if label == "control" else np.where(head > 0, 500, 0)
        path = folder / "volumes" / f"S{number:02d}.nii"
        write_volume(path, Volume(data.astype(np.int16), mni_affine()))
        who = (f"S{number:02d}", f"P{number:02d}", label, "female", 60, "site1", "BL")
        rows.append((*who, path.relative_to(folder).as_posix(), file_digest(path)))
    write_cohort(Cohort(folder, CohortKind.PHANTOM, pd.DataFrame(rows, columns=list(COLUMNS))))
    return folder


def test_the_template_is_the_mean_control_in_units_of_its_heads_level(tmp_path):
    template = template_of_controls(_cohort(tmp_path / "cohort", LEAST_CONTROLS), 4.0)
    head = mean_phantom(4.0).data
    assert template.z_offset_mm == 8.0
    found = template.volume.data
    assert np.corrcoef(found.ravel(), head.ravel())[0, 1] > 0.9999
    assert head_level(found.ravel()) == pytest.approx(1.0, abs=0.02)


def test_a_scan_is_placed_by_a_template_of_ones_own(tmp_path):
    own = template_of_controls(_cohort(tmp_path / "cohort", LEAST_CONTROLS), OFFSET_VOXELS)
    to_scan = pose((10, -7, 12), (45, -20, 35), (1.04, 0.98, 1.0))
    scan = read(imaged(to_scan))
    found = placed(scan, z_offset_voxels=OFFSET_VOXELS, template=own)
    assert found.how == "registered"
    assert found.quality.reasons == ()
    assert distances_mm(found.to_scan, to_scan).max() < 2
    by_mean_phantom = placed(scan, z_offset_voxels=OFFSET_VOXELS)
    assert not np.array_equal(found.to_scan, by_mean_phantom.to_scan), "the template is the one that was given"


def test_too_few_controls_make_no_template(tmp_path):
    with pytest.raises(CohortError, match=f"{LEAST_CONTROLS - 1} controls; a template is the mean of {LEAST_CONTROLS}"):
        template_of_controls(_cohort(tmp_path / "cohort", LEAST_CONTROLS - 1), 4.0)


def test_another_template_has_another_digest(tmp_path):
    own = template_of_controls(_cohort(tmp_path / "cohort", LEAST_CONTROLS), 4.0)
    again = template_of_controls(tmp_path / "cohort", 4.0)
    assert own.digest == again.digest
    lower = template_of_controls(_cohort(tmp_path / "more", LEAST_CONTROLS + 3), 4.0)
    assert own.digest != lower.digest
