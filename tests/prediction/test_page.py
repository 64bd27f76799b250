"""The page of a scan says what `datspect predict` says, in words that can be read aloud; it needs nothing beside it."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from tests.figures.test_panels import shown  # noqa: F401  (a fixture)
from tests.figures.test_slab_explanation import shown as slab_shown  # noqa: F401  (a fixture)
from tests.prediction.made_up_predictor import N_RATIOS, PREPROCESS, RULES, _role

from datspect.evaluation.normal_range import AgainstControls, Compared
from datspect.figures.explanation import Explanation
from datspect.figures.panels import Panel, Strip
from datspect.figures.slab_explanation import SlabExplanation
from datspect.prediction.answering import Outcome
from datspect.prediction.judging import fit_parts, judge_doubt
from datspect.prediction.page import Judge, Pictures, answer_page, notes_on_pictures
from datspect.prediction.predictor import Answer

NAMES = [f"sbr_{part}_{side}" for part in ("caudate", "putamen") for side in ("left", "right")]
ANSWER = Answer(
    probability=0.9731, prevalence=0.68, likelihood_ratio=17.02, model_probability=0.9, prediction="pd",
    ratio_probability=0.8812, error_risk=0.0213, inconclusive=False, withheld=(), unlike=(), flags=(),
    how="registered", measures=dict(zip(NAMES, (2.11, 2.22, 0.51, 3.62), strict=True)),
    against_controls=AgainstControls(
        dict(zip(NAMES, [Compared(0.1, 1.5, 3.5), Compared(0.2, 1.5, 3.5), Compared(-3.4, 1.1, 2.9),
                         Compared(2.4, 1.1, 2.9)], strict=True)),
        "168 controls, for age 71 and male sex",
    ),
)  # fmt: skip


VOID = ("img", "meta", "link", "br")
"""Elements that hold nothing."""


class Seen(HTMLParser):
    """What a page shows: text by element, images, and what it would load or run."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text: dict[str, list[str]] = {}
        self.images: list[dict[str, str | None]] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self._open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append(tag)
        if tag == "img":
            self.images.append(values)
        self.links += [str(value) for name, value in attrs if name in ("src", "href", "action", "data")]
        if tag not in VOID:
            self._open.append(tag)
            self.text.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        for tag in set(self._open):
            self.text[tag][-1] += data

    @property
    def rows(self) -> list[list[str]]:
        """Cells of all table rows, in order."""
        cells = iter(self.text.get("td", []))
        return [
            [cell.strip() for cell in row.strip().splitlines()] for row in self.text.get("tr", []) if next(cells, "")
        ]

    @property
    def body(self) -> str:
        return " ".join(self.text["body"][0].split())


@pytest.fixture(scope="module")
def judge() -> Judge:
    role = _role(np.random.default_rng(2), N_RATIOS)
    return Judge(fit_parts(role, judge_doubt(role, RULES), "phantom", PREPROCESS, RULES), "0123456789abcdef", None)


def page(judge: Judge, outcome: Outcome, pictures: Pictures | None = None, **options: Any) -> Seen:
    return Seen(answer_page(options.pop("title", "scan.nii"), outcome, judge, pictures, **options))


def some_pictures() -> Pictures:
    return Pictures("What the answer rests on", [Strip([Panel(Figure(), "slice 41")], "What it is.")], ("Red is PD.",))


def test_an_answer_has_its_class_probability_and_what_it_is_for(judge: Judge) -> None:
    seen = page(judge, Outcome("scan.nii", ANSWER))
    assert seen.text["h1"] == ["scan.nii"]
    assert seen.text["title"] == ["scan.nii: PD, Parkinson's disease"]
    (verdict,) = seen.text["blockquote"]
    assert verdict.strip() == "PD, Parkinson's disease: P(PD) 0.973 at 68 % PD, conclusive; chance to be wrong 2.1 %"
    assert ["P(PD) where 68 % of those scanned have PD", "0.9731"] in seen.rows
    assert ["likelihood ratio, the same at any share of PD", "17"] in seen.rows
    assert ["chance that the class is wrong", "2.1 %"] in seen.rows
    assert ["conclusive", "yes"] in seen.rows
    assert ["the scan was", "registered to MNI space"] in seen.rows
    assert ["digest of the model", "0123456789ab"] in seen.rows
    other = page(judge, Outcome("scan.nii", replace(ANSWER, prediction="control", probability=0.2)))
    assert other.text["blockquote"][0].strip().startswith("Control: P(PD) 0.200")


def test_no_answer_is_rounded_to_certainty(judge: Judge) -> None:
    sure = replace(ANSWER, probability=0.99997, error_risk=0.0002, ratio_probability=0.99999)
    seen = page(judge, Outcome("scan.nii", sure))
    words = "P(PD) above 0.999 at 68 % PD, conclusive; chance to be wrong below 0.1 %"
    assert seen.text["blockquote"][0].strip() == f"PD, Parkinson's disease: {words}"
    assert ["chance that the class is wrong", "below 0.1 %"] in seen.rows
    assert ["P(PD) where 68 % of those scanned have PD", "above 0.9999"] in seen.rows
    assert ["P(PD) by the binding ratios alone", "above 0.9999"] in seen.rows
    other = replace(ANSWER, prediction="control", probability=0.0004)
    assert "Control: P(PD) below 0.001 at" in page(judge, Outcome("scan.nii", other)).text["blockquote"][0]


def test_ratios_stand_beside_ranges_and_words_say_what_lies_outside(judge: Judge) -> None:
    seen = page(judge, Outcome("scan.nii", ANSWER))
    ratios = [row for row in seen.rows if row[0].startswith(("caudate", "putamen"))]
    assert ratios == [
        ["caudate, right", "2.22", "+0.2", "1.50 to 3.50", "within"],
        ["caudate, left", "2.11", "+0.1", "1.50 to 3.50", "within"],
        ["putamen, right", "3.62", "+2.4", "1.10 to 2.90", "above"],
        ["putamen, left", "0.51", "-3.4", "1.10 to 2.90", "below"],
    ]
    assert "168 controls, for age 71 and male sex" in seen.body
    assert "Left and right are the patient's." in seen.body
    other = page(judge, Outcome("scan.nii", ANSWER), convention="neurological")
    assert next(row for row in other.rows if row[0].startswith("caudate"))[0] == "caudate, left"


def test_what_a_phantom_taught_is_said_to_say_nothing_about_patients(judge: Judge) -> None:
    html = answer_page("scan.nii", Outcome("scan.nii", ANSWER), judge, None)
    banner = re.search(r'<div class="banner" role="note">([^<]*)</div>', html)
    assert banner is not None
    assert "PHANTOM model" in banner[1]
    assert "no diagnosis" in banner[1]
    real = Judge(replace(judge.parts, cohort_kind="real"), judge.digest)
    seen = page(real, Outcome("scan.nii", ANSWER))
    assert "PHANTOM" not in seen.body
    assert "Research only, no diagnosis." in seen.body
    assert "This is no diagnosis" in seen.body


def test_an_inconclusive_answer_says_first_not_to_rely_on_the_class(judge: Judge) -> None:
    unsure = replace(ANSWER, inconclusive=True, unlike=("peak_slice", "features"), flags=("cut_field",))
    seen = page(judge, Outcome("scan.nii", unsure, notes=("the mean of 2 frames",)))
    assert seen.text["blockquote"][0].strip().startswith("INCONCLUSIVE: do not rely on the class.")
    assert ["conclusive", "no"] in seen.rows
    remarks = " ".join(seen.text["li"])
    assert "an extrapolation: peak slice, features" in remarks
    assert "flags of the quality control: cut field" in remarks
    assert "the mean of 2 frames" in remarks


def test_a_withheld_scan_has_reasons_and_no_number_of_the_answer(judge: Judge) -> None:
    withheld = replace(ANSWER, withheld=("noisier than training scans",), inconclusive=True, against_controls=None)
    seen = page(judge, Outcome("scan.nii", withheld), some_pictures())
    assert seen.text["blockquote"][0].strip() == "WITHHELD, no class: noisier than training scans"
    assert not {"0.9731", "0.973", "17", "0.8812", "2.1 %"} & set(seen.body.split())
    assert "class, the more probable one" not in seen.body
    assert "held against nobody" in seen.body
    assert ["putamen, left", "0.51"] in seen.rows


def test_a_scan_without_an_answer_has_a_page_that_says_why(judge: Judge) -> None:
    seen = page(judge, Outcome("scan.nii", None, "neither a DICOM nor a NIfTI file"))
    assert seen.text["blockquote"][0].strip() == "No answer: neither a DICOM nor a NIfTI file"
    assert "Binding ratios" not in seen.body
    assert seen.images == []


def test_every_picture_is_inside_and_has_words(judge: Judge) -> None:
    seen = page(judge, Outcome("scan.nii", ANSWER), some_pictures())
    assert [image["alt"] for image in seen.images if image["alt"] == "slice 41"]
    assert len(seen.images) == 2
    assert all(str(image["src"]).startswith("data:image/png;base64,") and image["alt"] for image in seen.images)
    assert "What it is." in seen.text["figcaption"]
    assert not {"script", "link", "iframe", "object"} & set(seen.tags)
    assert all(link.startswith(("data:", "#")) for link in seen.links)


def test_headings_have_an_order_and_every_section_is_in_the_contents(judge: Judge) -> None:
    seen = page(judge, Outcome("scan.nii", replace(ANSWER, flags=("x",))), some_pictures())
    levels = [int(tag[1]) for tag in seen.tags if re.fullmatch(r"h\d", tag)]
    assert levels == [1, 2, 2, 2, 2]
    assert [text.strip() for text in seen.text["a"][1:]] == seen.text["h2"]


def test_no_name_and_no_message_is_taken_for_markup(judge: Judge) -> None:
    name = "<b>x</b> *y* _z_ `c` |d| $e$ [f](g) ![h](i).nii"
    outcome = Outcome(name, None, "<script>alert(1)</script> *not* a scan")
    seen = page(judge, outcome, title=name)
    assert seen.text["h1"] == [name]
    assert "<script>alert(1)</script> *not* a scan" in seen.body
    assert not {"b", "script", "code"} & set(seen.tags)
    assert seen.images == []


def test_equal_input_gives_equal_bytes(judge: Judge) -> None:
    one, other = (answer_page("scan.nii", Outcome("scan.nii", ANSWER), judge, some_pictures()) for _ in range(2))
    assert one == other


def test_the_prevalence_that_was_asked_for_is_explained(judge: Judge) -> None:
    asked = Judge(judge.parts, judge.digest, 0.1)
    assert "were shifted to 10 % PD" in page(asked, Outcome("scan.nii", replace(ANSWER, prevalence=0.1))).body


def test_a_map_that_must_not_be_read_says_so(
    shown: Explanation,  # noqa: F811
    slab_shown: SlabExplanation,  # noqa: F811
) -> None:
    for each in (shown, slab_shown):
        assert any("complete (misses" in line for line in notes_on_pictures(replace(each, is_complete=True)))
        spoilt = notes_on_pictures(replace(each, is_complete=False, missed=0.31))
        assert any("NOT COMPLETE and must not be read" in line and "misses 0.31" in line for line in spoilt)
    assert any("mean control -5.68, this scan +6.74" in line for line in notes_on_pictures(slab_shown))


def test_a_withheld_scan_has_no_notes_on_a_map_and_no_log_odds(
    shown: Explanation,  # noqa: F811
    slab_shown: SlabExplanation,  # noqa: F811
) -> None:
    for each in (shown, slab_shown):
        (note,) = notes_on_pictures(replace(each, withheld=True))
        assert "withheld" in note
        assert "log odds" not in note
