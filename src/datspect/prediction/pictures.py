"""Draw scans and their answers, each into files of its own: one picture, a page, or both."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from matplotlib.figure import Figure

from datspect.figures.convention import DEFAULT_CONVENTION
from datspect.figures.explanation import Explanation
from datspect.figures.panels import head_strip
from datspect.figures.slab_explanation import SlabExplanation
from datspect.io.atomic import replacing
from datspect.io.png import write_figure
from datspect.normalisation.picture import refusal_figure, refusal_views
from datspect.normalisation.placing import NotPlacedError
from datspect.params.figures import Convention
from datspect.prediction.answering import Outcome, Prepared
from datspect.prediction.explaining import Explainer
from datspect.prediction.files import predictor_digest
from datspect.prediction.page import Judge, Pictures, answer_page, notes_on_pictures
from datspect.prediction.predictor import Answer, Predictor
from datspect.text import file_names

T = TypeVar("T")
Shown = Explanation | SlabExplanation | NotPlacedError

log = logging.getLogger("datspect.predict")


@dataclass(frozen=True)
class Wanted:
    """Folders for one picture of each scan and for its page, None if there is to be none; which side is left."""

    figures: Path | None = None
    pages: Path | None = None
    convention: Convention = DEFAULT_CONVENTION


class Drawings:
    """Draws scans and what their answers rest on; what cannot be drawn costs no answer, and no page."""

    def __init__(
        self, predictor: Predictor, names: Sequence[str], wanted: Wanted, prevalence: float | None = None
    ) -> None:
        self._explainer, self._names, self._wanted = Explainer(predictor, wanted.convention), names, wanted
        self._stems = file_names(names)
        digest = predictor_digest(predictor.folder) if wanted.pages is not None else ""
        self._judge = Judge(predictor.parts, digest, prevalence)

    def draw(self, number: int, prepared: Prepared, answer: Answer | None) -> str:
        """Draw a scan and its answer, or how it could not be placed; return why that could not be done, if so."""
        name, stem, failures = self._names[number], self._stems[number], list[str]()
        title = name.rpartition("/")[2]
        for path in self._paths(stem):
            _tried(partial(_remove_earlier, path), f"removal of an earlier {path.name}", name, failures)
        undrawn = list[str]()
        shown = _tried(lambda: self._shown(prepared, answer, title), "picture", name, undrawn)
        if self._wanted.figures is not None and shown is not None:
            picture = self._wanted.figures / f"{stem}.png"
            _tried(lambda: _write(write_figure, picture, self._figure(shown, title)), "picture", name, failures)
        if self._wanted.pages is not None:
            pictures = _tried(lambda: self._pictures(shown), "pictures on the page", name, undrawn)
            outcome = Outcome(name, answer, prepared.error, "".join(undrawn), prepared.notes)
            path = self._wanted.pages / f"{stem}.html"
            _tried(lambda: _write(_write_page, path, self._page(pictures, outcome, title)), "page", name, failures)
        return next(iter([*undrawn, *failures]), "")

    def _paths(self, stem: str) -> list[Path]:
        wanted = ((self._wanted.figures, ".png"), (self._wanted.pages, ".html"))
        return [folder / f"{stem}{ending}" for folder, ending in wanted if folder is not None]

    def _shown(self, prepared: Prepared, answer: Answer | None, title: str) -> Shown | None:
        if prepared.scan is None or answer is None:
            return prepared.refusal
        return self._explainer.shown(prepared.scan, answer, title)

    def _figure(self, shown: Shown, title: str) -> Figure:
        if isinstance(shown, NotPlacedError):
            return refusal_figure(shown, title, self._wanted.convention)
        return self._explainer.figure(shown)

    def _page(self, pictures: Pictures | None, outcome: Outcome, title: str) -> str:
        return answer_page(title, outcome, self._judge, pictures, self._wanted.convention)

    def _pictures(self, shown: Shown | None) -> Pictures | None:
        match shown:
            case None:
                return None
            case NotPlacedError():
                views = refusal_views(shown, self._wanted.convention)
                return Pictures("Where the scan was put", [head_strip(views, self._wanted.convention)])
            case _:
                heading = "What the network sees" if shown.withheld else "What the answer rests on"
                return Pictures(heading, self._explainer.strips(shown), notes_on_pictures(shown))


def _tried(work: Callable[[], T], what: str, name: str, failures: list[str]) -> T | None:
    """Return what `work` does; whatever stops it is noted and said, since the answer stands without."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001  (see above)
        reason = str(error) or type(error).__name__
        log.warning("no %s of %s: %s", what, name, reason)
        failures.append(reason)
        return None


def _remove_earlier(path: Path) -> None:
    """Remove the file of an earlier run, which would pass for one of this if it is not replaced."""
    if path.is_file():
        path.unlink()


def _write(write: Callable[[Path, T], None], path: Path, content: T) -> None:
    write(path, content)
    log.info("%s", path)


def _write_page(path: Path, html: str) -> None:
    with replacing(path) as unfinished:
        unfinished.write_text(html, encoding="utf-8", newline="\n")
