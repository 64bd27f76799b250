"""Every command that the documentation shows is one that its program understands, and its Python imports exist."""

import ast
import importlib
import re
from pathlib import Path

import pytest
from tests.docs.checked_commands import told
from tests.docs.written_commands import PAGES, ROOT, Command, split, written_commands

WRITTEN = """Say `datspect predict
SCAN`, and \\`datspect compare\\` as a table has it.

```sh
A=1 dvc repro cv && make ui  # look
datspect tune \\
  --apply > file
```

    dvc push
    said by a program

```text
$ datspect verify
make it so
```

```python
make = 1
```
"""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_commands_of_a_page_are_understood(page: Path) -> None:
    problems = [f"{command}: {problem}" for command in written_commands(page) if (problem := told(command))]
    assert not problems, "\n".join(problems)


def test_commands_are_found_where_they_are_written(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(WRITTEN, encoding="utf-8")
    assert [(" ".join(each.words), each.line, each.whole) for each in written_commands(page)] == [
        ("dvc repro cv", 5, True),
        ("make ui", 5, True),
        ("datspect tune --apply", 6, True),
        ("datspect verify", 14, True),
        ("dvc push", 10, True),
        ("datspect predict SCAN", 1, False),
    ]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("datspect predict", "scans is missing"),
        ("datspect preditc SCAN", "no command preditc"),
        ("datspect predict SCAN --pictures x", "no option --pictures"),
        ("datspect predict SCAN --format xml", "--format xml"),
        ("datspect predict SCAN --prevalence often", "--prevalence often"),
        ("datspect import ppmi DOWNLOAD --csv TABLE", "--to is missing"),
        ("datspect trace a b", "2 arguments"),
        ("make reproduce", "no target reproduce"),
        ("make ui PROT=1", "no variable PROT"),
        ("dvc repro cvs", "no stage cvs"),
        ("dvc reproduce", "parser error"),
        ("dvc exp run -S classifier.widht=3", "no classifier.widht"),
        ("dvc exp run -S clasifier.width=3", "no section clasifier"),
        ("dvc exp run -S classifier.width=64,0", "classifier.width = 0"),
        ("python benchmarks/headz.py", "no file benchmarks/headz.py"),
        ("python benchmarks/heads.py --epoch 3", "no option --epoch"),
        ("python -m datspect.stages.cvs", "no module"),
        ("mlflow run . -e cvs", "no entry point cvs"),
        ("mlflow runn .", "no command runn"),
        ("sh scripts/serv", "no file scripts/serv"),
        ("datsepct predict SCAN", "nothing here knows the program datsepct"),
    ],
)
def test_a_command_that_its_program_would_refuse_is_told(written: str, said: str) -> None:
    (words,) = split(written)
    assert said in (told(Command("page.md", 1, words, whole=True)) or "")


def test_commands_within_commands_and_quotes_are_taken_apart() -> None:
    assert split('dvc exp run -n slabs $(datspect recipe striatum --as-overrides)')[1] == (
        "datspect", "recipe", "striatum", "--as-overrides",
    )  # fmt: skip
    assert split("dvc exp run -S 'robustness.alterations=[blur,noise]' robustness") == [
        ("dvc", "exp", "run", "-S", "robustness.alterations=[blur,noise]", "robustness")
    ]
    assert split("A=1 B=2 make ui | cat; true || false") == [("make", "ui"), ("cat",), ("true",), ("false",)]


_PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PYTHON = [
    pytest.param(block, id=f"{page.relative_to(ROOT).as_posix()}-{number}")
    for page in PAGES
    for number, block in enumerate(
        re.findall(r"^```python\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    )
]


@pytest.mark.parametrize("block", PYTHON)
def test_python_in_the_documentation_imports_what_is_there(block: str) -> None:
    imported = [node for node in ast.walk(ast.parse(block)) if isinstance(node, ast.ImportFrom)]
    ours = [node for node in imported if (node.module or "").startswith("datspect")]
    for node in ours:
        module = importlib.import_module(node.module or "")
        assert not [each.name for each in node.names if not hasattr(module, each.name)]


def test_there_is_python_to_look_at() -> None:
    assert len(PYTHON) >= 4
