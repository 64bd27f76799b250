"""The report as the stage writes it."""

import base64
import io
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from tests.reporting.results import MEASURES, PROBABILITY_MEASURES, N, Results, random_metrics, write_results

from datspect.errors import CohortError
from datspect.evaluation.other_groups import answers_by_group
from datspect.io.records import read_json, write_json
from datspect.params.network import ParametersFrom
from datspect.params.recipes import read_recipes, with_recipe
from datspect.stages.report import IMAGE_FILES, REPORT_FILES, main
from datspect.training import to_mlflow
from datspect.training.record import origin_of_parameters

PARAMS = Path(__file__).parents[2] / "params.yaml"
HOSTILE = "<script>alert(1)</script> | **a** [b](http://example.org/x.png) `c` &lt; \\"


@pytest.fixture(autouse=True, scope="module")
def sent() -> Iterator[list[tuple[Path, bool]]]:
    """What is sent to MLflow: from where, and whether single subjects may be; nothing is."""
    calls: list[tuple[Path, bool]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            to_mlflow, "send_report", lambda folder, *, share_subject_level: calls.append((folder, share_subject_level))
        )
        yield calls


class Page(HTMLParser):
    """Tags with their attributes, and the text that a reader sees."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[str] = []
        self.inside_cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("td", "th"):
            self.inside_cell = True
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside_cell = self.inside_cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self.inside_cell:
            self.cells[-1] += data

    def attributes(self, tag: str, name: str) -> list[str]:
        return [attributes.get(name) or "" for found, attributes in self.tags if found == tag]


def run(results: Results) -> tuple[str, str]:
    main(*results.paths, PARAMS)
    return tuple((results.reports / f"report.{end}").read_text(encoding="utf-8") for end in ("md", "html"))


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, str, str]:
    """The report of a phantom, made once for all tests that only read it."""
    results = write_results(tmp_path_factory.mktemp("phantom"))
    return results, *run(results)


def row(markdown: str, name: str, section: str) -> list[str]:
    """Cells of the first row called `name` after the heading `section`."""
    after = markdown.partition(f"# {section}\n")[2]
    return next(
        [c.strip() for c in line.split("|")[1:-1]] for line in after.splitlines() if line.startswith(f"| {name} ")
    )


def shown(metrics: dict[str, Any], name: str, form: str = ".4f") -> str:
    return "{} ({} to {})".format(*(f"{metrics[f'{name}{end}']:{form}}" for end in ("", "_low", "_high")))


def test_the_report_is_sent_once_it_is_written(tmp_path: Path, sent: list[tuple[Path, bool]]) -> None:
    results = write_results(tmp_path)
    run(results)
    assert sent[-1] == (results.reports, False)


@pytest.mark.parametrize("kind", ["phantom", "real"])
def test_a_phantom_is_called_one_at_once_and_a_real_cohort_nowhere(tmp_path: Path, kind: str) -> None:
    markdown, html = run(write_results(tmp_path, kind))
    page = Page(html)
    is_phantom = kind == "phantom"
    assert markdown.startswith("# PHANTOM") is is_phantom
    assert ("banner" in page.attributes("div", "class")) is is_phantom
    assert ('role="note">PHANTOM cohort' in html) is is_phantom
    assert ("PHANTOM" in markdown + html) is is_phantom
    assert ("simulated" in markdown + html) is is_phantom
    assert ("phantom say" in markdown) is is_phantom


def test_the_tables_show_what_the_stages_measured(phantom: tuple[Results, str, str]) -> None:
    results, markdown, _ = phantom
    cv, final = (read_json(results.reports / stage / "metrics.json") for stage in ("cv", "final"))
    table_1 = pd.read_csv(results.reports / "cv/table1.csv")
    for _, fold in table_1.iterrows():
        cells = row(markdown, f"{fold['fold']:.0f}", "Table 1: cross-validation")
        assert cells[1:6] == ["8", *(f"{fold[name]:.4f}" for name in table_1.columns[2:])]
    for name in ("true positive", "false positive", "true negative", "false negative"):
        counts = [str(cv["out_of_fold"][name.replace(" ", "_")]), str(final["holdout"][name.replace(" ", "_")])]
        assert row(markdown, name, "All measures")[1:] == counts
        assert row(markdown, name, "Table 2: the final model on the holdout")[1] == counts[1]
    names = {"ROC AUC": "roc_auc", "PR AUC": "pr_auc", "loss": "loss"} | {
        name: name for name in ("accuracy", "sensitivity", "specificity", "precision")
    }
    for name, key in names.items():
        assert row(markdown, name, "Table 2: the final model on the holdout")[1] == shown(final["holdout"], key)
    for name, key in (names | {"Brier score": "brier", "calibration error": "calibration_error"}).items():
        expected = [shown(cv["out_of_fold"], key), shown(final["holdout"], key)]
        assert row(markdown, name, "All measures")[1:] == expected
    over_folds = f"{cv['cv']['roc_auc_fold_mean']:.4f} ± {cv['cv']['roc_auc_fold_sd']:.4f}"
    assert row(markdown, "ROC AUC, mean ± sd over folds", "All measures")[1] == over_folds


def test_parameters_of_a_study_are_said_wherever_their_figures_stand(tmp_path: Path) -> None:
    results = write_results(tmp_path)
    path = results.reports / "cv/metrics.json"
    note = f"80 % of these subjects took part {HOSTILE}."
    origin = {"study": "wide_1", "trial": 7, "same_split": True, "note": note}
    write_json(path, read_json(path) | {"parameters_from": origin})
    markdown, html = run(results)
    summary = markdown.partition("## Summary\n")[2].partition("\n### ")[0]
    below_table_1 = markdown.partition("# Table 1: cross-validation\n")[2].partition("### Table 2")[0]
    assert "80 % of these subjects took part" in summary
    assert below_table_1.strip().splitlines()[-1].startswith("80 % of these subjects took part")
    assert "the network was, which favours it out of fold" in markdown
    chosen = row(markdown, "selection", "What the paper leaves open")[-1]
    assert chosen.startswith("trial 7 of study wide\\_1, a search on the 10 development folds")
    assert chosen.endswith("the test subjects took no part")
    assert "script" not in {tag for tag, _ in Page(html).tags}


def test_of_a_study_of_another_split_the_report_does_not_say_who_took_part(tmp_path: Path) -> None:
    results = write_results(tmp_path)
    study = ParametersFrom(study="wide", trial=7, split="0" * 12)
    splits_sha256 = read_json(results.reports / "cv/run.json")["splits_sha256"]
    for stage in ("cv", "final"):
        path = results.reports / stage / "metrics.json"
        origin = origin_of_parameters(stage, study, pd.read_csv(results.splits), splits_sha256)
        write_json(path, read_json(path) | {"parameters_from": origin})
    markdown, _ = run(results)
    summary = markdown.partition("## Summary\n")[2].partition("\n### ")[0]
    below_table_1 = markdown.partition("# Table 1: cross-validation\n")[2].partition("### Table 2")[0]
    for part in (summary, below_table_1):
        assert "It is not known which of these subjects took part in the tuning, so all figures" in part
    assert "the network was, on another split or cohort, which may favour it out of fold and on the holdout" in markdown
    assert row(markdown, "selection", "What the paper leaves open")[-1] == (
        "trial 7 of study wide, a search on the development folds of another split or cohort; it is not known whether "
        "the test subjects took part"
    )
    for claim in ("took no part", "honest", "which favours it out of fold", "Nothing was tuned"):
        assert claim not in markdown


def test_without_a_study_the_report_says_that_nothing_was_tuned(phantom: tuple[Results, str, str]) -> None:
    markdown = phantom[1]
    assert "as the network. Nothing was tuned. Age and sex" in markdown
    assert row(markdown, "selection", "What the paper leaves open")[-1] == (
        "none in this run: the values of params.yaml; 10 development folds inside the training set are kept for a "
        "search"
    )
    assert "took part in the tuning" not in markdown
    below_table_1 = markdown.partition("# Table 1: cross-validation\n")[2].partition("### Table 2")[0]
    assert below_table_1.endswith("|\n\n")
    assert below_table_1.strip().splitlines()[-1].startswith("| sd ")


def test_the_differences_to_the_baselines_are_shown_with_sign_and_interval(phantom: tuple[Results, str, str]) -> None:
    results, markdown, _ = phantom
    baselines = read_json(results.reports / "baselines/metrics.json")
    minus = markdown.index("| network minus")
    out_of_fold = baselines["out_of_fold"]["voxel_svm"]["network_minus_this"]
    cells = row("# x\n" + markdown[minus:], "linear SVM on voxels", "x")
    assert cells[1:] == [shown(out_of_fold, f"{name}_difference", "+.4f") for name in ("accuracy", "roc_auc", "loss")]
    minus = markdown.index("| network minus", minus + 1)
    holdout = baselines["holdout"]["age_sex"]["network_minus_this"]
    cells = row("# x\n" + markdown[minus:], "age and sex only (control)", "x")
    assert cells[1:5] == [shown(holdout, "accuracy_difference", "+.4f"), "31", "17", "0.0591"]
    assert cells[5:] == [shown(holdout, "roc_auc_difference", "+.4f"), "\\< 0.0001"]


def test_the_page_needs_nothing_beside_it(phantom: tuple[Results, str, str]) -> None:
    _, markdown, html = phantom
    page = Page(html)
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "link", "iframe", "object", "embed", "base"}
    assert page.attributes("html", "lang") == ["en"]
    anchors = page.attributes("h2", "id")
    assert page.attributes("a", "href") == ["#content", *(f"#{anchor}" for anchor in anchors)]
    assert "content" in page.attributes("main", "id")
    assert len(set(anchors)) == len(anchors) > 5
    sources = page.attributes("img", "src")
    assert len(sources) == markdown.count("![") == 9
    for source in sources:
        pixels = matplotlib.image.imread(io.BytesIO(base64.b64decode(source.removeprefix("data:image/png;base64,"))))
        assert pixels.ndim == 3
    assert all(page.attributes("img", "alt"))
    assert not re.search(r"url\(|@import", html)


def test_images_in_the_markdown_are_files_relative_to_it(phantom: tuple[Results, str, str]) -> None:
    results, markdown, _ = phantom
    links = re.findall(r"!\[[^\]]*\]\(([^)]*)\)", markdown)
    assert "../images/contact_sheet.png" in links
    assert "figures/calibration.png" in links
    assert all((results.reports / link).is_file() for link in links)


def test_hostile_text_stays_text_and_breaks_no_table(tmp_path: Path) -> None:
    sites = [HOSTILE, *["site"] * (N - 1)]
    excluded = pd.DataFrame({"scan_id": ["X1"], "reason": [HOSTILE]})
    results = write_results(tmp_path, site=sites, excluded=excluded)
    checks = read_json(results.reports / "checks/metrics.json")
    checks["checks"]["subject_overlap"]["finding"] = f"{HOSTILE}\n\n# heading\n"
    write_json(results.reports / "checks/metrics.json", checks)
    _, html = run(results)
    page = Page(html)
    assert "script" not in {tag for tag, _ in page.tags}
    assert not any("example.org" in value for _, found in page.tags for value in found.values() if value)
    assert {HOSTILE, f"{HOSTILE} # heading"} <= set(page.cells)
    head = ["site", "control", "PD", "accuracy"]
    start = next(i for i in range(len(page.cells)) if page.cells[i : i + 4] == head)
    assert page.cells[start + 4 : start + 7] == ["site", "11", "12"]
    assert page.cells[start + 8 : start + 11] == [HOSTILE, "1", "0"]


def test_equal_inputs_give_equal_bytes(phantom: tuple[Results, str, str], tmp_path: Path) -> None:
    first, second = phantom[0], write_results(tmp_path)
    assert run(second) == phantom[1:]
    for name in ("models_out_of_fold", "models_holdout", "calibration"):
        one, other = ((results.reports / f"figures/{name}.png").read_bytes() for results in (first, second))
        assert one == other


def test_every_missing_file_is_named_with_the_stage_that_writes_it(tmp_path: Path) -> None:
    results = write_results(tmp_path)
    gone = {results.images / name: "preprocess" for name in IMAGE_FILES} | {results.splits: "split"}
    gone |= {results.reports / stage / name: stage for stage, names in REPORT_FILES.items() for name in names}
    for path in gone:
        path.unlink()
    with pytest.raises(CohortError) as caught:
        run(results)
    lines = str(caught.value).splitlines()[1:]
    assert [line.strip() for line in lines] == [f"{path}: not found; run dvc repro {gone[path]}" for path in gone]
    assert not (results.reports / "report.md").exists()


@pytest.mark.parametrize("key", ["git", "started", "splits_sha256", "releases"])
def test_a_run_record_of_an_earlier_version_is_refused(tmp_path: Path, key: str) -> None:
    results = write_results(tmp_path)
    path = results.reports / "cv/run.json"
    write_json(path, {name: value for name, value in read_json(path).items() if name != key})
    with pytest.raises(CohortError, match=f"missing: {key}; run dvc repro cv"):
        run(results)


@pytest.mark.parametrize("stage", ["cv", "final", "baselines", "checks", "predictor", "other_groups", "grouped"])
def test_results_of_a_phantom_and_of_patients_do_not_meet_in_a_report(tmp_path: Path, stage: str) -> None:
    results = write_results(tmp_path, "real")
    path = results.reports / stage / "metrics.json"
    write_json(path, read_json(path) | {"cohort_kind": "phantom"})
    with pytest.raises(CohortError, match=f"not of one cohort.*{stage}/metrics.json phantom"):
        run(results)


def test_one_site_no_age_and_no_sex_make_a_report_too(tmp_path: Path) -> None:
    markdown, _ = run(write_results(tmp_path, site="one", age=np.nan, sex=""))
    assert "All scans are from one site." in markdown
    assert "No scan was excluded." in markdown
    assert row(markdown, "control", "Cohort")[-1] == "12"  # controls of unknown age
    assert row(markdown, "age: unknown", "Cohort")[1:3] == ["12", "12"]


def test_other_groups_have_a_section_where_some_are_answered(tmp_path: Path, phantom: tuple[Results, str, str]) -> None:
    assert "## Other groups" not in phantom[1]
    results = write_results(tmp_path)
    ratios = {f"sbr_{nucleus}_{side}": 0.7 for nucleus in ("caudate", "putamen") for side in ("left", "right")}
    answers = pd.DataFrame(
        {"label": "atypical", "prediction": ["pd", "control", "control"], "probability": [0.9, 0.2, 0.1], **ratios}
    ).assign(inconclusive=[0, 0, 1], withheld="", unlike=["", "features", ""])
    groups = answers_by_group(answers)
    record = {"cohort_kind": "phantom", "groups": groups, "holdout": []}
    write_json(results.reports / "other_groups/metrics.json", record)
    markdown, html = run(results)
    cells = row(markdown, "atypical", "Other groups")
    assert [cell[:4] for cell in cells[1:7]] == ["3", "0.33", "0.33", "0.33", "0.00", "0.33"]
    assert cells[7:] == ["0.200", "0.70", "0.70"]
    assert "3 scans that are neither PD nor control" in markdown
    assert "scaled by its own maximum" in markdown
    assert ">Other groups</a>" in html


def test_grouped_folds_have_a_section_beside_the_random_ones(
    tmp_path: Path, phantom: tuple[Results, str, str], rng: np.random.Generator
) -> None:
    assert "grouped" not in phantom[1]
    results = write_results(tmp_path)
    names = (*MEASURES, *PROBABILITY_MEASURES)
    differences = random_metrics(rng, tuple(f"{name}_difference" for name in (*MEASURES, "loss", "loss_by_group")))
    differences |= {f"loss_difference_by_group{end}": float(rng.random()) for end in ("", "_low", "_high")}
    record = {
        "cohort_kind": "phantom",
        "group": "site",
        "n_groups": 5,
        "n_random_folds": 3,
        "folds": [
            {"fold": 1, "n_groups": 2, "n_control": 4, "n_pd": 6},
            {"fold": 2, "n_groups": 3, "n_control": 8, "n_pd": 6},
        ],
        "random": random_metrics(rng, names),
        "out_of_fold": random_metrics(rng, names),
        "grouped_minus_random": differences,
        "bracket": {"calibration_slope_from": 0.71, "calibration_slope_to": 1.12},
    }
    write_json(results.reports / "grouped/metrics.json", record)
    markdown, html = run(results)
    section = "Random against grouped folds"
    for key, name in (("accuracy", "accuracy"), ("roc_auc", "ROC AUC"), ("loss", "loss")):
        expected = [shown(record["random"], key), shown(record["out_of_fold"], key)]
        assert row(markdown, name, section)[1:] == [*expected, shown(differences, f"{key}_difference", "+.4f")]
    assert row(markdown, "calibration slope", "Random against grouped folds")[1] == shown(
        record["random"], "calibration_slope"
    )
    assert "| calibration slope | 0.7100 | 1.1200 |" in re.sub(" +", " ", markdown)
    assert (
        "5 groups lie in 2 grouped folds of 10 to 14 subjects, 43 % to 60 % of them PD; there are 3 random" in markdown
    )
    assert "fewer grouped folds than random ones" in markdown
    assert shown(differences, "loss_difference_by_group", "+.4f") in markdown
    assert f">{section}</a>" in html
    loss = [f"{record[folds]['loss']:.4f}" for folds in ("out_of_fold", "random")]
    assert f"With whole groups held out (site) the loss is {loss[0]}, with random folds {loss[1]}" in markdown


def test_a_failed_check_is_said_in_the_summary_and_leads_its_table(phantom: tuple[Results, str, str]) -> None:
    _, markdown, _ = phantom
    assert "Of 2 leakage and chance checks 1 did not pass: site predicts label." in markdown
    table = markdown.partition("## Leakage and chance")[2].strip().splitlines()
    assert table[2].split("|")[1:3] == [" site predicts label ", " NO     "]


def test_the_measures_that_dvc_compares_are_one_small_flat_file(phantom: tuple[Results, str, str]) -> None:
    results, _, _ = phantom
    measures = read_json(results.reports / "metrics.json")
    assert len(measures) <= 25
    assert measures["cohort"] == "phantom"
    cv = read_json(results.reports / "cv/metrics.json")
    assert measures["cv.accuracy"] == cv["out_of_fold"]["accuracy"]
    assert not [name for name, value in measures.items() if isinstance(value, dict)]


@pytest.fixture(scope="module")
def of_striatum(tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, Path]:
    """Results of the striatum's recipe, and the params.yaml that they were made with."""
    folder = tmp_path_factory.mktemp("striatum")
    results = write_results(folder)
    for stage in REPORT_FILES:
        path = results.reports / stage / "metrics.json"
        write_json(path, read_json(path) | {"recipe": "striatum"})
    params = folder / "params.yaml"
    params.write_text(with_recipe(PARAMS.read_text("utf-8"), read_recipes(PARAMS)["striatum"]), "utf-8")
    return results, params


def test_a_report_of_the_striatum_names_its_recipe_and_nothing_of_the_papers_network(
    of_striatum: tuple[Results, Path],
) -> None:
    results, params = of_striatum
    main(*results.paths, params)
    markdown = (results.reports / "report.md").read_text("utf-8")
    assert markdown.splitlines()[0].startswith("# PHANTOM cohort, simulated; recipe striatum: ")
    assert "simulated scans, not patients · recipe striatum</div>" in (results.reports / "report.html").read_text(
        "utf-8"
    )
    assert "an ensemble of 3 small networks, trained from nothing, reads the left and the right side" in markdown
    assert "the recipe of the network was, on the development folds of the default phantom" in markdown
    assert "up to 4e-3 and down to 1e-5, in one cycle" in markdown
    assert read_json(results.reports / "metrics.json")["recipe"] == "striatum"
    for untrue in ("kept frozen", "each head", "final head", "three slices", "weights digest", "Nothing was tuned"):
        assert untrue not in markdown, untrue
    assert markdown.count("InceptionV3") == markdown.count("InceptionV3, ImageNet") == 1  # in the paper's column


def test_results_of_two_recipes_make_no_report(of_striatum: tuple[Results, Path], tmp_path: Path) -> None:
    results, params = of_striatum
    reports = tmp_path / "reports"
    shutil.copytree(results.reports, reports)
    path = reports / "baselines" / "metrics.json"
    write_json(path, {name: value for name, value in read_json(path).items() if name != "recipe"})
    with pytest.raises(CohortError, match=r"the recipe differs: .*baselines/metrics\.json paper, .*striatum"):
        main(results.images, results.splits, reports, params)
