#!/usr/bin/env python3
"""Makes the pictures of the README and the docs from the results on disk, those of the phantom; after make repro.

    make images

Writes contact-sheet, roc, prediction, page, mlflow and graph, each a PNG of less than 150 KB, into docs/images. They
repeat, but for page.png and mlflow.png, which a browser draws; without a browser these stay as they are.
"""

import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from numpy.typing import NDArray
from PIL import Image

from datspect.errors import DatspectError
from datspect.figures.convention import as_displayed
from datspect.io.png import write_figure
from datspect.io.records import read_json
from datspect.running.launch import launch

FOLDER = Path("docs/images")
MOST_BYTES = 150_000
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ASSISTANT_PIXELS = 420
"""Width of the panel that the MLflow UI opens on the right; it holds no runs."""
COHORT = Path("data/phantom/cohort")

Picture = NDArray[np.uint8]

log = logging.getLogger("datspect.images")


def main() -> None:
    """Make all pictures."""
    if read_json(Path("data/images/cohort.json"))["kind"] != "phantom":
        raise DatspectError("the results on disk are not of the phantom: pictures of people go into no repository")
    FOLDER.mkdir(parents=True, exist_ok=True)
    shrink(Path("data/images/contact_sheet.png"), FOLDER / "contact-sheet.png", width=1000)
    shrink(Path("reports/figures/models_out_of_fold.png"), FOLDER / "roc.png", width=1100)
    with tempfile.TemporaryDirectory() as folder:
        shrink(predicted(Path(folder)), FOLDER / "prediction.png", width=1200)
        if browser := next(filter(None, map(shutil.which, BROWSERS)), None):
            shrink(of_page(browser, Path(folder)), FOLDER / "page.png", width=1000)
            shrink(of_mlflow(browser, Path(folder)), FOLDER / "mlflow.png", width=1200)
        else:
            log.warning("no %s found: page.png and mlflow.png in %s stay as they are", " or ".join(BROWSERS), FOLDER)
        write_figure(Path(folder) / "graph.png", graph())
        shrink(Path(folder) / "graph.png", FOLDER / "graph.png", width=1400)


def shrink(source: Path, target: Path, width: int) -> None:
    """Write a picture at most so wide, in as many colours as its bytes allow."""
    with Image.open(source) as opened:
        picture = opened.convert("RGB")
    if picture.width > width:
        picture = picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)
    for n_colours in (256, 128, 64, 32, 16):
        picture.quantize(n_colours, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(target, optimize=True)
        if target.stat().st_size < MOST_BYTES:
            log.info("%s: %d KB", target, target.stat().st_size // 1000)
            return
    raise DatspectError(f"{target}: {target.stat().st_size:,} bytes; make it narrower than {width}")


def example() -> pd.Series:
    """Return the person with PD of the training role whose worse putamen is the median one, of scans without a flag."""
    subjects = pd.read_csv("data/images/subjects.csv").merge(pd.read_csv("data/images/quality.csv"), on="scan_id")
    subjects = subjects.merge(pd.read_csv("data/splits.csv")[["scan_id", "role"]], on="scan_id")
    shown = subjects[(subjects["label"] == "pd") & (subjects["role"] == "train") & subjects["flags"].isna()]
    worse = shown[["sbr_putamen_left", "sbr_putamen_right"]].min(axis=1)
    return shown.loc[(worse - worse.median()).abs().idxmin()]


def predicted(folder: Path) -> Path:
    """Return the picture of a prediction, as `datspect predict --figure` draws it."""
    scan = COHORT / "volumes" / f"{example()['scan_id']}.nii"
    _predict(scan, "--figure", str(folder), "--participants", str(COHORT / "participants.tsv"))
    return folder / f"{scan.stem}.png"


def of_page(browser: str, folder: Path) -> Path:
    """Return a screenshot of the page of the first scan, the one that the tutorial asks about, down to its ratios."""
    scan = min((COHORT / "volumes").glob("*.nii"))
    _predict(scan, "--page", str(folder))
    path = folder / "page.png"
    screenshot(browser, (folder / f"{scan.stem}.html").as_uri(), path, size=(1000, 1430))
    return path


def _predict(scan: Path, *options: str) -> None:
    subprocess.run([sys.executable, "-m", "datspect", "predict", str(scan), *options], check=True, stdout=sys.stderr)


def screenshot(browser: str, address: str, path: Path, size: tuple[int, int], milliseconds: int = 0) -> None:
    """Have a browser without a window draw what is at an address, in so many pixels of width and height.

    A page that loads more by itself is given some milliseconds of its own clock.
    """
    width, height = size
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={width},{height}")
    waiting = [f"--virtual-time-budget={milliseconds}"] if milliseconds else []
    written = (f"--user-data-dir={path.parent / 'profile'}", f"--screenshot={path}")
    subprocess.run([browser, *options, *waiting, *written, address], check=True, timeout=240, capture_output=True)


def of_mlflow(browser: str, folder: Path) -> Path:
    """Return a screenshot of the runs in the MLflow UI."""
    path = folder / "mlflow.png"
    with mlflow_ui() as address:
        page = f"{address}/#/experiments/1/runs?workflowType=machine_learning"
        screenshot(browser, page, path, size=(1600, 560), milliseconds=45_000)
    with Image.open(path) as whole:
        whole.crop((0, 0, whole.width - ASSISTANT_PIXELS, whole.height)).save(path)
    return path


@contextmanager
def mlflow_ui() -> Iterator[str]:
    """Start the UI on the runs on disk and give its address; it ends with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(["sh", "scripts/mlflow-ui", str(port)], env=os.environ, stdout=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{address}/health", timeout=2).close()
                break
            except OSError:
                time.sleep(0.5)
        else:
            raise DatspectError("the MLflow UI did not start within two minutes; try make ui")
        yield address
    finally:
        server.terminate()
        server.wait(timeout=30)


def graph() -> Figure:
    """Draw the stages as boxes, in the order in which they run, with small pictures of what they leave."""
    figure = Figure(figsize=(14, 7))
    page = figure.add_axes((0, 0, 1, 1), xlim=(0, 14), ylim=(0, 7))
    page.set_axis_off()
    for name, (place, _, _) in BOXES.items():
        fill, edge = ("#FFF7E0", "#8A5A00") if name in OUTSIDE else ("#EAF3FA", "#0072B2")
        style = {"boxstyle": "round,pad=0,rounding_size=0.12", "linewidth": 1.4, "facecolor": fill, "edgecolor": edge}
        page.add_patch(FancyBboxPatch(_corner(place), WIDTH, HEIGHT, **style))
    for first, second in ARROWS:
        _draw_arrow(page, first, second)
    for name, (place, said, thumbnail) in BOXES.items():
        x, y = _corner(place)
        page.text(x + WIDTH / 2, y + HEIGHT - 0.2, name, ha="center", va="center", fontsize=12, weight="bold")
        page.text(x + WIDTH / 2, y + 0.17, said, ha="center", va="center", fontsize=10)
        axes = figure.add_axes(((x + 0.1) / 14, (y + 0.33) / 7, (WIDTH - 0.2) / 14, (HEIGHT - 0.72) / 7))
        axes.imshow(thumbnail(), cmap="gray")
        axes.set_axis_off()
    page.text(COLUMNS[3] + 0.1, ROWS[2] + HEIGHT / 2, NOTE, va="center", fontsize=11, linespacing=1.4)
    return figure


def _corner(place: tuple[int, int]) -> tuple[float, float]:
    column, row = place
    return COLUMNS[column], ROWS[row]


def _draw_arrow(page: Axes, first: str, second: str) -> None:
    (x, y), (to_x, to_y) = _corner(BOXES[first][0]), _corner(BOXES[second][0])
    half_x, half_y = WIDTH / 2, HEIGHT / 2
    right, down = np.sign(to_x - x) * half_x, np.sign(to_y - y) * half_y
    start = (x + half_x + right, y + half_y + down)
    end = (to_x + half_x - right, to_y + half_y - down)
    page.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": "#333333", "linewidth": 1.5})


def _file(path: str, crop: tuple[float, float, float, float] = (0, 0, 1, 1)) -> Callable[[], Picture]:
    """Return what reads a part of a picture; `crop`: left, top, right and bottom as shares."""

    def read() -> Picture:
        with Image.open(path) as opened:
            size = (opened.width, opened.height) * 2
            part = opened.convert("RGB").crop(tuple(round(s * n) for s, n in zip(crop, size, strict=True)))
        part.thumbnail((600, 600), Image.Resampling.LANCZOS)
        return np.asarray(part)

    return read


def _slices() -> Picture:
    """The three slices that the network sees of the example, side by side, as radiologists see them."""
    row = int(np.flatnonzero(pd.read_csv("data/images/subjects.csv")["scan_id"] == example()["scan_id"])[0])
    image = np.load("data/images/images.npy", mmap_mode="r")[row]
    shown = as_displayed(np.asarray(image), "radiological", columns=1)
    return np.asarray(255 * np.concatenate(np.moveaxis(shown, 2, 0), axis=1), np.uint8)


def _folds() -> Picture:
    """A row of subjects for each of ten folds, those of the fold dark."""
    folds = pd.read_csv("data/splits.csv")["fold"].to_numpy()[:120]
    is_held_out = folds == np.unique(folds)[:, None]
    return np.repeat(np.where(is_held_out, 40, 225).astype(np.uint8), 8, axis=0)


def _bank() -> Picture:
    """Features of some subjects, a row each."""
    features = np.load("data/features/bank.npy", mmap_mode="r")[0, :60, :110].astype(np.float32)
    return np.asarray(255 * np.clip(features / np.quantile(features, 0.98), 0, 1), np.uint8)


WIDTH, HEIGHT = 3.0, 2.0
COLUMNS, ROWS = (0.25, 3.75, 7.25, 10.75), (4.75, 2.5, 0.25)
BOXES: dict[str, tuple[tuple[int, int], str, Callable[[], Picture]]] = {
    "phantom": ((0, 0), "simulated scans", _file("data/images/contact_sheet.png", (0, 0.055, 0.5, 0.37))),
    "preprocess": ((1, 0), "slices 40 to 42 of each scan", _slices),
    "split": ((2, 0), "ten folds and a test set", _folds),
    "features": ((3, 0), "the bank of features", _bank),
    "cv": ((3, 1), "ten folds: Table 1", _file("reports/cv/training.png", (0, 0.08, 0.66, 1))),
    "final": ((2, 1), "the model: Table 2", _file("reports/final/roc.png")),
    "predictor": ((1, 1), "what an answer is worth", _file("reports/predictor/calibration.png", (0, 0.05, 1, 0.72))),
    "robustness": ((0, 1), "altered scans", _file("reports/robustness/robustness.png")),
    "report": ((0, 2), "everything on one page", _file("reports/figures/models_out_of_fold.png", (0, 0.05, 1, 0.86))),
    "datspect predict": ((1, 2), "a page for any scan", _file("docs/images/page.png", (0, 0, 1, 0.53))),
    "MLflow": ((2, 2), "runs, models, promotion", _file("docs/images/mlflow.png")),
}
"""Column and row, what the box says, and its picture."""
OUTSIDE = ("datspect predict", "MLflow")
ARROWS = (
    *pairwise(("phantom", "preprocess", "split", "features", "cv", "final", "predictor", "robustness", "report")),
    ("predictor", "datspect predict"),
    ("final", "MLflow"),
)
NOTE = """blue: stages of dvc repro,
in the order in which they run

yellow: what a person starts

All pictures are of a PHANTOM
cohort, simulated: they say
nothing about patients."""


if __name__ == "__main__":
    launch(main)
