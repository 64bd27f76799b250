"""Make the outcome of one scan into a page: the answer in words and tables, and its pictures one by one."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field

from matplotlib.figure import Figure

from datspect import __version__
from datspect.cohort.kind import CohortKind
from datspect.evaluation.normal_range import Compared
from datspect.figures.convention import DEFAULT_CONVENTION
from datspect.figures.explanation import Explanation
from datspect.figures.panels import Panel, Strip, binding_panel
from datspect.figures.slab_explanation import SlabExplanation
from datspect.params.figures import Convention
from datspect.prediction.answer_rows import HOW, SMALLEST_RISK
from datspect.prediction.answering import Outcome
from datspect.prediction.files import PredictorParts
from datspect.prediction.predictor import Answer
from datspect.prediction.statement import NO_DIAGNOSIS, bounded, percent, remarks
from datspect.reporting.markdown import escape, markdown_table
from datspect.reporting.page import html_page
from datspect.reporting.rendering import Markdown, render

DOTS_PER_INCH = 160
"""A panel has about 510 pixels then, sharp on a phone, and a page half a megabyte."""
_OUT = 1.96
_CLASSES = {"pd": "PD, Parkinson's disease", "control": "control"}
_DIGITS = 12


@dataclass(frozen=True, eq=False)
class Judge:
    """Who answers: what judges the answers, the digest of the predictor's files, and the prevalence that was asked."""

    parts: PredictorParts
    digest: str
    prevalence: float | None = None


@dataclass(frozen=True, eq=False)
class Pictures:
    """The pictures of one scan, and notes on how they are read."""

    heading: str
    strips: Sequence[Strip]
    notes: Sequence[str] = ()


@dataclass
class _Images:
    """PNG files by the link under which the page names them."""

    files: dict[str, bytes] = field(default_factory=dict)

    def strip(self, strip: Strip) -> str:
        """Keep the pictures; return them as a paragraph of Markdown with its caption."""
        lines = [f"![{escape(panel.shows)}]({self._kept(panel.figure)})" for panel in strip.panels]
        return "\n".join([*lines, f"*{escape(strip.caption)}*"])

    def _kept(self, figure: Figure) -> str:
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
        link = f"{len(self.files) + 1}.png"
        self.files[link] = stream.getvalue()
        return link


def answer_page(
    title: str, outcome: Outcome, judge: Judge, pictures: Pictures | None, convention: Convention = DEFAULT_CONVENTION
) -> str:
    """Return the page of one scan, called `title`, as HTML that needs nothing beside it; equal input, equal bytes."""
    images, answer = _Images(), outcome.answer
    verdict, note = _verdict(outcome)
    ratios = _ratios(answer, convention) if answer is not None else ""
    markdown = render(
        "prediction.md.j2",
        title=title,
        verdict=verdict,
        verdict_note=note,
        caution=_caution(judge.parts),
        facts=Markdown(_facts(answer, judge)),
        remarks=[] if answer is None else _remarks(answer, outcome),
        ratios=Markdown(ratios),
        ratios_note="" if answer is None else _ratios_note(answer),
        ratios_pictures=Markdown(images.strip(_binding(answer, convention))) if answer and ratios else "",
        pictures=Markdown("\n\n".join(images.strip(strip) for strip in pictures.strips) + "\n") if pictures else "",
        pictures_heading=pictures.heading if pictures else "",
        undrawn=outcome.undrawn,
        notes=pictures.notes if pictures else (),
        worth=[] if answer is None else remarks(judge.parts, judge.prevalence),
    )
    return html_page(markdown, images.files, f"{title}: {verdict}", _banner(judge.parts), style="prediction.css")


def notes_on_pictures(shown: Explanation | SlabExplanation) -> list[str]:
    """Return how the pictures of an answer are to be read, and how far they may be."""
    if shown.withheld:
        return ["The scan is withheld: there is no map of what an answer rests on."]
    whole = f"misses {shown.missed:.2f} log odds"
    said = [
        "The map says what moved this network's answer, not where disease is. Red is what made it say PD.",
        f"The parts of the map add up to what they explain: complete ({whole})."
        if shown.is_complete
        else f"The map is NOT COMPLETE and must not be read: its parts do not add up to what they explain ({whole}).",
        f"Within the striatum, before the blur: {percent(shown.striatal_share)} of the map.",
        f"The map is a {shown.noise}.",
    ]
    if isinstance(shown, SlabExplanation):
        control, noisy, scan = shown.log_odds
        said.insert(
            1,
            f"Log odds of PD, as the network gives them: mean control {control:+.2f}, this scan {scan:+.2f}; mean over "
            f"the draws {noisy:+.2f}. The map adds up to the difference of the last from the first, "
            f"{noisy - control:+.2f}.",
        )
    return said


def _banner(parts: PredictorParts) -> str:
    if parts.scope.kind is CohortKind.PHANTOM:
        return f"PHANTOM model, trained on simulated scans: it says nothing about patients · {NO_DIAGNOSIS}"
    return NO_DIAGNOSIS


def _caution(parts: PredictorParts) -> str:
    of_phantom = parts.scope.kind is CohortKind.PHANTOM
    who = "Its model was trained on a PHANTOM cohort, simulated scans, and says nothing about patients. "
    return (
        f"This is no diagnosis: it is research on a method. {who if of_phantom else ''}A person has to read the scan."
    )


def _verdict(outcome: Outcome) -> tuple[str, str]:
    """Return what is said of the scan, and in which words it is qualified."""
    answer = outcome.answer
    if answer is None:
        return "No answer", outcome.error
    if answer.withheld:
        return "WITHHELD, no class", "; ".join(answer.withheld)
    words = f"P(PD) {bounded(answer.probability)} at {percent(answer.prevalence)} PD"
    if answer.inconclusive:
        return "INCONCLUSIVE", f"do not rely on the class. Nearer to {_CLASSES[answer.prediction]}: {words}"
    said = _CLASSES[answer.prediction]
    return f"{said[0].upper()}{said[1:]}", f"{words}, conclusive; chance to be wrong {_risk(answer)}"


def _risk(answer: Answer) -> str:
    """Return the chance that the class is wrong; it is never said to be none."""
    risk = answer.error_risk
    return f"below {percent(SMALLEST_RISK)}" if risk < SMALLEST_RISK else f"{100 * risk:.1f} %"


def _facts(answer: Answer | None, judge: Judge) -> str:
    """Return the table at the head of the page."""
    rows = [["item", "value"]]
    if answer is not None and not answer.withheld:
        rows += [
            ["class, the more probable one", _CLASSES[answer.prediction]],
            [f"P(PD) where {percent(answer.prevalence)} of those scanned have PD", bounded(answer.probability, 4)],
            ["likelihood ratio, the same at any share of PD", f"{float(f'{answer.likelihood_ratio:.2g}'):,g}"],
            ["chance that the class is wrong", _risk(answer)],
            ["conclusive", "no" if answer.inconclusive else "yes"],
            ["P(PD) by the binding ratios alone", bounded(answer.ratio_probability, 4)],
        ]
    if answer is not None and HOW[answer.how]:
        rows.append(["the scan was", HOW[answer.how]])
    rows += [
        ["model", f"of a {judge.parts.scope.caption}; {judge.parts.n_train} subjects"],
        ["digest of the model", judge.digest[:_DIGITS]],
        ["datspect", __version__],
    ]
    return markdown_table(rows, 2)


def _remarks(answer: Answer, outcome: Outcome) -> list[str]:
    """Return what is unusual about the scan."""
    unlike = ", ".join(each.replace("_", " ") for each in answer.unlike)
    flags = ", ".join(each.replace("_", " ") for each in answer.flags)
    said = [f"withheld: {reason}" for reason in answer.withheld]
    said += [f"unlike the training cohort, so that the answer is an extrapolation: {unlike}"] if unlike else []
    said += [f"flags of the quality control: {flags}"] if flags else []
    return [*said, *outcome.notes]


def _ratios_note(answer: Answer) -> str:
    if answer.withheld:
        return "The scan is withheld: what was measured may be no striatum, and is held against nobody."
    if answer.against_controls is None:
        return "No normal range is kept with this model."
    return (
        f"Held against {answer.against_controls.whom}. 95 of 100 controls lie within the range, and their z between "
        f"-{_OUT} and {_OUT}. Left and right are the patient's."
    )


def _ratios(answer: Answer, convention: Convention) -> str:
    """Return the table of binding ratios, sides in the order of the pictures; "" if none was measured."""
    sides = ("right", "left") if convention == "radiological" else ("left", "right")
    names = {f"{part}, {side}": f"sbr_{part}_{side}" for part in ("caudate", "putamen") for side in sides}
    if not set(names.values()) <= set(answer.measures):
        return ""
    against = {} if answer.against_controls is None else answer.against_controls.ratios
    head = ["region, side", "ratio", *(["z", "95 % of controls", "it is"] if against else [])]
    rows = [
        [words, f"{answer.measures[name]:.2f}", *(_compared(against[name]) if against else [])]
        for words, name in names.items()
    ]
    return markdown_table([head, *rows])


def _compared(found: Compared) -> list[str]:
    where = "below" if found.z < -_OUT else "above" if found.z > _OUT else "within"
    return [f"{found.z:+.1f}", f"{found.low:.2f} to {found.high:.2f}", where]


def _binding(answer: Answer, convention: Convention) -> Strip:
    panel: Panel = binding_panel(answer.measures, convention, answer.against_controls)
    lines = " Lines: where 95 % of controls lie." if answer.against_controls is not None else ""
    return Strip([panel], f"Binding ratios by region and the patient's side.{lines}")
