"""An answer explained by a network whose attributions are known: its log odds are the sum of the mean intensities."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from tests.conftest import MakeVolume
from tests.prediction.made_up_predictor import PREPROCESS, write_striatal_predictor

from datspect.cohort.kind import CohortKind
from datspect.cohort.scope import Scope
from datspect.errors import ScanError
from datspect.imaging.slabs import SLAB_EDGES_MM, SLABS_SHAPE
from datspect.imaging.volume import Volume
from datspect.io.scan_reading import read_nifti_bytes
from datspect.io.volumes import write_volume
from datspect.modeling.classifier import build_classifier
from datspect.modeling.heads import HeadWeights
from datspect.params.figures import Convention
from datspect.prediction import explaining
from datspect.prediction.attribution import Noise
from datspect.prediction.explaining import Explainer
from datspect.prediction.keras_network import KerasNetwork
from datspect.prediction.page import notes_on_pictures
from datspect.prediction.predictor import Answer, Predictor, PreparedScan

WEIGHT = 2.0
ANSWER = Answer(
    probability=0.62, prevalence=0.68, likelihood_ratio=0.77, model_probability=0.6, prediction="pd",
    ratio_probability=0.31, error_risk=0.4, inconclusive=True, withheld=(),
    unlike=("peak_slice", "features"), flags=(), how="as it is",
    measures={f"sbr_{part}_{side}": 1.0 for part in ("caudate", "putamen") for side in ("left", "right")},
)  # fmt: skip


def explainer_of(input_size: str | list[int] = "native") -> Explainer:
    inputs = keras.Input((109, 91, 3))
    means = keras.layers.GlobalAveragePooling2D(name="features")(inputs)
    head = HeadWeights(np.ones((3, 1), np.float32), np.zeros(1, np.float32), np.array([WEIGHT], np.float32), 0.0)
    parts = SimpleNamespace(
        preprocess=PREPROCESS.model_copy(update={"input_size": input_size}),
        scope=Scope(CohortKind.PHANTOM, ""),
        model="paper",
        normal=None,
    )
    predictor = Predictor(Path("nowhere"), parts)  # type: ignore[arg-type]
    vars(predictor)["network"] = KerasNetwork(build_classifier(keras.Model(inputs, means), head, 0.5))
    return Explainer(predictor)


def figure_of(explainer: Explainer, scan: PreparedScan, answer: Answer) -> Figure:
    return explainer.figure(explainer.shown(scan, answer, "scan.nii"))


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


def test_what_is_drawn_is_the_attribution_as_a_camera_would_see_it_with_the_same_sum(
    explainer: Explainer, scan: PreparedScan
) -> None:
    found = explainer.explain(scan)
    assert found.smoothed.sum() == pytest.approx(found.attribution.values.sum(), rel=1e-9)
    assert found.smoothed.max() < found.attribution.values.max()
    assert np.abs(np.diff(found.smoothed, axis=1)).max() < np.abs(np.diff(found.attribution.values, axis=1)).max() / 2


@pytest.mark.parametrize("convention", ["radiological", "neurological"])
def test_a_page_has_the_brighter_putamen_of_the_patients_left_where_the_convention_says(
    make_volume: MakeVolume, tmp_path: Path, convention: Convention
) -> None:
    """From the volume on: a marker in the left putamen alone, and what the network sees is the same either way."""
    volume = make_volume(caudate=0.0, putamen=0.0)  # stored with x from the patient's right, as its affine says
    x_mm = volume.affine[0, 0] * np.arange(91) + volume.affine[0, 3]
    is_left = ((x_mm < -22) & (x_mm > -34))[:, None, None]
    y_mm = (volume.affine[1, 1] * np.arange(109) + volume.affine[1, 3])[None, :, None]
    marked = np.where(is_left & (np.abs(y_mm) < 10) & (np.abs(np.arange(91) - 41) < 6), 5000.0, volume.data)
    write_volume(tmp_path / "marked.nii", Volume(marked, volume.affine))
    reader = Predictor(Path("nowhere"), SimpleNamespace(preprocess=PREPROCESS, model="paper"))  # type: ignore[arg-type]
    scan = reader.prepare(read_nifti_bytes((tmp_path / "marked.nii").read_bytes()))
    assert np.nonzero(scan.seen[:, :, 1] > 0.8)[1].mean() < 45, "the network sees the patient's left first"
    explainer = explainer_of()
    explainer.convention = convention
    figure = figure_of(explainer, scan, ANSWER)
    shown = np.asarray(figure.axes[2].images[0].get_array())
    place = np.nonzero(shown > 0.8)[1].mean()
    assert (place > 45) == (convention == "radiological")


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
    title = figure_of(explainer, scan, ANSWER).get_suptitle()
    assert "model of a PHANTOM cohort" in title
    assert (
        "scan.nii: pd, P(PD) 0.620 at 68 % PD, 0.310 by the binding ratios, INCONCLUSIVE; "
        "unlike the training cohort: peak_slice, features" in title
    )
    sure = replace(ANSWER, inconclusive=False, unlike=())
    assert (
        "pd, P(PD) 0.620 at 68 % PD, 0.310 by the binding ratios, conclusive\n"
        in figure_of(explainer, scan, sure).get_suptitle()
    )


def test_a_withheld_scan_has_its_reasons_and_no_probability_in_its_title(
    explainer: Explainer, scan: PreparedScan
) -> None:
    withheld = replace(ANSWER, withheld=("noisier than training scans", "no striata stand out"))
    title = figure_of(explainer, scan, withheld).get_suptitle()
    assert "scan.nii: WITHHELD: noisier than training scans; no striata stand out" in title
    assert "0.620" not in title
    assert "P(PD)" not in title


def test_there_is_no_figure_of_a_model_that_sees_another_size(scan: PreparedScan) -> None:
    with pytest.raises(ScanError, match="input_size: native"):
        figure_of(explainer_of([120, 100]), scan, ANSWER)


@pytest.fixture(scope="module")
def striatal(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder = tmp_path_factory.mktemp("striatal")
    write_striatal_predictor(folder)
    return Predictor.read(folder)


@pytest.fixture
def striatal_scan(striatal: Predictor, make_volume: MakeVolume, tmp_path: Path) -> PreparedScan:
    write_volume(tmp_path / "striatal.nii", make_volume(caudate=3.0, putamen=2.0, shift_mm=8.0))
    return striatal.prepare(read_nifti_bytes((tmp_path / "striatal.nii").read_bytes()))


def test_slabs_are_held_against_the_mean_control_and_the_parts_add_up(
    striatal: Predictor, striatal_scan: PreparedScan
) -> None:
    found = Explainer(striatal).explain(striatal_scan)
    assert striatal.parts.normal is not None
    normal = striatal.parts.normal
    draws = Noise(8, 0.1, 2.0).scales(normal.shape) * (striatal_scan.seen - normal)  # 8 mm are two pixels
    control = striatal.network.log_odds(normal[np.newaxis])[0]
    scan = striatal.network.log_odds(normal + draws).mean()
    assert found.attribution.values.shape == SLABS_SHAPE
    assert found.attribution.difference == pytest.approx(scan - control, abs=1e-4)
    assert found.attribution.complete
    assert found.attribution.values.sum() == pytest.approx(scan - control, rel=0.01, abs=0.001)
    same = Explainer(striatal).explain(replace(striatal_scan, slabs=striatal.parts.normal))
    assert not same.attribution.values.any()


def test_only_what_is_bright_in_the_striatum_counts_as_striatal_in_slabs_too(
    striatal: Predictor, striatal_scan: PreparedScan
) -> None:
    assert striatal.parts.normal is not None
    x, y = (np.abs((edges[:-1] + edges[1:]) / 2 - at) < 4 for edges, at in zip(SLAB_EDGES_MM[:2], (26, 0), strict=True))
    putamen, occipital = (striatal.parts.normal.copy() for _ in range(2))
    putamen[np.ix_(x, y, [1, 2])] += 1
    occipital[np.ix_(x, np.abs(SLAB_EDGES_MM[1][:-1] + 42) < 4, [1, 2])] += 1
    shares = [Explainer(striatal).explain(replace(striatal_scan, slabs=each)) for each in (putamen, occipital)]
    assert shares[0].striatal_share > 0.9
    assert shares[1].striatal_share < 0.1


def test_the_page_of_a_model_on_slabs_has_its_template_where_the_scan_lies(
    striatal: Predictor, striatal_scan: PreparedScan, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setattr(explaining, "draw_slab_explanation", drawn.append)
    for offset in (4.0, 10.0):  # the cohort's, and 12 mm above: a slab higher
        monkeypatch.setattr(explaining, "check_uprightness", lambda _, at=offset: SimpleNamespace(z_offset_voxels=at))
        figure_of(Explainer(striatal), striatal_scan, ANSWER)
    usual, above = drawn
    assert (usual.offset_mm, above.offset_mm) == (0.0, 12.0)
    assert usual.log_odds[1] - usual.log_odds[0] == pytest.approx(usual.attribution.sum(), rel=0.01, abs=0.001)
    np.testing.assert_allclose(above.template[:, :, 1:], usual.template[:, :, :3], atol=0.05)
    assert (above.striatum[:, :, 1:] == usual.striatum[:, :, :3]).mean() > 0.99
    assert (usual.n_controls, usual.edges_mm[2]) == (30, (-22, -10, 2, 14, 26))


def test_what_a_withheld_scan_would_have_had_for_an_answer_is_neither_in_its_picture_nor_on_its_page(
    striatal: Predictor, striatal_scan: PreparedScan, explainer: Explainer, scan: PreparedScan
) -> None:
    withheld = replace(ANSWER, withheld=("noisier than training scans",))
    for explains, each in ((Explainer(striatal), striatal_scan), (explainer, scan)):
        assert not explains.shown(each, ANSWER, "scan.nii").withheld
        shown = explains.shown(each, withheld, "scan.nii")
        said = [text.get_text() for text in explains.figure(shown).findobj(Text)]
        said += [
            text.get_text() for strip in explains.strips(shown) for p in strip.panels for text in p.figure.findobj(Text)
        ]
        said += [strip.caption for strip in explains.strips(shown)] + notes_on_pictures(shown)
        assert not [words for words in said if "log odds" in words.lower() or "towards PD" in words]
