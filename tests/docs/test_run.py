"""Blocks of the documentation marked `<!-- run -->` do what they say, in this order, on the tests' tiny graph."""

import gzip
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from tests.docs.written_commands import PAGES, ROOT
from tests.pipeline.conftest import Graph, repository, tiny_graph  # noqa: F401  (a fixture)
from tests.tracking.servers import free_port

from datspect.cohort.table import read_cohort
from datspect.importing.pseudonyms import KEY_VARIABLE

pytestmark = pytest.mark.slow

_RUN = re.compile(r"^<!-- run -->\n```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = {page.name: blocks for page in PAGES if (blocks := _RUN.findall(page.read_text(encoding="utf-8")))}


class Reader:
    """Somebody who follows a page in a folder."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    @property
    def environment(self) -> dict[str, str]:
        environment = self.graph.environment() | {
            f"GIT_{who}_{what}": "x@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        environment[KEY_VARIABLE] = str(self.graph.folder.parent / "key")  # not that of whoever runs the tests
        environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
        return environment

    def follow(self, block: str) -> str:
        """Run a block as a shell does and return what it printed."""
        done = subprocess.run(
            ["sh", "-euc", block],
            cwd=self.graph.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
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
    assert {name: len(blocks) for name, blocks in BLOCKS.items()} == {
        "tutorial.md": 7,
        "challenge-layout.md": 2,
        "comparing-runs.md": 1,
        "experiments.md": 2,
        "serving.md": 2,
    }


@pytest.fixture(scope="module")
def answered(reader: Reader) -> str:
    """What the tutorial's champion says of a scan."""
    _, _, promoted, predicted, *_ = BLOCKS["tutorial.md"]
    assert "is the champion now" in reader.follow(promoted)
    return reader.follow(predicted)


@pytest.fixture(scope="module")
def served(reader: Reader, answered: str) -> Iterator[str]:
    """Address of what `make serve` starts."""
    port = free_port()
    log = reader.graph.folder.parent / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["sh", str(ROOT / "scripts/serve"), str(port), "datspect@champion"], cwd=reader.graph.folder,
            env=reader.environment, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        wait_for(f"http://127.0.0.1:{port}", process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(120)


def wait_for(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 400
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        try:
            urllib.request.urlopen(f"{address}/ping", timeout=5).close()
            return
        except OSError:
            time.sleep(0.5)


def test_the_tutorial_says_where_one_stands_and_prints_the_table(reader: Reader) -> None:
    asked, tables, *_ = BLOCKS["tutorial.md"]
    said = reader.follow(asked)
    assert re.search(r"^challenger +version 1 ", said, re.MULTILINE)
    assert re.search(r"^ok +Python ", said, re.MULTILINE)
    assert "| mean " in reader.follow(tables)


def test_the_champion_answers_with_picture_and_page(reader: Reader, answered: str) -> None:
    assert "P(PD)" in answered
    (picture,) = (reader.graph.folder / "tmp/pictures").iterdir()
    (page,) = (reader.graph.folder / "tmp/pages").iterdir()
    assert (picture.suffix, page.suffix) == (".png", ".html")


def test_the_served_champion_answers_the_tutorials_request_and_that_of_the_page_on_serving(
    reader: Reader, served: str
) -> None:
    folder = reader.graph.folder
    (folder / "scan.nii.gz").write_bytes(
        gzip.compress(min((folder / "data/phantom/cohort/volumes").iterdir()).read_bytes())
    )
    asked_in_tutorial, asked_in_serving = BLOCKS["tutorial.md"][4], BLOCKS["serving.md"][0]
    answers = [
        json.loads(reader.follow(block.replace("http://127.0.0.1:5001", served)))["predictions"]
        for block in (asked_in_tutorial, asked_in_serving)
    ]
    assert answers[0][0]["scan_id"] == "S1"
    assert answers[0] == answers[1]


def test_a_checked_copy_of_the_champion_is_written(reader: Reader, answered: str) -> None:
    assert "every file as registered" in reader.follow(BLOCKS["serving.md"][1])
    assert (reader.graph.folder / "tmp/champion/MLmodel").is_file()


@pytest.fixture(scope="module")
def compared(reader: Reader, answered: str) -> str:
    """What the tutorial's comparison of an experiment prints; its results are left again."""
    compared, back = BLOCKS["tutorial.md"][5:]
    said = reader.follow(compared)
    reader.follow(back)
    return said


@pytest.mark.long
def test_the_tutorial_compares_an_experiment_and_goes_back(reader: Reader, compared: str) -> None:
    assert re.search(r"training\.epochs +\d+ +3", compared)
    assert reader.graph.git("status", "--porcelain", "params.yaml", "dvc.lock") == ""
    assert "up to date" in reader.follow("dvc status")


@pytest.mark.long
def test_an_experiment_is_compared_with_a_branch_and_a_version_with_another(reader: Reader, compared: str) -> None:
    reader.graph.git("branch", "--force", "--move", "main")
    said = reader.follow(BLOCKS["comparing-runs.md"][0])
    assert re.search(r"training\.epochs +60 +3", said)


@pytest.mark.long
def test_dvc_shows_an_experiment_and_keeps_it(reader: Reader, compared: str) -> None:
    shown, kept = (block.replace("wide", "short") for block in BLOCKS["experiments.md"])
    said = reader.follow(shown)
    assert re.search(r"params\.yaml +training\.epochs +3 +60", said)
    assert "cv.log_loss" in said
    assert (reader.graph.folder / "dvc_plots/index.html").is_file()
    reader.follow(kept)
    assert "epochs: 60" in (reader.graph.folder / "params.yaml").read_text(encoding="utf-8")
    assert "short" not in reader.follow("dvc exp list --name-only")
    reader.follow(BLOCKS["tutorial.md"][6])


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
