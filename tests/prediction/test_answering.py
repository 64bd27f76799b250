"""Many scans keep their order, whatever becomes of each, and what is drawn on the way is told of its scan."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from datspect.errors import ScanError
from datspect.evaluation.normal_range import Person
from datspect.imaging.orientation import mni_ras_affine
from datspect.imaging.volume import Volume
from datspect.io.sources import Source
from datspect.prediction import answering
from datspect.prediction.answering import Prepared, Reading, outcomes
from datspect.prediction.predictor import Answer, PreparedScan

NAMES = [f"{number}.nii" for number in range(5)]
SOURCES = [Source(Path(name), None, name, 1) for name in NAMES]
BAD = "2.nii"


class Predictor:
    """Answers with the number of the scan, and with the age of the person if it is known."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.prevalences: set[float | None] = set()

    def place(self) -> None: ...

    def prepare(self, read: Any, **_: object) -> PreparedScan:
        if read.name == BAD:
            raise ScanError("spoilt")
        volume = Volume(np.zeros((2, 2, 2), np.float32), mni_ras_affine())
        return PreparedScan(volume, np.full((1, 1, 3), int(read.name[0]), np.float32), {}, ())

    def answers(self, scans: list[PreparedScan], prevalence: float | None) -> list[Any]:
        self.asked.append(len(scans))
        self.prevalences.add(prevalence)
        return [
            SimpleNamespace(number=int(scan.image[0, 0, 0]), age=scan.person.age, has_volume=scan.volume is not None)
            for scan in scans
        ]


class Drawing:
    """Remembers what it was asked to draw, and cannot draw the fourth scan."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, str, bool]] = []

    def draw(self, number: int, prepared: Prepared, answer: Answer | None) -> str:
        self.seen.append((number, prepared.name, answer is not None))
        return "no room" if number == 3 else ""


@pytest.fixture(autouse=True)
def without_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        answering, "read_scan", lambda source, frames: SimpleNamespace(name=source.name, notes=(f"note {source.name}",))
    )
    monkeypatch.setattr(answering.networks, "BATCH_SIZE", 2)


def test_outcomes_are_in_order_and_the_network_is_asked_for_usable_scans_alone() -> None:
    predictor: Any = Predictor()
    people = {"1.nii": Person(71.0, "male")}
    found = list(outcomes(predictor, SOURCES, Reading(people=people), prevalence=0.1))
    assert [outcome.scan for outcome in found] == NAMES
    assert [outcome.error for outcome in found] == ["", "", "spoilt", "", ""]
    answers: list[Any] = [outcome.answer for outcome in found]
    assert [None if answer is None else answer.number for answer in answers] == [0, 1, None, 3, 4]
    assert [answer.age for answer in answers if answer] == [None, 71.0, None, None]
    assert not any(answer.has_volume for answer in answers if answer), "few volumes are in memory"
    assert (predictor.asked, predictor.prevalences) == ([2, 1, 1], {0.1})
    assert found[0].notes == ("note 0.nii",)


def test_what_draws_is_given_every_scan_with_its_volume_and_its_failure_is_told() -> None:
    predictor: Any = Predictor()
    drawing = Drawing()
    found = list(outcomes(predictor, SOURCES, drawing=drawing))
    assert drawing.seen == [(number, name, name != BAD) for number, name in enumerate(NAMES)]
    assert [outcome.undrawn for outcome in found] == ["", "", "", "no room", ""]
    answers: list[Any] = [outcome.answer for outcome in found]
    assert all(answer.has_volume for answer in answers if answer)


def test_nothing_gives_nothing() -> None:
    predictor: Any = Predictor()
    assert list(outcomes(predictor, [])) == []
    assert predictor.asked == []
