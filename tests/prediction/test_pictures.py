"""Each scan gets the files that were asked for, whatever goes wrong with its pictures."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from tests.figures.test_panels import shown as explanation  # noqa: F401  (a fixture)
from tests.normalisation.test_picture import refused
from tests.prediction.test_page import ANSWER, judge  # noqa: F401  (a fixture)

from datspect.figures.explanation import Explanation
from datspect.imaging.orientation import mni_ras_affine
from datspect.imaging.volume import Volume
from datspect.prediction import pictures
from datspect.prediction.answering import Prepared
from datspect.prediction.page import Judge
from datspect.prediction.pictures import Drawings, Wanted

NAMES = ["ward/a.nii", "b.nii"]
SCAN: Any = object()
"""Stands for a scan that was read: it is only handed on."""


@pytest.fixture
def drawings(
    explanation: Explanation,  # noqa: F811
    judge: Judge,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Any:
    """Return what makes drawings of made-up explanations; with `fails` none can be explained."""

    class Explaining:
        fails = False

        def __init__(self, _predictor: object, _convention: object) -> None: ...

        def shown(self, _scan: object, _answer: object, title: str) -> Explanation:
            if self.fails:
                raise MemoryError
            assert "/" not in title
            return explanation

        def figure(self, _shown: object) -> Figure:
            return Figure()

        def strips(self, _shown: object) -> list[object]:
            return []

    monkeypatch.setattr(pictures, "Explainer", Explaining)
    monkeypatch.setattr(pictures, "predictor_digest", lambda folder: "abc")

    def made(*, fails: bool = False, **folders: Path) -> Drawings:
        Explaining.fails = fails
        predictor: Any = SimpleNamespace(parts=judge.parts, folder=tmp_path)
        return Drawings(predictor, NAMES, Wanted(**folders))

    return made


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (("figures",), ["figures/b.png", "figures/ward_a.png"]),
        (("pages",), ["pages/b.html", "pages/ward_a.html"]),
        (("figures", "pages"), ["figures/b.png", "figures/ward_a.png", "pages/b.html", "pages/ward_a.html"]),
    ],
)
def test_pictures_and_pages_are_made_as_asked_a_file_each(
    drawings: Any, wanted: tuple[str, ...], expected: list[str], tmp_path: Path
) -> None:
    made = drawings(**{name: tmp_path / name for name in wanted})
    assert [made.draw(n, Prepared(name, SCAN), ANSWER) for n, name in enumerate(NAMES)] == ["", ""]
    assert files(tmp_path) == expected


def test_a_page_is_written_though_its_pictures_cannot_be_drawn_and_the_reason_is_returned(
    drawings: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = drawings(fails=True, figures=tmp_path, pages=tmp_path)
    assert made.draw(0, Prepared(NAMES[0], SCAN), ANSWER) == "MemoryError"
    assert files(tmp_path) == ["ward_a.html"]
    page = (tmp_path / "ward_a.html").read_text("utf-8")
    assert "P(PD) 0.973" in page
    assert "What the answer rests on" not in page
    assert "The pictures could not be drawn: MemoryError" in page
    assert "no picture of ward/a.nii: MemoryError" in caplog.text


def test_a_page_without_its_own_pictures_is_written_and_one_that_has_them_says_nothing(
    drawings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert drawings(pages=tmp_path).draw(1, Prepared(NAMES[1], SCAN), ANSWER) == ""
    assert "could not be drawn" not in (tmp_path / "b.html").read_text("utf-8")

    def strips(*_: object) -> list[object]:
        raise ValueError("an axis <of> no length")

    made = drawings(pages=tmp_path)
    monkeypatch.setattr(pictures.Explainer, "strips", strips)
    assert made.draw(0, Prepared(NAMES[0], SCAN), ANSWER) == "an axis <of> no length"
    page = (tmp_path / "ward_a.html").read_text("utf-8")
    assert "P(PD) 0.973" in page
    assert "The pictures could not be drawn: an axis &lt;of&gt; no length" in page


def test_no_file_of_an_earlier_run_stays_where_a_new_one_could_not_be_made(
    drawings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    drawings(figures=tmp_path, pages=tmp_path).draw(0, Prepared(NAMES[0], SCAN), ANSWER)
    assert files(tmp_path) == ["ward_a.html", "ward_a.png"]
    drawings(figures=tmp_path, pages=tmp_path).draw(0, Prepared(NAMES[0], error="spoilt"), None)
    assert files(tmp_path) == ["ward_a.html"], "the picture was that of another scan"

    def write(*_: object) -> None:
        raise OSError("disk full")

    drawings(figures=tmp_path, pages=tmp_path).draw(0, Prepared(NAMES[0], SCAN), ANSWER)
    monkeypatch.setattr(pictures, "write_figure", write)
    monkeypatch.setattr(pictures, "answer_page", write)
    made = drawings(figures=tmp_path, pages=tmp_path)
    assert made.draw(0, Prepared(NAMES[0], SCAN), ANSWER) == "disk full"
    assert files(tmp_path) == []


def test_pictures_of_a_withheld_scan_stand_under_what_the_network_sees(
    drawings: Any,
    explanation: Explanation,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    made = drawings(pages=tmp_path)
    monkeypatch.setattr(pictures.Explainer, "shown", lambda *_: replace(explanation, withheld=True))
    withheld = replace(ANSWER, withheld=("noisier than training scans",), against_controls=None)
    assert made.draw(0, Prepared(NAMES[0], SCAN), withheld) == ""
    page = (tmp_path / "ward_a.html").read_text("utf-8")
    assert "What the network sees" in page
    assert "What the answer rests on" not in page
    assert "log odds" not in page.lower()


def test_a_page_that_cannot_be_written_costs_a_reason_and_nothing_else(drawings: Any, tmp_path: Path) -> None:
    (tmp_path / "pages" / "ward_a.html").mkdir(parents=True)
    made = drawings(figures=tmp_path / "figures", pages=tmp_path / "pages")
    assert made.draw(0, Prepared(NAMES[0], SCAN), ANSWER) != ""
    assert files(tmp_path / "figures") == ["ward_a.png"]


def test_a_scan_that_could_not_be_read_has_a_page_and_no_picture(drawings: Any, tmp_path: Path) -> None:
    made = drawings(figures=tmp_path, pages=tmp_path)
    assert made.draw(1, Prepared(NAMES[1], error="spoilt"), None) == ""
    assert files(tmp_path) == ["b.html"]
    assert "No answer" in (tmp_path / "b.html").read_text("utf-8")


def test_a_scan_that_could_not_be_placed_is_shown_where_registration_put_it(drawings: Any, tmp_path: Path) -> None:
    refusal = refused(Volume(np.ones((91, 109, 91), np.float32), mni_ras_affine()))
    made = drawings(figures=tmp_path, pages=tmp_path)
    assert made.draw(1, Prepared(NAMES[1], error=str(refusal), refusal=refusal), None) == ""
    assert files(tmp_path) == ["b.html", "b.png"]
    page = (tmp_path / "b.html").read_text("utf-8")
    assert "Where the scan was put" in page
    assert page.count("<img ") == 3
