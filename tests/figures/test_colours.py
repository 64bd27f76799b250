"""Colours that a figure tells things apart by stay apart for people without green cones, and for those without red."""

import itertools

import matplotlib.colors
import numpy as np
import pytest

from datspect.figures import comparison, curves, explanation, robustness

# Machado, Oliveira, Fernandes, IEEE Trans. Vis. Comput. Graph. 15 (2009) 1291, severity 1.0; on linear RGB.
DEUTERANOPIA = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
PROTANOPIA = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
APART = 20.0
"""Of a distance in CIELAB; one just seen is about 2."""

MAP = matplotlib.colormaps["RdBu_r"]
FIGURES = {
    "training and validation": [curves._TRAIN_COLOUR, curves._VALIDATION_COLOUR],
    "the patient's sides": [colour for _, colour in explanation.SIDES],
    "towards control, none, towards PD, and the striatum": [MAP(0.05), MAP(0.5), MAP(0.95), explanation.OUTLINE],
    "outlines of head and striata, on black": ["#56B4E9", "#E69F00", "black"],
    "the phantom's banner and its text": ["#ffb000", "#1a1a1a"],
    "links and text": ["#0b4f9e", "#1a1a1a", "#ffffff"],
}


def lab(colour: object, seen: object) -> np.ndarray:
    """A colour in CIELAB as a person sees it."""
    rgb = np.array(matplotlib.colors.to_rgb(colour))  # type: ignore[arg-type]
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = XYZ @ np.clip(np.array(seen) @ linear, 0, 1) / XYZ.sum(axis=1)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("seen", [DEUTERANOPIA, PROTANOPIA, np.eye(3)], ids=["deuteranopia", "protanopia", "all cones"])
@pytest.mark.parametrize("name", FIGURES)
def test_colours_stay_apart(name: str, seen: object) -> None:
    for one, other in itertools.combinations(FIGURES[name], 2):
        assert np.linalg.norm(lab(one, seen) - lab(other, seen)) > APART, (one, other)


def test_the_measure_knows_what_deuteranopia_confuses() -> None:
    red, green = "#b05050", "#6f7a20"
    assert np.linalg.norm(lab(red, np.eye(3)) - lab(green, np.eye(3))) > 2 * APART
    assert np.linalg.norm(lab(red, DEUTERANOPIA) - lab(green, DEUTERANOPIA)) < APART


STYLES: dict[str, list[tuple[str, object]]] = {
    "models by their ROC": [(colour, dashes) for colour, dashes, _ in curves._MODEL_STYLES],
    "judges of altered scans": [(colour, marker) for colour, marker, _ in robustness._JUDGES.values()],
    "why there is no firm answer": [(colour, "bar") for colour, _ in robustness._SILENT.values()],
    "two experiments": list(comparison._STYLES),
    "sets of subjects": list(comparison._SET_STYLES),
}
"""Colours, each with the dashes or the marker that go with it."""


@pytest.mark.parametrize("seen", [DEUTERANOPIA, PROTANOPIA, np.eye(3)], ids=["deuteranopia", "protanopia", "all cones"])
@pytest.mark.parametrize("name", STYLES)
def test_what_shares_a_colours_kin_differs_in_dashes_or_marker(name: str, seen: object) -> None:
    for (one, shape), (other, other_shape) in itertools.combinations(STYLES[name], 2):
        assert shape != other_shape or np.linalg.norm(lab(one, seen) - lab(other, seen)) > APART, (one, other)


@pytest.mark.parametrize("seen", [DEUTERANOPIA, PROTANOPIA, np.eye(3)], ids=["deuteranopia", "protanopia", "all cones"])
def test_histograms_of_pd_and_control_stay_apart(seen: object) -> None:
    labels = np.arange(8) % 2
    figure = curves.calibration_figure({"": curves.Forecast(labels, 0.1 + 0.1 * np.arange(8))}, "")
    one, other = {patch.get_edgecolor() for patch in figure.axes[1].patches}
    assert np.linalg.norm(lab(one, seen) - lab(other, seen)) > APART
