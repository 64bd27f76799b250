"""Pictures of the README and the docs stay small and are of the phantom alone."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scripts import images

from datspect.errors import DatspectError

ROOT = Path(__file__).parents[1]


def test_a_picture_is_made_narrower_and_takes_fewer_colours_until_it_is_small(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    smooth = np.repeat(rng.integers(0, 255, (60, 80, 3)), 8, axis=0).repeat(8, axis=1).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / "large.png")
    for name in ("one", "two"):
        images.shrink(tmp_path / "large.png", tmp_path / f"{name}.png", width=400)
    with Image.open(tmp_path / "one.png") as found:
        assert found.size == (400, 300)
    assert (tmp_path / "one.png").stat().st_size < images.MOST_BYTES
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_a_picture_that_cannot_be_small_is_refused(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "MOST_BYTES", 2_000)
    Image.fromarray(rng.integers(0, 255, (90, 90, 3)).astype(np.uint8)).save(tmp_path / "noise.png")
    with pytest.raises(DatspectError, match="make it narrower than 90"):
        images.shrink(tmp_path / "noise.png", tmp_path / "small.png", width=90)


def test_pictures_of_real_scans_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "images").mkdir(parents=True)
    (tmp_path / "data" / "images" / "cohort.json").write_text(json.dumps({"kind": "real"}))
    with pytest.raises(DatspectError, match="not of the phantom"):
        images.main()
    assert not (tmp_path / "docs").exists()


def test_every_arrow_joins_two_boxes_and_the_committed_pictures_are_small() -> None:
    assert {name for arrow in images.ARROWS for name in arrow} == set(images.BOXES)
    sizes = {path.stem: path.stat().st_size for path in (ROOT / images.FOLDER).glob("*.png")}
    assert {"contact-sheet", "roc", "prediction", "page", "mlflow", "graph"} <= set(sizes)
    assert {name: size for name, size in sizes.items() if size >= images.MOST_BYTES} == {}
