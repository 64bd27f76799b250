"""A manifest notices every change of every file, whatever the file is for, and reads nothing beyond its folder."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from datspect.release.manifest import MANIFEST_NAME, MLFLOWS_NOTE, differences, write_manifest

FILES = (
    "MLmodel",
    "requirements.txt",
    "conda.yaml",
    "python_env.yaml",
    "served_model.py",
    "code/datspect/__init__.py",
    "code/datspect/release/serving.py",
    "artifacts/predictor/model.keras",
    "artifacts/predictor/predictor.json",
    "artifacts/card.html",
)
"""One of each kind of file that a version has."""


def one_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def longer(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"\n")


def removed(path: Path) -> None:
    path.unlink()


def renamed(path: Path) -> None:
    path.rename(path.with_name(f"{path.name}.old"))


def link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to("/nowhere")


def folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inside").touch()


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


CHANGES: dict[Callable[[Path], None], str] = {
    one_byte: "{name} was changed",
    longer: "{name} was changed",
    removed: "{name} is missing",
    renamed: "{name} is missing",
    link_to_nothing: "{name} is a link or a device",
    folder_instead: "{name} is missing",
    pipe: "{name} is a link or a device",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        path = tmp_path / "model" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"this is {name}")
    return tmp_path / "model"


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_any_change_of_any_file_is_named(folder: Path, name: str, change: Callable[[Path], None]) -> None:
    digest = write_manifest(folder)
    assert differences(folder, digest) == []
    change(folder / name)
    found = differences(folder, digest)
    assert CHANGES[change].format(name=name) in found
    more = {renamed: [f"{name}.old was added"], folder_instead: [f"{name}/inside was added"]}
    assert len(found) == 1 + len(more.get(change, []))
    assert set(more.get(change, [])) <= set(found)


@pytest.mark.parametrize("name", [*FILES, MANIFEST_NAME])
def test_a_link_to_the_same_content_is_no_file(folder: Path, name: str) -> None:
    digest = write_manifest(folder)
    elsewhere = folder.parent / "elsewhere"
    (folder / name).rename(elsewhere)
    (folder / name).symlink_to(elsewhere)
    assert f"{name} is a link or a device" in differences(folder, digest)


@pytest.mark.parametrize(
    "name", ["x", "code/datspect/__pycache__/serving.cpython-311.pyc", "code/sitecustomize.py", f"code/{MANIFEST_NAME}"]
)
def test_what_was_added_is_named(folder: Path, name: str) -> None:
    digest = write_manifest(folder)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).touch()
    assert differences(folder, digest) == [f"{name} was added"]


def test_a_linked_folder_is_a_link_and_is_not_looked_into(folder: Path) -> None:
    digest = write_manifest(folder)
    (folder.parent / "outside").mkdir()
    (folder.parent / "outside/x").touch()
    (folder / "code/more").symlink_to(folder.parent / "outside")
    assert differences(folder, digest) == ["code/more is a link or a device"]


def test_a_manifest_that_was_written_anew_for_the_changed_files_has_another_digest(folder: Path) -> None:
    digest = write_manifest(folder)
    one_byte(folder / "served_model.py")
    other = write_manifest(folder)
    assert differences(folder, other) == []
    assert differences(folder, digest) == [f"{MANIFEST_NAME} has digest {other}, not {digest}"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": 5}', '{"files": {}}', "[" * 100_000])
def test_a_manifest_that_is_none_is_told_and_every_file_with_it(folder: Path, text: str) -> None:
    digest = write_manifest(folder)
    (folder / MANIFEST_NAME).write_text(text)
    found = differences(folder, digest)
    assert found[0].startswith(f"{MANIFEST_NAME} has digest")
    assert len(found) == 1 + len(FILES)


def test_what_mlflow_notes_beside_a_version_is_no_part_of_it(folder: Path) -> None:
    digest = write_manifest(folder)
    (folder / MLFLOWS_NOTE).touch()
    assert differences(folder, digest) == []
    (folder / "code" / MLFLOWS_NOTE).touch()
    assert differences(folder, digest) == [f"code/{MLFLOWS_NOTE} was added"]


def test_a_missing_manifest_is_told(folder: Path) -> None:
    assert differences(folder, "d" * 64) == [f"{MANIFEST_NAME} is missing"]


def test_the_same_files_have_the_same_manifest_wherever_they_lie(folder: Path) -> None:
    digest = write_manifest(folder)
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy)
    assert write_manifest(copy) == digest
    assert differences(copy, digest) == []


def test_a_name_that_would_forge_a_line_is_shown_escaped(folder: Path) -> None:
    digest = write_manifest(folder)
    (folder / "x\ny").touch()
    assert differences(folder, digest) == ["'x\\ny' was added"]
