"""The journal knows finished scans again, whatever was cut off, and does not take changed ones for finished."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datspect.errors import ImportingError
from datspect.importing.journal import (
    JOURNAL_NAME,
    Entry,
    ImportedScan,
    Journal,
    PassedOver,
    is_whole,
    open_journal,
    volume_path,
)
from datspect.io.digests import file_digest

KEY = "K-AAAAAAAAAA"


def entry(number: int, **changes: object) -> Entry:
    scan = ImportedScan(
        subject_id=f"P-{number}",
        scan_id=f"S-{number}",
        sha256="0" * 64,
        placed_by="header",
        how="as it is",
        scale=1.0,
        correlations={"": 0.9, "z": 0.5},
        best="",
        margin=0.4,
        fixed="",
        z_offset_voxels=3.25,
        geometry=("128 x 128 x 60", "2.46 x 2.46 x 2.46 mm") if number else (),
        passed_over=(PassedOver("S-raw", "raw projections"),),
    )
    return replace(Entry(scan, (("S-raw", "A"), (f"S-{number}", "B")), "1"), **changes)  # type: ignore[arg-type]


def filled(folder: Path, n: int) -> Journal:
    journal = open_journal(folder, KEY)
    for number in range(n):
        journal.append(entry(number))
    return journal


def test_what_was_appended_is_read_back(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    assert open_journal(tmp_path, KEY).entries == {f"P-{n}": entry(n) for n in range(3)}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_wherever_a_journal_is_cut_the_whole_lines_before_stay_and_it_can_be_gone_on_with(
    tmp_path: Path, data: st.DataObject
) -> None:
    path = tmp_path / JOURNAL_NAME
    path.unlink(missing_ok=True)
    filled(tmp_path, 3)
    content = path.read_bytes()
    header = content.index(b"\n") + 1
    cut = data.draw(st.integers(header, len(content)))
    path.write_bytes(content[:cut])
    whole = content[header:cut].count(b"\n") + (cut < len(content) and content[cut : cut + 1] == b"\n")
    journal = open_journal(tmp_path, KEY)
    assert list(journal.entries) == [f"P-{n}" for n in range(whole)]
    journal.append(entry(7))
    assert list(open_journal(tmp_path, KEY).entries) == [*(f"P-{n}" for n in range(whole)), "P-7"]


@pytest.mark.parametrize("junk", ["\0\0\0\0", "[]", "3", '{"scan": {}}', '{"scan": null, "tried": []}', '"text"'])
def test_a_line_that_is_no_entry_is_dropped(tmp_path: Path, junk: str) -> None:
    path = filled(tmp_path, 1).path
    path.write_text(path.read_text() + junk + "\n")
    assert list(open_journal(tmp_path, KEY).entries) == ["P-0"]
    assert junk not in path.read_text().splitlines()


@pytest.mark.parametrize("content", ["", "[]\n", "{}\n", '{"format": 99, "key": "K-AAAAAAAAAA"}\n', "\x00" * 40])
def test_a_file_that_is_no_journal_is_refused_and_left_as_it_is(tmp_path: Path, content: str) -> None:
    (tmp_path / JOURNAL_NAME).write_text(content)
    with pytest.raises(ImportingError, match="delete the folder"):
        open_journal(tmp_path, KEY)
    assert (tmp_path / JOURNAL_NAME).read_text() == content


def test_the_import_of_another_key_is_refused(tmp_path: Path) -> None:
    filled(tmp_path, 1)
    with pytest.raises(ImportingError, match=r"K-AAAAAAAAAA; yours is K-BBBBBBBBBB.*two pseudonyms"):
        open_journal(tmp_path, "K-BBBBBBBBBB")


def test_the_journal_of_the_same_scans_has_the_same_bytes_whatever_their_order(tmp_path: Path) -> None:
    contents = []
    for order in ((0, 1, 2), (2, 0, 1)):
        journal = open_journal(tmp_path, KEY)
        for number in order:
            journal.append(entry(number))
        journal.keep_only(journal.entries)
        contents.append(journal.path.read_bytes())
        journal.path.unlink()
    assert contents[0] == contents[1]


def test_an_entry_answers_for_the_same_candidates_and_options_alone() -> None:
    done = entry(1)
    same = [("S-raw", "A"), ("S-1", "B")]
    assert done.answers(same, "1")
    assert done.answers([*same, ("S-later", "C")], "1"), "later visits change nothing"
    assert not done.answers(same, "2"), "other options"
    assert not done.answers([("S-raw", "A"), ("S-1", "other")], "1"), "the file changed"
    assert not done.answers([("S-early", "E"), *same], "1"), "an earlier scan was found"
    assert not done.answers(same[1:], "1"), "what was passed over is not listed now"
    assert not done.answers([], "1")


def test_a_file_that_is_not_at_hand_now_counts_as_the_one_that_was_imported() -> None:
    assert entry(1).answers([("S-raw", None), ("S-1", None)], "1")


def test_a_file_that_was_missing_and_is_there_now_is_tried() -> None:
    done = entry(1, tried=(("S-raw", None), ("S-1", "B")))
    assert done.answers([("S-raw", None), ("S-1", "B")], "1")
    assert not done.answers([("S-raw", "A"), ("S-1", "B")], "1")


def test_a_volume_is_whole_only_with_every_byte_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / volume_path("S-1")
    path.parent.mkdir()
    path.write_bytes(b"voxels")
    scan = replace(entry(1).scan, sha256=file_digest(path))
    assert is_whole(tmp_path, scan)
    path.write_bytes(b"voxelz")
    assert not is_whole(tmp_path, scan)
    path.unlink()
    assert not is_whole(tmp_path, scan)
