"""A registration is refused for each fault alone, in words, and what is not known is a fault."""

from dataclasses import replace

import numpy as np
import pytest
from tests.normalisation.moved_heads import OFFSET_VOXELS, imaged, pose

from datspect.imaging.registration import Registration
from datspect.normalisation import verdict
from datspect.normalisation.placing import head_template
from datspect.normalisation.striata import Striata
from datspect.normalisation.verdict import RegistrationQuality, quality_of

STRIATA = Striata(contrast=2.5, likeness=0.9, offset_mm=0.0)
GOOD = RegistrationQuality(
    likeness=0.98, in_view=0.9, needed_in_view=1.0, sizes=(0.95, 1.0), shear=0.01, is_plausible=True, striata=STRIATA
)
NAN = float("nan")
FAULTS = [
    ({"needed_in_view": 0.99}, "does not hold both striata and the occipital lobes"),
    ({"in_view": 0.69}, "too little of the head"),
    ({"likeness": 0.93}, "does not look like a DaT scan of a head"),
    ({"is_plausible": False}, "a size and shape that people do not have"),
    ({"striata": replace(STRIATA, contrast=1.49)}, "no striata stand out"),
    ({"striata": replace(STRIATA, likeness=0.65)}, "no striata stand out"),
    ({"striata": replace(STRIATA, offset_mm=9.0)}, "does not lie where striata do"),
    ({"needed_in_view": NAN}, "does not hold both striata"),
    ({"in_view": NAN}, "too little of the head"),
    ({"likeness": NAN}, "does not look like a DaT scan"),
    ({"striata": replace(STRIATA, contrast=NAN)}, "no striata stand out"),
    ({"striata": replace(STRIATA, likeness=NAN)}, "no striata stand out"),
    ({"striata": replace(STRIATA, offset_mm=NAN)}, "does not lie where striata do"),
]


def test_a_good_one_is_kept_at_its_limits_too() -> None:
    assert GOOD.reasons == ()
    limits = RegistrationQuality(
        likeness=verdict.LEAST_LIKENESS,
        in_view=verdict.LEAST_IN_VIEW,
        needed_in_view=verdict.LEAST_NEEDED_IN_VIEW,
        sizes=(0.8, 0.9),
        shear=0.0,
        is_plausible=True,
        striata=Striata(
            verdict.LEAST_CONTRAST, verdict.LEAST_STRIATAL_LIKENESS, offset_mm=verdict.MOST_STRIATAL_OFFSET_MM
        ),
    )
    assert limits.reasons == ()


@pytest.mark.parametrize(("fault", "reason"), FAULTS)
def test_each_fault_alone_is_the_one_reason(fault: dict[str, object], reason: str) -> None:
    [found] = replace(GOOD, **fault).reasons  # type: ignore[arg-type]
    assert reason in found


def test_several_faults_are_all_named() -> None:
    assert len(replace(GOOD, likeness=0.1, in_view=0.1, is_plausible=False).reasons) == 3


def test_the_table_has_every_measure_once_and_numbers_alone() -> None:
    assert tuple(GOOD.measures) == verdict.MEASURES
    assert all(isinstance(value, float) for value in GOOD.measures.values())


def test_what_lies_in_view_is_counted_where_the_scan_has_voxels() -> None:
    template = head_template(OFFSET_VOXELS)
    to_scan = pose((0, 0, 0), (30, 10, -20), (0.9, 1.0, 1.1))
    whole, half = imaged(to_scan, shape=(64, 64, 64)), imaged(to_scan, shape=(64, 64, 64))
    half = replace(half, data=half.data[32:])
    half.affine[:3, 3] += half.affine[:3, 0] * 32  # the right half of the head alone
    points = np.array([[20.0, 0.0, 10.0], [-20.0, 0.0, 10.0], [-22.0, 0.0, 10.0], [22.0, 0.0, 10.0]])
    registration = Registration(to_scan, "", 0.97)
    of_whole, of_half = (quality_of(registration, scan, template, STRIATA, points) for scan in (whole, half))
    assert (of_whole.in_view, of_whole.needed_in_view) == (1.0, 1.0)
    assert of_half.needed_in_view == 0.5
    assert 0.4 < of_half.in_view < 0.6
    assert of_whole.sizes == pytest.approx((0.9, 1.1))
    assert of_whole.is_plausible is False, "1.22 is more uneven than people are"
    assert of_whole.likeness == 0.97
