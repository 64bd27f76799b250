"""Pictures of the page, and of the scans that deserve a second look: each with the outlines that registration found."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from nibabel.affines import apply_affine, voxel_sizes
from scipy.ndimage import map_coordinates

from datspect.arrays import BoolArray
from datspect.figures.convention import DEFAULT_CONVENTION, as_displayed, ends, mark_ends
from datspect.imaging.orientation import reorient
from datspect.imaging.volume import Affine, Volume
from datspect.io.png import write_figure
from datspect.io.scan_reading import read_scan
from datspect.normalisation.picture import refusal_figure
from datspect.normalisation.placing import USUAL_Z_OFFSET_VOXELS, NotPlacedError, head_template, placed
from datspect.text import in_figure
from registration_parts.scans import kind_of, read_hopeless, read_ordinary
from registration_parts.tables import Found

SHOWN = tuple(f"2026-{label}-{index:04d}" for index in range(3) for label in ("control", "pd"))
REFUSED = "2027-striata_above_field-0000"
_STRIATUM = 1.9
"""The mean phantom's striata have this many times the uptake of its occipital region, and more."""
_MIDDLE_MM = np.array([0.0, 0.0, 12.0])
"""Between the striata, mm of the MNI grid."""
_INCHES, _PER_ROW = 1.4, 3


def names() -> list[str]:
    """Return the names of the scans that the pictures of the page show."""
    return [*SHOWN, REFUSED]


def draw(kept: Path, folder: Path) -> list[Path]:
    """Draw the pictures of the page and return their paths."""
    pages = {
        "hospital-native.png": _gallery(kept, SHOWN, "PHANTOMS as cameras store them, and the head that was found"),
        "hospital-refused.png": _refused(kept, REFUSED),
    }
    for name, figure in pages.items():
        write_figure(folder / name, figure)
    return [folder / name for name in pages]


def draw_worst(kept: Path, found: Found, folder: Path, n: int = 10) -> None:
    """Draw the least exact of the accepted scans, and every ordinary one that was refused."""
    worst = [each.name for each in sorted(found.accepted, key=lambda each: -each.mean_error_mm)[:n]]
    write_figure(folder / "worst.png", _gallery(kept, worst, "the least exact"))
    for each in found.refused:
        write_figure(folder / f"refused-{each.name}.png", _refused(kept, each.name))


def _refused(kept: Path, name: str) -> Figure:
    """Draw a scan that registration refuses, as `predict --figure` and the imports do."""
    is_ordinary = name.split("-")[1] in ("control", "pd")
    source = read_ordinary(kept, name).source if is_ordinary else read_hopeless(kept, name).source
    try:
        placed(read_scan(source))
    except NotPlacedError as error:
        return refusal_figure(error, f"PHANTOM, {kind_of(name).replace('_', ' ')}")
    raise ValueError(f"{name}: expected a scan that registration refuses; it was placed")


def _gallery(kept: Path, shown: Sequence[str], title: str) -> Figure:
    """Draw two planes of each scan as it is stored, with the template's outlines as registration puts them."""
    rows = -(-len(shown) // _PER_ROW)
    figure = Figure(figsize=(2 * _PER_ROW * _INCHES, rows * (_INCHES + 0.3)), layout="constrained")
    figure.suptitle(f"{title} (blue: head, orange: striata)", fontsize=10)
    axes = figure.subplots(rows, 2 * _PER_ROW, squeeze=False).reshape(rows * _PER_ROW, 2)
    for pair in axes.flat:
        pair.set_axis_off()
    for pair, name in zip(axes, shown, strict=False):
        _draw_scan(pair, kept, name)
    return figure


def _draw_scan(pair: Sequence[Axes], kept: Path, name: str) -> None:
    scan = read_scan(read_ordinary(kept, name).source)
    found = placed(scan)
    volume = reorient(scan.volume)
    to_scan = np.eye(4) if found.to_scan is None else found.to_scan
    head, striatum = _outlines(volume, to_scan)
    middle = np.rint(apply_affine(np.linalg.inv(volume.affine) @ to_scan, _MIDDLE_MM)).astype(int)
    size_mm = voxel_sizes(volume.affine)
    shape = " x ".join(map(str, scan.volume.data.shape))
    for axes, axis in zip(pair, (1, 2), strict=True):
        across, up = (each for each in range(3) if each != axis)
        number = int(np.clip(middle[axis], 0, volume.data.shape[axis] - 1))
        planes = [np.take(each, number, axis=axis).T for each in (volume.data, head, striatum)]
        image, *outlines = [as_displayed(each, DEFAULT_CONVENTION) for each in planes]
        aspect = size_mm[up] / size_mm[across]
        axes.imshow(np.clip(image, 0, None), cmap="gray", origin="lower", aspect=aspect, interpolation="nearest")
        for outline, colour in zip(outlines, ("#56B4E9", "#E69F00"), strict=True):
            if outline.any():
                axes.contour(outline, levels=[0.5], colors=colour, linewidths=1)
        mark_ends(axes, ends(DEFAULT_CONVENTION), points=7)
    pair[0].set_title(in_figure(kind_of(name)), fontsize=8)
    pair[1].set_title(shape, fontsize=7)


def _outlines(volume: Volume, to_scan: Affine) -> tuple[BoolArray, BoolArray]:
    """Return the template's head and striata on the grid of `volume`; `to_scan`: MNI grid mm to mm of the scan."""
    template = head_template(USUAL_Z_OFFSET_VOXELS)
    to_template = np.linalg.inv(template.volume.affine) @ np.linalg.inv(to_scan) @ volume.affine
    index = np.indices(volume.data.shape).reshape(3, -1)
    at = to_template[:3, :3] @ index + to_template[:3, 3:]
    values = map_coordinates(np.asarray(template.volume.data), at, order=1, cval=0.0).reshape(volume.data.shape)
    head = map_coordinates(template.head.astype(np.float32), at, order=1, cval=0.0).reshape(volume.data.shape)
    return head > 0.5, values > _STRIATUM
