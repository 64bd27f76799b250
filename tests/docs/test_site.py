"""The documentation site is whole: it builds, no link leads nowhere, and no page loads anything from elsewhere."""

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from scripts.website.__main__ import build
from scripts.website.built import problems
from scripts.website.commands import commands
from scripts.website.measured import NOTE, PART, TYPED, measured
from scripts.website.navigation import pages, with_all_pages
from scripts.website.pages import linked, write_pages
from scripts.website.parameters import lines, parameters, whose_choice

ROOT = Path(__file__).parents[2]
DATE = re.compile(r"20\d\d-\d\d-\d\d")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, tmp_path_factory.mktemp("website"))


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_holds_every_page(site: Path) -> None:
    written = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    assert {path.relative_to(site) for path in site.rglob("*.html")} == written | {Path("404.html")}


@pytest.mark.slow
def test_what_is_made_from_the_code_stands_in_its_pages(site: Path) -> None:
    assert "training.learning_rate.drops" in text_of(site / "parameters.html")
    assert "datspect import ppmi" in text_of(site / "cli.html")
    assert 'id="datspect.imaging.quantification.specific_binding_ratio"' in text_of(site / "python-api.html")
    assert "0001-one-bank-of-features.html" in text_of(site / "decisions/index.html")
    assert not [page.name for page in site.rglob("*.html") if "<!-- generated: " in text_of(page)]


def test_lists_of_commands_are_not_cut_short() -> None:
    page = commands(ROOT)
    assert "* `import`: Import real scans into a cohort folder, under pseudonyms." in page
    assert "...\n" not in "\n".join(line for line in page.splitlines(keepends=True) if line.startswith("* `"))


def test_a_page_that_loads_or_names_what_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<script src="https://example.org/x.js"></script><a href="b.html">b</a><a href="#c">c</a><a href="#here">d</a>'
        '<p id="here" class="mermaid"><a href="https://example.org">e</a><link rel="canonical" href="https://example.org/a.html">',
        encoding="utf-8",
    )
    (tmp_path / "s.css").write_text("@font-face { src: url(//example.org/font.woff) }", encoding="utf-8")
    assert problems(tmp_path) == [
        "a.html loads https://example.org/x.js",
        "a.html loads https://unpkg.com/mermaid",
        "a.html: b.html leads nowhere",
        "a.html: #c leads nowhere",
        "s.css loads something from outside",
    ]


def test_names_of_pages_become_links_outside_of_code(tmp_path: Path) -> None:
    for name in ("serving.md", "decisions/0007-mlflow-hears-of-files.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    others = "[it](docs/serving.md), src/docs/serving.md.\n```\ndocs/serving.md\n```\n"
    text = f"See `docs/serving.md` (docs/decisions/0007), {others}"
    found, missing = linked(text, Path("decisions/index.md"), tmp_path)
    assert found == (
        "See [`docs/serving.md`](../serving.md) ([docs/decisions/0007](../decisions/0007-mlflow-hears-of-files.md)), "
        f"{others}"
    )
    assert missing == []
    assert linked("docs/nothing.md", Path("a.md"), tmp_path)[1] == ["docs/nothing.md"]


def test_a_page_that_names_a_page_that_is_not_there_stops_the_build(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/a.md").write_text("As `docs/b.md` says.", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"docs/a\.md names docs/b\.md"):
        write_pages(tmp_path, tmp_path / "source")


def test_the_navigation_names_pages_once_and_loses_none() -> None:
    nav = YAML(typ="safe", pure=True).load(text_of(ROOT / "mkdocs.yml"))["nav"]
    named = pages(with_all_pages(nav, ROOT / "docs"))
    assert len(named) == len(set(named))
    assert set(named) == {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    with pytest.raises(FileNotFoundError, match=r"lost\.md"):
        with_all_pages([*nav, {"Lost": "lost.md"}], ROOT / "docs")


def leaves(value: object, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    if not isinstance(value, dict):
        return {path}
    return {each for key, inside in value.items() for each in leaves(inside, (*path, key))}


def test_every_parameter_has_a_row_with_its_value_range_and_source() -> None:
    page = parameters(ROOT)
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    text = text_of(ROOT / "params.yaml")
    named = {line.path for line in lines(text) if line.value}
    assert len(rows) == len(named)
    for leaf in leaves(YAML(typ="safe", pure=True).load(text)):
        assert any(leaf[: len(path)] == path for path in named), leaf
    assert [row for row in rows if row.endswith("|  |")] == []  # without a meaning
    assert any(row.startswith("| `split.test_fraction` | `0.2` | number above 0 below 1 | paper |") for row in rows)
    assert "| `training.epochs` | `500` | whole number from 1 | paper | paper: 500 |" in rows
    assert any(row.startswith("| `model` | `paper` | `paper`, `striatum` |  | paper: slices") for row in rows)
    assert any(row.startswith("| `promotion.min_roc_auc` | `0.85` | number from 0 to 1 |  |") for row in rows)


def test_a_comment_is_the_papers_or_open_by_its_first_word_alone() -> None:
    comments = ("paper: 500", "open: units", "paper; open: from 0", "papers differ", "of the paper", "")
    assert [whose_choice(comment) for comment in comments] == ["paper", "open", "paper; open", "", "", ""]


def all_parts() -> list[tuple[Path, re.Match[str]]]:
    files = sorted((ROOT / "docs").rglob("*.md"))
    return [(file, part) for file in files for part in PART.finditer(text_of(file))]


def test_every_measured_part_is_on_the_page_of_all_of_them_once() -> None:
    page = measured(ROOT)
    parts = [(file, part) for file, part in all_parts() if part[2].strip()]
    assert len(parts) > 40
    for file, part in parts:
        first = next(line for line in part[2].splitlines() if line.strip() and not line.startswith("#"))
        assert first in page, (file.name, part[1])
    assert page.count(NOTE) == len([part for _, part in parts if part[1] == TYPED])


def test_marks_that_wait_for_their_first_run_are_passed_over_and_typed_parts_say_so(tmp_path: Path) -> None:
    (tmp_path / "docs/decisions").mkdir(parents=True)
    (tmp_path / "docs/measurements.md").write_text(
        "# Measurements\n\n## Cost\n\n<!-- graph: begin -->\n<!-- graph: end -->\n\n## Speed\n\n"
        "<!-- heads: begin -->\n12 s\n<!-- heads: end -->\n",
        encoding="utf-8",
    )
    (tmp_path / "docs/decisions/0001-why.md").write_text(
        "# 1. Why\n\n<!-- typed: begin -->\n2026-11-29: 7 s\n<!-- typed: end -->\n", encoding="utf-8"
    )
    page = measured(tmp_path)
    assert "Cost" not in page
    assert "### Speed\n\n12 s\n\n## 1. Why" in page
    assert page.endswith(
        f"(decisions/0001-why.md), which says what was asked and what follows.\n\n{NOTE}\n\n2026-11-29: 7 s"
    )


def test_marks_are_in_pairs_and_a_typed_part_has_a_date() -> None:
    marks = sum(
        len(re.findall(r"<!-- [\w-]+: (?:begin|end) -->", text_of(file))) for file in (ROOT / "docs").rglob("*.md")
    )
    assert marks == 2 * len(all_parts())
    undated = [(file.name, part[2][:60]) for file, part in all_parts() if part[1] == TYPED and not DATE.search(part[2])]
    assert undated == []


def tables(text: str) -> list[list[str]]:
    """The rows of every table of a page, without its head."""
    return [found[0].splitlines()[2:] for found in re.finditer(r"(?:^\|.*\n)+", text, re.MULTILINE)]


def test_no_table_of_measured_figures_stands_outside_of_marks() -> None:
    assert tables("| a |\n|---|\n| 0.97 |\n\nword\n| b |\n|---|\n| 1 |\n| 2 |\n") == [["| 0.97 |"], ["| 1 |", "| 2 |"]]
    for file in sorted((ROOT / "docs").rglob("*.md")):
        for rows in tables(PART.sub("", text_of(file)) + "\n"):
            measured_rows = [row for row in rows if re.search(r"\d\.\d", row)]
            assert 2 * len(measured_rows) < len(rows), (file.name, rows[0])


def test_the_readmes_typed_figures_are_those_of_the_results() -> None:
    typed = next(part[2] for file, part in all_parts() if file.name == "results.md" and part[1] == TYPED)
    sentence = text_of(ROOT / "README.md").partition("The two recipes")[2].partition("[All tables]")[0]
    figures = re.findall(r"\d\.\d{4}", sentence)
    assert len(figures) == 12
    assert [figure for figure in figures if figure not in typed] == []


def test_the_tutorials_figures_are_those_of_the_results() -> None:
    results, tutorial = text_of(ROOT / "docs/results.md"), text_of(ROOT / "docs/tutorial.md")
    for row, column, figure in (
        ("mean", 6, "0.9165"),
        ("mean", 10, "0.9645"),
        ("regression on SBRs", 2, "0.9530"),
        ("ROC AUC", 2, "0.9233"),
    ):
        (cells,) = re.findall(rf"^\| {row} +\|.*$", results, re.MULTILINE)
        assert figure in cells.split("|")[column], (row, cells)
        assert figure in tutorial


def test_the_readmes_links_lead_to_files() -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text_of(ROOT / "README.md"))
    assert len(links) > 15
    assert [link for link in links if not (ROOT / link).is_file()] == []
