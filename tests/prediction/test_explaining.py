"""An answer explained by a network whose attributions are known: its log odds are the sum of the mean intensities."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from tests.conftest import MakeVolume
from tests.prediction.made_up_predictor import PREPROCESS

from datspect.errors import ScanError
from datspect.imaging.volume import Volume
from datspect.io.scan_reading import read_nifti_bytes
from datspect.io.volumes import write_volume
from datspect.modeling.classifier import build_classifier
from datspect.modeling.heads import HeadWeights
from datspect.prediction import explaining
from datspect.prediction.explaining import Explainer
from datspect.prediction.keras_network import KerasNetwork
from datspect.prediction.predictor import Answer, Predictor, PreparedScan

WEIGHT = 2.0
ANSWER = Answer(
    probability=0.62, prevalence=0.68, likelihood_ratio=0.77, model_probability=0.6, prediction="pd",
    ratio_probability=0.31, error_risk=0.4, inconclusive=True,
    unlike=("peak_slice", "features"), flags=(),
    measures={f"sbr_{part}_{side}": 1.0 for part in ("caudate", "putamen") for side in ("left", "right")},
)  # fmt: skip


def explainer_of(input_size: str | list[int] = "native") -> Explainer:
    inputs = keras.Input((109, 91, 3))
    means = keras.layers.GlobalAveragePooling2D(name="features")(inputs)
    head = HeadWeights(np.ones((3, 1), np.float32), np.zeros(1, np.float32), np.array([WEIGHT], np.float32), 0.0)
    parts = SimpleNamespace(
        preprocess=PREPROCESS.model_copy(update={"input_size": input_size}), cohort_kind="phantom", model="paper"
    )
    predictor = Predictor(Path("nowhere"), parts)  # type: ignore[arg-type]
    vars(predictor)["network"] = KerasNetwork(build_classifier(keras.Model(inputs, means), head, 0.5))
    return Explainer(predictor)


@pytest.fixture(scope="module")
def explainer() -> Explainer:
    return explainer_of()


@pytest.fixture
def scan(make_volume: MakeVolume, tmp_path: Path) -> PreparedScan:
    """A head of one brightness in the dark, with brighter putamina, 8 mm above MNI."""
    write_volume(tmp_path / "scan.nii", make_volume(caudate=0.0, putamen=3.0, shift_mm=8.0))
    predictor = Predictor(Path("nowhere"), SimpleNamespace(preprocess=PREPROCESS, model="paper"))  # type: ignore[arg-type]
    prepared = predictor.prepare(read_nifti_bytes((tmp_path / "scan.nii").read_bytes()))
    image = np.select([prepared.image > 0.5, prepared.image > 0.1], [1.0, 0.25]).astype(np.float32)
    return replace(prepared, image=image)


def test_every_voxel_has_its_weight_times_what_is_above_the_median_of_the_head(
    explainer: Explainer, scan: PreparedScan
) -> None:
    found = explainer.explain(scan)
    expected = np.where(scan.image == 1, WEIGHT * (1 - 0.25) / (109 * 91), 0)
    np.testing.assert_allclose(found.attribution.values, expected, atol=1e-7)
    assert found.attribution.complete


def test_what_is_bright_in_the_striatum_counts_as_striatal(explainer: Explainer, scan: PreparedScan) -> None:
    assert explainer.explain(scan).striatal_share > 0.95
    turned = replace(scan, image=scan.image[::-1].copy())  # the same spots, behind the striatum
    assert explainer.explain(turned).striatal_share < 0.15


def test_the_striatum_is_sought_as_high_as_the_scan_lies(
    explainer: Explainer, scan: PreparedScan, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert scan.volume is not None
    higher = replace(scan, volume=Volume(np.roll(scan.volume.data, 4, axis=2), scan.volume.affine))
    offsets = [explainer.explain(each).z_offset_voxels for each in (scan, higher)]
    assert offsets[1] - offsets[0] == pytest.approx(4, abs=0.1)
    far_up = SimpleNamespace(z_offset_voxels=14.0)
    monkeypatch.setattr(explaining, "check_uprightness", lambda volume: far_up)
    assert explainer.explain(scan).striatal_share < 0.15  # in a scan that lies so high, these slices are below it


def test_an_image_without_anything_bright_has_no_striatal_share(explainer: Explainer, scan: PreparedScan) -> None:
    assert explainer.explain(replace(scan, image=np.full_like(scan.image, 0.3))).striatal_share == 0.0


def test_a_scan_without_its_volume_cannot_be_explained(explainer: Explainer, scan: PreparedScan) -> None:
    with pytest.raises(ValueError, match="without its volume"):
        explainer.explain(replace(scan, volume=None))


def test_the_figure_says_whose_model_it_is_and_the_answer_in_words(explainer: Explainer, scan: PreparedScan) -> None:
    title = explainer.figure(scan, ANSWER, "scan.nii").get_suptitle()
    assert "model of a PHANTOM cohort" in title
    assert (
        "scan.nii: pd, P(PD) 0.620 at 68 % PD, 0.310 by the binding ratios, INCONCLUSIVE; "
        "unlike the training cohort: peak_slice, features" in title
    )
    sure = replace(ANSWER, inconclusive=False, unlike=())
    assert (
        "pd, P(PD) 0.620 at 68 % PD, 0.310 by the binding ratios, conclusive\n"
        in explainer.figure(scan, sure, "scan.nii").get_suptitle()
    )


def test_there_is_no_figure_of_a_model_that_sees_another_size(scan: PreparedScan) -> None:
    with pytest.raises(ScanError, match="input_size: native"):
        explainer_of([120, 100]).figure(scan, ANSWER, "scan.nii")
