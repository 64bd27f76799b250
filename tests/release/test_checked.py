"""A version is used if every file of it is as registered; of any other nothing is run, and it is said what differs."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.release.made_up_graph import add_run, write_graph_results
from typer.testing import CliRunner

from datspect.__main__ import app
from datspect.errors import DatspectError, PromotionError
from datspect.release import promoting
from datspect.release.checked import changes, model_folder, without_manifest
from datspect.release.manifest import MANIFEST_NAME, MANIFEST_TAG, write_manifest
from datspect.release.registering import read_registrable, register
from datspect.release.registry import CHALLENGER, CHAMPION, PREVIOUS, Registry, Version
from datspect.running import servers

KINDS = (
    "code/datspect/release/serving.py",
    "code/datspect/__init__.py",
    "served_model.py",
    "MLmodel",
    "requirements.txt",
    "artifacts/predictor/model.keras",
    MANIFEST_NAME,
)
"""Files of a version, one of each kind."""


@pytest.fixture
def version(registry: Registry, project: Path) -> Version:
    write_graph_results(project)
    add_run(registry, project)
    version, _ = register(registry, read_registrable(project))
    registry.set_alias(CHAMPION, version)
    return version


@pytest.fixture
def stored(registry: Registry, version: Version) -> Path:
    """The folder of the version in the artifact store."""
    folder = registry.folder(version)
    assert folder is not None
    return folder


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands of servers, which are not started."""
    commands: list[list[str]] = []
    monkeypatch.setenv("PATH", os.environ["PATH"])  # put back afterwards
    monkeypatch.setattr(servers, "serve", lambda command: commands.append(command) or 0)
    return commands


def serve(*options: str) -> tuple[str, str]:
    """What `datspect serve` prints, and its error."""
    result = CliRunner().invoke(app, ["serve", *options])
    if result.exception and not isinstance(result.exception, SystemExit | DatspectError):
        raise result.exception
    return result.output, str(result.exception) if isinstance(result.exception, DatspectError) else ""


def without(registry: Registry, version: Version) -> Version:
    """The version as an earlier release left it."""
    registry.connection.client.delete_model_version_tag("datspect", version.number, MANIFEST_TAG)
    return registry.named(version.number)


def append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def test_registration_covers_every_file_and_tags_the_digest(version: Version, stored: Path) -> None:
    again = stored.parent / "again"
    shutil.copytree(stored, again, ignore=shutil.ignore_patterns(MANIFEST_NAME, "registered_model_meta"))
    assert write_manifest(again) == version.tags[MANIFEST_TAG]
    names = (again / MANIFEST_NAME).read_text("utf-8")
    for name in ("MLmodel", "requirements.txt", "code/datspect/release/serving.py", "artifacts/predictor/model.keras"):
        assert f'"{name}"' in names


def test_a_whole_version_is_served_from_a_copy_that_was_checked(stored: Path, served: list[list[str]]) -> None:
    printed, error = serve("--port", "5999")
    assert error == ""
    assert "version 1 of datspect, every file as registered" in printed
    ((*_, folder, port),) = served
    assert port == "5999"
    assert Path(folder) != stored
    assert not Path(folder).exists(), "it is gone with the server"


def test_a_changed_version_is_not_started_and_none_of_its_code_runs(
    registry: Registry, version: Version, stored: Path, served: list[list[str]], tmp_path: Path
) -> None:
    marker = tmp_path / "was run"
    for name in KINDS:
        before = (stored / name).read_bytes()
        append(stored / name, f"\nopen({str(marker)!r}, 'w')\n")
        printed, error = serve()
        assert "version 1 of datspect is not as it was registered, and nothing of it was run" in error
        assert name in error
        assert "Serving" not in printed
        assert serve("--unverified")[1] == error, "not to be overridden"
        with pytest.raises(PromotionError, match="not as it was registered"):
            model_folder(CHAMPION)
        assert changes(registry, version)
        (stored / name).write_bytes(before)
    assert served == []
    assert not marker.exists()
    assert serve()[1] == ""


def test_a_link_out_of_the_store_is_not_followed(stored: Path, served: list[list[str]], tmp_path: Path) -> None:
    path = stored / "code/datspect/release/serving.py"
    path.rename(tmp_path / "serving.py")
    path.symlink_to(tmp_path / "serving.py")
    assert "code/datspect/release/serving.py is a link or a device" in serve()[1]
    assert served == []


def test_the_code_of_a_copy_that_was_checked_is_what_runs(stored: Path, tmp_path: Path) -> None:
    """A change of the store after the check changes nothing."""
    folder = tmp_path / "copy"
    printed, error = serve("--copy-to", str(folder))
    assert (error, f"copied to {folder}" in printed) == ("", True)
    append(stored / "code/datspect/__init__.py", "\nraise SystemExit('the changed code was run')\n")
    program = f"import sys; sys.path.insert(0, {str(folder / 'code')!r}); import datspect; print(datspect.__file__)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == str(folder / "code/datspect/__init__.py")
    assert "is there already" in serve("--copy-to", str(folder))[1]


def test_a_copy_that_cannot_be_written_is_refused_before_the_registry_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datspect.release.reading.readable", lambda: pytest.fail("it was read"))
    (tmp_path / "file").write_text("in the way")
    assert "--copy-to" in (said := serve("--copy-to", str(tmp_path / "file" / "copy"))[1])
    assert "cannot be written" in said


def test_no_copy_is_left_of_a_changed_version(stored: Path, tmp_path: Path) -> None:
    append(stored / "MLmodel", "\n")
    assert "MLmodel was changed" in serve("--copy-to", str(tmp_path / "copy"))[1]
    assert not (tmp_path / "copy").exists()


def test_a_version_without_manifest_is_served_only_if_told_so(
    registry: Registry, version: Version, served: list[list[str]]
) -> None:
    old = without(registry, version)
    _, error = serve()
    assert without_manifest(old) in error
    assert "datspect register --again" in error
    assert "--unverified serves it as it is" in error
    assert served == []
    printed, error = serve("--unverified")
    assert (len(served), error) == (1, "")
    assert "NOT VERIFIED" in printed


def test_a_digest_kept_elsewhere_tells_a_version_whose_tag_was_changed_too(
    registry: Registry, version: Version, stored: Path, served: list[list[str]]
) -> None:
    kept = version.tags[MANIFEST_TAG]
    append(stored / "served_model.py", "\n")
    (stored / MANIFEST_NAME).unlink()
    registry.tag(version, {MANIFEST_TAG: write_manifest(stored)})  # by somebody who may write both
    assert serve()[1] == ""
    assert f"not {kept}" in serve("--manifest", kept)[1]
    assert len(served) == 1
    assert serve("--manifest", registry.named("1").tags[MANIFEST_TAG])[1] == ""
    without(registry, version)
    assert "no manifest" in serve("--manifest", kept, "--unverified")[1]


def test_a_version_without_manifest_gets_one_by_registering_again(
    registry: Registry, version: Version, project: Path
) -> None:
    without(registry, version)
    results = read_registrable(project)
    assert register(registry, results)[0].number == "1"
    new, is_new = register(registry, results, again=True)
    assert (new.number, is_new) == ("2", True)
    assert register(registry, results) == (registry.named("2"), False), "the one with a manifest goes first"
    assert registry.named(CHALLENGER).number == "2"


def test_a_version_whose_files_are_gone_is_not_served(stored: Path) -> None:
    shutil.rmtree(stored)
    assert "all of its files are gone" in serve()[1]


def test_a_version_with_a_device_among_its_files_is_not_served(stored: Path) -> None:
    os.mkfifo(stored / "code/pipe")
    assert "nothing of it was run" in serve()[1]


@pytest.mark.parametrize("change", [lambda path: append(path, "\n"), Path.unlink], ids=["changed", "removed"])
def test_a_rollback_to_a_changed_version_moves_nothing(
    change: Callable[[Path], Any], registry: Registry, version: Version, stored: Path, project: Path
) -> None:
    new, _ = register(registry, read_registrable(project), again=True)
    registry.set_alias(CHAMPION, new)
    registry.set_alias(PREVIOUS, version)
    change(stored / "code/datspect/release/serving.py")
    with pytest.raises(PromotionError, match=r"code/datspect/release/serving\.py (was changed|is missing)"):
        promoting.roll_back(registry, "the new one disappointed")
    assert registry.named(CHAMPION).number == new.number
