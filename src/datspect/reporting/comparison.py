"""Write a comparison of two experiments as Markdown for a file, or as plain text for a terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill

from datspect.cohort.kind import CohortKind
from datspect.reporting.markdown import escape, markdown_table
from datspect.reporting.paper_tables import ALL_MEASURES, p_value, with_interval

Metrics = Mapping[str, float]
Rows = list[list[str]]

_WIDTH = 110  # characters of a line on the terminal


@dataclass(frozen=True)
class ComparedSet:
    """One set of subjects: what A and B measure on whom they judged, and the differences on whom both did.

    name : key of its measures; n : subjects that A and B have judged; n_paired : those that both have
    differences : A minus B, with bounds; None if the subjects were not paired
    refusal : why the subjects were not paired, "" if they were; notes : what a reader must know of them
    """

    name: str
    title: str
    n: tuple[int, int]
    measures: tuple[Metrics, Metrics]
    n_paired: int = 0
    differences: Metrics | None = None
    refusal: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """Two experiments, A and B.

    titles : what each is; differing : values in A and B of the parameters that differ, by dotted key
    n_shared : parameters that both name; only : keys that one of them names alone
    also_differing : what else the results were made from and that differs; remarks : of the whole comparison
    """

    kind: CohortKind
    titles: tuple[str, str]
    differing: Mapping[str, tuple[str, str]]
    n_shared: int
    only: tuple[Sequence[str], Sequence[str]]
    also_differing: Sequence[str]
    sets: tuple[ComparedSet, ...]
    remarks: tuple[str, ...] = ()


def as_markdown(comparison: Comparison, picture: str | None) -> str:
    """Return a page of Markdown; `picture` names an image file beside it."""
    parts = ["# A compared with B"]
    for block in _blocks(comparison):
        if isinstance(block, _Heading):
            parts.append(f"## {escape(block)}")
        else:
            parts.append(_table(block) if isinstance(block, list) else escape(block))
    return "\n\n".join([*parts, *([f"![differences and ROC curves]({picture})"] if picture else [])]) + "\n"


def as_text(comparison: Comparison) -> str:
    """Return the same for a terminal."""
    return "\n\n".join(
        _aligned(block)
        if isinstance(block, list)
        else fill(block, _WIDTH, break_long_words=False, break_on_hyphens=False)
        for block in _blocks(comparison)
    )


class _Heading(str):
    """The heading of a part."""

    __slots__ = ()


def _blocks(comparison: Comparison) -> list[str | Rows]:
    """Return headings, paragraphs and tables in their order."""
    blocks: list[str | Rows] = [comparison.kind.banner] if comparison.kind.banner else []
    blocks += [[["", "experiment"], *([name, title] for name, title in zip("AB", comparison.titles, strict=True))]]
    blocks += [_Heading("Parameters"), *_parameters(comparison)]
    for compared in comparison.sets:
        blocks += [_Heading(compared.title[:1].upper() + compared.title[1:]), _measures(compared), *_findings(compared)]
    return [*blocks, *comparison.remarks]


def _parameters(comparison: Comparison) -> list[str | Rows]:
    blocks: list[str | Rows] = []
    if comparison.differing:
        blocks.append([["parameter", "A", "B"], *([key, *values] for key, values in comparison.differing.items())])
        blocks.append(f"The other {comparison.n_shared - len(comparison.differing)} that both name are the same.")
    else:
        blocks.append(f"All {comparison.n_shared} that both name are the same.")
    for name, keys in zip("AB", comparison.only, strict=True):
        if keys:
            blocks.append(f"Named by {name} only: {', '.join(keys)}.")
    if comparison.also_differing:
        blocks.append(f"These differ too: {', '.join(comparison.also_differing)}.")
    return blocks


def _measures(compared: ComparedSet) -> Rows:
    (n_a, n_b), differences = compared.n, compared.differences
    rows = [["measure (95 % interval)", f"A, n = {n_a}", f"B, n = {n_b}"]]
    rows += [[name, *(with_interval(side, key) for side in compared.measures)] for key, name in ALL_MEASURES.items()]
    if differences is None:
        return rows
    shown = [with_interval(differences, f"{key}_difference", signed=True) for key in ALL_MEASURES]
    column = [f"A minus B, paired, n = {compared.n_paired}", *shown]
    return [[*row, cell] for row, cell in zip(rows, column, strict=True)]


def _findings(compared: ComparedSet) -> list[str]:
    findings = [f"Not paired: {compared.refusal}"] if compared.refusal else []
    differences = compared.differences
    if differences is not None and "mcnemar_p" in differences:
        findings.append(
            f"Only A right: {differences['n_only_a_right']:.0f}, only B right: {differences['n_only_b_right']:.0f}, "
            f"McNemar's p = {p_value(differences['mcnemar_p'])}; ROC AUC, DeLong's p = "
            f"{p_value(differences['delong_p'])}."
        )
    if differences is not None and (left := [n - compared.n_paired for n in compared.n]) != [0, 0]:
        findings.append(f"Left out of the pairs: {left[0]} whom only A judged, {left[1]} whom only B judged.")
    return [*findings, *compared.notes]


def _table(rows: Rows) -> str:
    return markdown_table(rows, n_text_columns=1 if rows[0][0].startswith("measure") else len(rows[0]))


def _aligned(rows: Rows) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(f"  {line}".rstrip() for line in lines)
