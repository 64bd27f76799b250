"""Part `pictures`: what the network is given, what it looks at, and where its answers turn as binding falls."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from datspect.arrays import FloatArray
from datspect.cohort.table import CONTROL, PD
from datspect.imaging.slabs import SLAB_EDGES_MM, SLABS_SHAPE, peaks
from datspect.io.png import write_figure
from datspect.io.scan_reading import read_scan
from datspect.io.sources import Source
from datspect.io.tables import read_table
from datspect.prediction.attribution import IntegratedGradients
from datspect.prediction.predictor import Predictor, PreparedScan
from striatum_parts.readers import PAPER, STRIATUM
from striatum_parts.unlike import BETWEEN, final_predictor
from striatum_parts.workplace import DEFAULT_SEED, TITLE, Workplace

_EDGES_X, _EDGES_Y, _EDGES_Z = SLAB_EDGES_MM
_EXTENT = (_EDGES_X[0], _EDGES_X[-1], _EDGES_Y[0], _EDGES_Y[-1])
_SIZE_INCHES, _DPI = 1.75, 80
_EARLY = 0.8
"""Of all with PD this share binds less than the early one that is shown."""


def draw(place: Workplace, folder: Path) -> list[Path]:
    """Draw the pictures of the page and return their paths."""
    predictor = Predictor.read(final_predictor(place))
    scans = {
        title: _prepared(predictor, place.cohort(DEFAULT_SEED), scan_id) for title, scan_id in _examples(place).items()
    }
    control, typical = list(scans)[:2]
    gradients = IntegratedGradients(predictor.network)
    pages = {
        "striatum-slabs.png": _given({name: scans[name] for name in (control, typical)}),
        "striatum-looks.png": _looked_at(scans, gradients, typical_control(place)),
    }
    if known := place.known("unlike"):
        pages["striatum-lowered.png"] = _lowered(known["crossings"])
    for name, figure in pages.items():
        write_figure(folder / name, figure)
    return [folder / name for name in pages]


def _examples(place: Workplace) -> dict[str, str]:
    """Return scans of the test set: by the worse putamen's binding the middle one of each class, and an early PD."""
    splits = read_table(place.folder(DEFAULT_SEED) / "data/splits.csv", ["scan_id", "label", "role"])
    quality = read_table(place.images(DEFAULT_SEED) / "quality.csv", ["scan_id"]).set_index("scan_id")
    worse = quality[["sbr_putamen_left", "sbr_putamen_right"]].min(axis=1)
    test = splits[splits["role"] == "test"]
    of_class = {label: test["scan_id"][test["label"] == label] for label in (CONTROL, PD)}
    return {
        "control": _ranked(of_class[CONTROL], worse, 0.5),
        "PD": _ranked(of_class[PD], worse, 0.5),
        "early PD": _ranked(of_class[PD], worse, _EARLY),
    }


def typical_control(place: Workplace) -> FloatArray:
    """Return the mean of what the network is given of the training role's controls, shape (28, 24, 4)."""
    data = place.data(DEFAULT_SEED, STRIATUM)
    rows = (data.targets == 0) & (data.splits["role"] == "train").to_numpy()
    return np.asarray(data.bank[0, rows].astype(np.float32).mean(axis=0).reshape(SLABS_SHAPE))


def _prepared(predictor: Predictor, cohort: Path, scan_id: str) -> PreparedScan:
    path = cohort / "volumes" / f"{scan_id}.nii"
    return predictor.prepare(read_scan(Source(path, None, path.name, path.stat().st_size)))


def _ranked(scan_ids: "pd.Series[str]", worse: "pd.Series[float]", share: float) -> str:
    """Return the scan below which this share of them binds."""
    values = worse.loc[scan_ids].sort_values()
    return str(values.index[int(share * (len(values) - 1))])


def _given(scans: Mapping[str, PreparedScan]) -> Figure:
    rows = [
        (f"{label}\n{scale}", values, top)
        for scale, top in (("over the brain's uptake", 5.0), ("over its own peak", 1.1))
        for label, scan in scans.items()
        for values in [_slabs(scan) if top > 2 else _slabs(scan) / peaks(_slabs(scan)[np.newaxis])[0]]
    ]
    figure, axes = _page(len(rows))
    for row, (title, values, top) in zip(axes, rows, strict=True):
        for axis, slab in zip(row, np.moveaxis(values, 2, 0), strict=True):
            shown = axis.imshow(slab.T, cmap="inferno", vmin=0, vmax=top, extent=_EXTENT, origin="lower")
        row[0].set_ylabel(f"{title}\ny, mm", fontsize=7)
        figure.colorbar(shown, ax=list(row), fraction=0.02, pad=0.01).ax.tick_params(labelsize=6)
    figure.suptitle(f"What the network is given: four slabs, pixels of 4 mm ({TITLE})", fontsize=9)
    return figure


def _looked_at(scans: Mapping[str, PreparedScan], gradients: IntegratedGradients, healthy: FloatArray) -> Figure:
    """Draw parts of the log odds beside those of a typical control, red towards PD, over the slabs themselves."""
    figure, axes = _page(2 * len(scans))
    found = {label: gradients.attribute(_slabs(scan), healthy) for label, scan in scans.items()}
    top = max(float(np.abs(each.values).max()) for each in found.values())
    for place, (label, scan) in enumerate(scans.items()):
        seen, looked = axes[2 * place], axes[2 * place + 1]
        for axis, slab in zip(seen, np.moveaxis(_slabs(scan), 2, 0), strict=True):
            axis.imshow(slab.T, cmap="gray", vmin=0, vmax=4, extent=_EXTENT, origin="lower")
        for axis, part in zip(looked, np.moveaxis(found[label].values, 2, 0), strict=True):
            shown = axis.imshow(part.T, cmap="RdBu_r", vmin=-top, vmax=top, extent=_EXTENT, origin="lower")
        seen[0].set_ylabel(f"{label}\ny, mm", fontsize=7)
        looked[0].set_ylabel(f"log odds {found[label].difference:+.1f}\ny, mm", fontsize=7)
        figure.colorbar(shown, ax=list(looked), fraction=0.02, pad=0.01).ax.tick_params(labelsize=6)
    figure.suptitle(f"What it looks at, beside a typical control; red towards PD ({TITLE})", fontsize=9)
    return figure


def _lowered(crossings: Mapping[str, Any]) -> Figure:
    """Draw P by what is left of the binding of the mean of controls, with the range of a clinical network's doubt."""
    figure = Figure(figsize=(8, 2.7), dpi=_DPI, layout="constrained")
    axes: Sequence[Axes] = list(figure.subplots(1, len(BETWEEN), sharey=True))
    for axis, (case, (_, (high, low))) in zip(axes, BETWEEN.items(), strict=True):
        axis.axvspan(low, high, color="0.85", label="clinical network uncertain")
        for name, style in ((STRIATUM, "-o"), (PAPER, "--s")):
            if name in crossings:
                curve = {float(key): value for key, value in crossings[name][case]["curve"].items()}
                axis.plot(list(curve), list(curve.values()), style, markersize=3, linewidth=1, label=name)
        axis.axhline(0.5, color="0.5", linewidth=0.5)
        axis.set(title=f"lowered: {case}", xlabel="share of the binding left", ylim=(0, 1), xlim=(1.02, 0.23))
    axes[0].set_ylabel("P(PD)")
    axes[0].legend(fontsize=6, loc="upper left")
    figure.suptitle(f"The mean of healthy scans with binding lowered ({TITLE})", fontsize=9)
    return figure


def _slabs(scan: PreparedScan) -> FloatArray:
    if scan.slabs is None:
        raise ValueError("the predictor sees no slabs")
    return scan.slabs


def _page(n_rows: int) -> tuple[Figure, Any]:
    n = len(_EDGES_Z) - 1
    figure = Figure(figsize=(n * _SIZE_INCHES + 1, n_rows * _SIZE_INCHES * 0.95 + 0.4), dpi=_DPI, layout="constrained")
    axes = figure.subplots(n_rows, n, sharex=True, sharey=True, squeeze=False)
    for column, (low, high) in enumerate(pairwise(_EDGES_Z)):
        axes[0, column].set_title(f"z {low:.0f} to {high:.0f} mm", fontsize=7)
        axes[-1, column].set_xlabel("x, mm (left is left)", fontsize=7)
    for axis in axes.ravel():
        axis.tick_params(labelsize=6)
    return figure, axes
