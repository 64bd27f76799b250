"""Blocks of the documentation marked `<!-- run -->` do what they say, in this order, on the tests' tiny graph."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from tests.docs.written_commands import PAGES, ROOT
from tests.pipeline.conftest import Graph, repository, tiny_graph  # noqa: F401  (a fixture)

from datspect.cohort.table import read_cohort
from datspect.importing.pseudonyms import KEY_VARIABLE

pytestmark = pytest.mark.slow

_RUN = re.compile(r"^<!-- run -->\n```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = {page.name: blocks for page in PAGES if (blocks := _RUN.findall(page.read_text(encoding="utf-8")))}


class Reader:
    """Somebody who follows a page in a folder."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def follow(self, block: str) -> str:
        """Run a block as a shell does and return what it printed."""
        environment = self.graph.environment() | {
            f"GIT_{who}_{what}": "x@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        environment[KEY_VARIABLE] = str(self.graph.folder.parent / "key")  # not that of whoever runs the tests
        environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
        done = subprocess.run(
            ["sh", "-euc", block], cwd=self.graph.folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def reader(tiny_graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Reader:  # noqa: F811
    """Somebody for whom `make repro` has run: the results are there, and the model is the challenger."""
    reader = Reader(repository(tiny_graph, tmp_path_factory.mktemp("reader") / "project"))
    reader.follow("datspect register")
    return reader


def test_the_blocks_that_are_run_are_those_that_a_test_knows() -> None:
    assert set(BLOCKS) == {"tutorial.md", "challenge-layout.md"}


def test_the_tutorial_leads_to_a_champion_an_answer_with_its_picture_and_a_comparison(reader: Reader) -> None:
    promoted, predicted, compared, back = BLOCKS["tutorial.md"]
    assert "is the champion now" in reader.follow(promoted)
    said = reader.follow(predicted)
    assert "P(PD)" in said
    (picture,) = (reader.graph.folder / "tmp/pictures").iterdir()
    (page,) = (reader.graph.folder / "tmp/pages").iterdir()
    assert (picture.suffix, page.suffix) == (".png", ".html")
    said = reader.follow(compared)
    assert re.search(r"training\.epochs +\d+ +3", said)
    reader.follow(back)
    assert reader.graph.git("status", "--porcelain", "params.yaml", "dvc.lock") == ""
    assert "up to date" in reader.follow("dvc status")


def test_a_folder_in_the_layout_of_the_challenge_becomes_a_cohort(reader: Reader) -> None:
    imported, made = BLOCKS["challenge-layout.md"]
    reader.follow(made.replace("--n 20", "--n 3"))
    folder = reader.graph.folder
    table = pd.read_csv(folder / "try/participants.tsv", sep="\t")
    ids = [Path(name).name.split(".")[0] for name in table["file"]]
    labels = pd.DataFrame({"uid": ids, "is_pathologic": 1.0 * (table["group"] == "pd")})
    labels.to_csv(folder / "train_labels.csv", index=False)
    (folder / "try/scans").rename(folder / "train")
    reader.follow(imported)
    cohort = read_cohort(folder / "data/challenge")
    assert set(cohort.scans["label"]) <= {"pd", "control"}
    assert len(cohort.scans) >= 1


def test_the_example_of_the_python_page_answers_a_scan(reader: Reader) -> None:
    page = (ROOT / "docs/python-api.md").read_text(encoding="utf-8")
    example = page.partition("```python\n")[2].partition("```")[0]
    (reader.graph.folder / "example.py").write_text(example, encoding="utf-8")
    assert re.search(
        r"^(answer|inconclusive|withheld) (pd|control) \d", reader.follow("python example.py"), re.MULTILINE
    )
