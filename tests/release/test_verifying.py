"""Every kind of damage in every kind of output, in the cache and in the workspace, is found and named."""

import os
import shutil
from pathlib import Path

import pytest
from tests.release.made_up_cache import FOLDER, IN_GIT, KINDS, PHANTOM, cached, damage, write_outputs

from datspect.errors import PromotionError
from datspect.release.dvc_lock import content_md5, locked_outputs
from datspect.release.verifying import Difference, Holding, Output, differences, graph_outputs, holding, in_words

kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_outputs(tmp_path)
    return tmp_path


def found_in(root: Path) -> list[Difference]:
    return [one for output in graph_outputs(root) for one in differences(root, output)]


def output_of(kind: str) -> str:
    return FOLDER if kind == "file in a folder" else KINDS[kind]


def held(root: Path, kind: str) -> Holding:
    path = output_of(kind)
    locked = locked_outputs(root)
    return holding(root, path, locked[path], locked)


def test_whole_outputs_have_no_difference_and_every_file_is_told_twice(root: Path) -> None:
    told = []
    for output in graph_outputs(root):
        assert differences(root, output, lambda: told.append(1)) == []
    assert len(told) == 2 * (4 + 2 + 3 + 1)
    assert {held(root, kind) for kind in KINDS} == {Holding(True, "in DVC's cache")}


def test_the_outputs_are_those_of_every_pipeline_that_the_graph_reads(root: Path) -> None:
    found = {output.path: output for output in graph_outputs(root)}
    assert set(found) == {*(output_of(kind) for kind in KINDS), IN_GIT, PHANTOM}
    assert found[PHANTOM].stage == "data/phantom/dvc.yaml:phantom"
    assert (found[FOLDER].stage, found[FOLDER].n_files) == ("train", 2)
    assert [path for path, output in found.items() if output.in_git] == [IN_GIT]
    lock = root / "dvc.lock"
    lock.write_text(lock.read_text().replace(PHANTOM, "data/real"))  # the phantom's pipeline is there, but not in use
    assert PHANTOM not in {output.path for output in graph_outputs(root)}
    assert not [one for one in found_in(root) if PHANTOM in one.path]
    lock.unlink()
    with pytest.raises(PromotionError, match="run dvc repro first"):
        graph_outputs(root)


@kinds
def test_a_damaged_cached_file_is_named_with_both_digests(root: Path, kind: str) -> None:
    expected = content_md5(root / KINDS[kind])
    damage(cached(root, expected))
    got = content_md5(cached(root, expected))
    (one,) = found_in(root)
    assert one == Difference(KINDS[kind], "cache", expected, got)
    assert str(one) == f"damaged in the cache: {KINDS[kind]}, expected {expected}, got {got}"
    assert held(root, kind) == Holding(False, str(one))


@kinds
def test_what_dvc_checkout_brings_back_of_a_damaged_cache_is_found_in_the_workspace_too(root: Path, kind: str) -> None:
    expected = content_md5(root / KINDS[kind])
    damage(cached(root, expected))
    shutil.copyfile(cached(root, expected), root / KINDS[kind])
    assert [one.place for one in found_in(root)] == ["cache", "workspace"]
    assert held(root, kind).whole is False


@kinds
@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_a_workspace_of_links_to_the_cache_is_read_like_one_of_copies(root: Path, kind: str, link) -> None:  # type: ignore[no-untyped-def]
    path, expected = root / KINDS[kind], content_md5(root / KINDS[kind])
    path.unlink()
    link(cached(root, expected), path)
    assert found_in(root) == []
    damage(cached(root, expected))
    assert {(one.path, one.place) for one in found_in(root)} == {(KINDS[kind], "cache"), (KINDS[kind], "workspace")}


@kinds
def test_a_missing_cached_file_is_no_damage_and_what_is_on_disk_counts(root: Path, kind: str) -> None:
    expected = content_md5(root / KINDS[kind])
    cached(root, expected).unlink()
    (one,) = found_in(root)
    assert str(one) == f"missing from the cache: {KINDS[kind]} ({expected})"
    assert held(root, kind) == Holding(True, "on disk")


@kinds
def test_a_file_that_was_changed_on_disk_is_told_from_one_that_is_gone(root: Path, kind: str) -> None:
    expected = content_md5(root / KINDS[kind])
    damage(root / KINDS[kind])
    (one,) = found_in(root)
    said = f"changed in the workspace: {KINDS[kind]}, expected {expected}, got"
    assert str(one) == f"{said} {content_md5(root / KINDS[kind])}"
    assert held(root, kind) == Holding(False, str(one))
    (root / KINDS[kind]).unlink()
    (one,) = found_in(root)
    assert str(one) == f"{said} no such file"


def test_a_file_that_was_added_to_a_folder_is_a_change(root: Path) -> None:
    (root / FOLDER / "more.txt").write_text("more")
    (one,) = found_in(root)
    assert str(one) == f"changed in the workspace: {FOLDER}/more.txt was added to the folder"


@pytest.mark.parametrize("harm", ["damaged", "missing"])
def test_without_its_listing_a_folder_is_compared_as_a_whole(root: Path, harm: str) -> None:
    md5 = content_md5(root / FOLDER)
    damage(cached(root, md5)) if harm == "damaged" else cached(root, md5).unlink()
    (one,) = found_in(root)
    assert str(one).startswith(f"{harm} {'in' if harm == 'damaged' else 'from'} the cache: {FOLDER}")
    damage(root / FOLDER / "predictor.json")
    _, other = found_in(root)
    assert (other.place, other.expected) == ("workspace", md5)


def test_a_folder_that_is_not_checked_out_is_named_once_and_its_cached_files_are_read(root: Path) -> None:
    volume = f"{PHANTOM}/volumes/1.nii"
    expected = content_md5(root / volume)
    shutil.rmtree(root / PHANTOM)
    assert [(one.path, one.found) for one in found_in(root)] == [(PHANTOM, "")]
    damage(cached(root, expected))
    assert {(one.path, one.place) for one in found_in(root)} == {(PHANTOM, "workspace"), (volume, "cache")}


def test_a_folder_in_the_place_of_a_file_and_a_file_in_the_place_of_a_folder_are_changes(root: Path) -> None:
    (root / KINDS["csv"]).unlink()
    (root / KINDS["csv"]).mkdir()
    shutil.rmtree(root / FOLDER)
    (root / FOLDER).write_text("no folder")
    found = found_in(root)
    assert [(one.path, one.place) for one in found] == [(KINDS["csv"], "workspace"), (FOLDER, "workspace")]
    assert found[0].found == "nothing that can be read (Is a directory)"


def test_what_git_keeps_need_not_be_in_the_cache_but_must_be_as_the_lock_says(root: Path) -> None:
    damage(root / IN_GIT)
    (one,) = found_in(root)
    assert (one.path, one.place) == (IN_GIT, "workspace")


def test_an_output_of_another_version_than_the_workspace_is_not_held_against_the_workspace(root: Path) -> None:
    path = KINDS["csv"]
    md5 = content_md5(root / path)
    other = {path: "0" * 32}  # what dvc.lock names now
    (root / path).write_text("of another commit")
    assert holding(root, path, md5, other) == Holding(True, "in DVC's cache")
    cached(root, md5).unlink()
    assert holding(root, path, md5, other) == Holding(None, "neither in the cache nor on disk")
    assert holding(root, path, md5, {path: md5}).whole is False
    (root / path).unlink()
    assert holding(root, path, md5, {path: md5}).whole is None


def test_many_differences_are_one_line(root: Path) -> None:
    ones = [Difference(f"file{k}", "cache", "1", "") for k in range(5)]
    assert in_words(ones).endswith("file2 (1); and 2 more")
    assert in_words(ones[:1]) == "missing from the cache: file0 (1)"
    assert differences(root, Output("gone", "0" * 32))[0].is_damage is False
