import contextlib
import os
import random
import struct
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datspect.errors import ImportingError, ScanError
from datspect.io import sources
from datspect.io.sources import Source, find_sources, opened

MANY = 1 << 30


def read(source, limit=MANY):
    with opened(source, limit) as stream:
        return stream.read()


def write_zip(path, members, method=zipfile.ZIP_DEFLATED):
    """`members`: name or ZipInfo -> bytes, or pairs of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items() if isinstance(members, dict) else members:
            archive.writestr(name, content)
    return path


def only_reason(found):
    usable, unusable = found
    assert usable == []
    assert len(unusable) == 1
    return unusable[0].reason


def test_files_in_folders_and_zips_are_found_in_order_and_read_whole(tmp_path):
    (tmp_path / "b" / "deep").mkdir(parents=True)
    (tmp_path / "b" / "deep" / "two.dcm").write_bytes(b"two")
    (tmp_path / "one.dcm").write_bytes(b"one")
    write_zip(tmp_path / "a" / "part.ZIP", {"PPMI/three.dcm": b"three", "PPMI/empty/": b""})
    found, unusable = find_sources([tmp_path])
    assert unusable == []
    assert [source.name for source in found] == ["a/part.ZIP/PPMI/three.dcm", "b/deep/two.dcm", "one.dcm"]
    assert [read(source) for source in found] == [b"three", b"two", b"one"]


def test_a_zip_given_as_root_names_its_members_by_their_own_paths(tmp_path):
    found, _ = find_sources([write_zip(tmp_path / "part.zip", {"PPMI/x.dcm": b"x"})])
    assert [source.name for source in found] == ["PPMI/x.dcm"]


def test_a_zip_without_members_holds_nothing(tmp_path):
    assert find_sources([write_zip(tmp_path / "part.zip", {})]) == ([], [])


def test_a_single_file_is_a_root_too(tmp_path):
    (tmp_path / "x.dcm").write_bytes(b"x")
    found, _ = find_sources([tmp_path / "x.dcm"])
    assert found == [Source((tmp_path / "x.dcm").resolve(), None, "x.dcm", 1)]


def test_what_two_roots_lead_to_is_found_once(tmp_path):
    (tmp_path / "x.dcm").write_bytes(b"x")
    part = write_zip(tmp_path / "part.zip", {"y.dcm": b"y"})
    found, _ = find_sources([tmp_path, part, tmp_path / "x.dcm", tmp_path])
    assert len(found) == 2


def test_what_systems_leave_behind_is_passed_over(tmp_path):
    for name in (".DS_Store", "._x.dcm", ".hidden/x.dcm", "__MACOSX/x.dcm"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    write_zip(tmp_path / "part.zip", {"__MACOSX/PPMI/._x.dcm": b"x", "PPMI/.DS_Store": b"x"})
    assert find_sources([tmp_path]) == ([], [])


def test_a_hidden_folder_can_be_named_as_a_root(tmp_path):
    (tmp_path / ".data").mkdir()
    (tmp_path / ".data" / "x.dcm").write_bytes(b"x")
    found, _ = find_sources([tmp_path / ".data"])
    assert [source.name for source in found] == ["x.dcm"]


def test_a_missing_root_stops_the_import_without_naming_it(tmp_path):
    with pytest.raises(ImportingError, match=r"download 2 of 2.*cannot be found") as error:
        find_sources([tmp_path, tmp_path / "subject 3000"])
    assert "3000" not in str(error.value)


@pytest.fixture
def linked(tmp_path):
    """Return a folder with links of every kind, and the folder outside of it that some lead to."""
    outside, root = tmp_path / "outside", tmp_path / "root"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / "x.dcm").write_bytes(b"outside")
    (root / ".git" / "annex").mkdir(parents=True)
    (root / ".git" / "annex" / "key").write_bytes(b"annexed")
    (root / "annexed.dcm").symlink_to(".git/annex/key")
    (root / "same.dcm").symlink_to(".git/annex/key")
    (root / "file.dcm").symlink_to(outside / "deep" / "x.dcm")
    (root / "folder").symlink_to(outside)
    (root / "loop").symlink_to(root)
    (root / "circle.dcm").symlink_to("circle.dcm")
    (root / "gone.dcm").symlink_to(".git/annex/gone")
    return root, outside


def test_links_to_files_below_what_was_named_are_followed_and_others_reported(linked):
    root, _ = linked
    found, unusable = find_sources([root])
    assert {source.name: read(source) for source in found} == {"annexed.dcm": b"annexed", "same.dcm": b"annexed"}
    words = {"file.dcm": "--follow-links", "folder": "a link to a folder", "loop": "a link to a folder"}
    words |= {"circle.dcm": "leads nowhere", "gone.dcm": "datalad get"}
    assert {what.name for what in unusable} == set(words)
    assert all(words[what.name] in what.reason for what in unusable)


def test_a_link_may_lead_to_another_folder_that_was_named(linked):
    root, outside = linked
    found, _ = find_sources([root, outside])
    assert [source.name for source in found if read(source) == b"outside"] == ["file.dcm"]
    found, _ = find_sources([outside, root])
    assert [source.name for source in found if read(source) == b"outside"] == ["deep/x.dcm"]


def test_all_links_are_followed_when_asked_and_no_folder_is_read_twice(linked):
    root, _ = linked
    found, unusable = find_sources([root], follow_links=True)
    names = ["annexed.dcm", "file.dcm", "folder/deep/x.dcm", "same.dcm"]
    assert [source.name for source in found] == names
    assert {what.name: what.reason for what in unusable}["loop"] == "a link to a folder that is read already"
    assert {what.name for what in unusable} == {"loop", "circle.dcm", "gone.dcm"}


def test_a_link_never_leads_out_through_a_folder_of_a_like_name(tmp_path):
    for name in ("data", "data-secret"):
        (tmp_path / name).mkdir()
    (tmp_path / "data-secret" / "x.dcm").write_bytes(b"x")
    (tmp_path / "data" / "x.dcm").symlink_to(tmp_path / "data-secret" / "x.dcm")
    assert "leads out of what was named" in only_reason(find_sources([tmp_path / "data"]))


@pytest.mark.parametrize("follow_links", [False, True])
def test_a_link_to_what_is_no_plain_file_is_not_opened(tmp_path, follow_links):
    os.mkfifo(tmp_path / ".pipe")
    (tmp_path / "x.dcm").symlink_to(".pipe")
    assert only_reason(find_sources([tmp_path], follow_links=follow_links)) == "no plain file"


def test_a_zip_behind_a_link_is_read_under_the_name_of_the_link(tmp_path):
    write_zip(tmp_path / ".objects" / "abc", {"x.dcm": b"x"})
    (tmp_path / "part.zip").symlink_to(".objects/abc")
    found, _ = find_sources([tmp_path])
    assert [(source.name, read(source)) for source in found] == [("part.zip/x.dcm", b"x")]


def names(found):
    sources, unusable = found
    assert unusable == []
    return [source.name for source in sources]


def test_a_linked_file_that_was_named_keeps_its_name_and_its_folder(tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir()
    for folder, digest in (("a", "0f3c"), ("b", "9d21")):
        (cache / digest).write_bytes(folder.encode())
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "scan.nii.gz").symlink_to(cache / digest)
    one, two = (tmp_path / folder / "scan.nii.gz" for folder in "ab")
    assert names(find_sources([one])) == ["scan.nii.gz"]
    assert names(find_sources([two, one])) == ["a/scan.nii.gz", "b/scan.nii.gz"]
    assert names(find_sources([one, tmp_path / "a"])) == ["scan.nii.gz"]
    assert read(find_sources([two])[0][0]) == b"b"


def test_a_file_that_was_named_twice_is_found_once_also_by_its_link(tmp_path):
    (tmp_path / "a.nii").write_bytes(b"x")
    (tmp_path / "link.nii").symlink_to("a.nii")
    write_zip(tmp_path / "a.zip", {"x.dcm": b"x"})
    (tmp_path / "link.zip").symlink_to("a.zip")
    assert names(find_sources([tmp_path / "link.nii", tmp_path / "a.nii"])) == ["link.nii"]
    assert names(find_sources([tmp_path / "a.nii", tmp_path / "link.nii"])) == ["a.nii"]
    assert names(find_sources([tmp_path / "link.zip", tmp_path / "a.zip"])) == ["x.dcm"]


def test_a_zip_that_was_named_by_a_link_is_unpacked(tmp_path):
    write_zip(tmp_path / "0f3c", {"x.dcm": b"x"})
    (tmp_path / "part.zip").symlink_to(tmp_path / "0f3c")
    assert names(find_sources([tmp_path / "part.zip"])) == ["x.dcm"]


def test_a_linked_root_is_followed_since_it_was_asked_for(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "x.dcm").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert len(find_sources([tmp_path / "link"])[0]) == 1


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("scans.7z", "an archive that is not opened (.7z)"),
        ("scans.RAR", "(.rar)"),
        ("scans.tar.gz", "(.tar.gz)"),
        ("scans.tgz", "(.tgz)"),
        ("scans.tar", "(.tar)"),
        ("scans.zip.001", "a part of an archive"),
        ("scans.z01", "a part of an archive"),
        ("scans.7z.002", "a part of an archive"),
        ("scans.part1.rar", "a part of an archive"),
        ("scans.tar.gz.aa", "a part of an archive"),
        ("scans.zip.crdownload", "an unfinished download"),
        ("scans.zip.part", "an unfinished download"),
    ],
)
def test_other_archives_and_parts_have_words_of_their_own_wherever_they_lie(tmp_path, name, words):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / name).write_bytes(b"x")
    for roots in ([tmp_path / "a"], [tmp_path / "a" / name], [write_zip(tmp_path / "b.zip", {name: b"x"})]):
        assert words in only_reason(find_sources(roots))


@pytest.mark.parametrize(
    ("content", "beside", "words"),
    [
        (b"", "", "an empty file"),
        (b"<!DOCTYPE html><html>please log in", "", "log in to the archive"),
        (b"Rar!\x1a\x07", "", "a RAR archive"),
        (b"PK\x03\x04 and no end", "", "cut short or spoilt; download it again"),
        (b"PK\x03\x04 and no end", "scans.z01", "the last of several parts"),
        (b"what is this", "", "does not begin like one; download it again"),
    ],
)
def test_a_zip_that_cannot_be_read_is_told_by_what_it_is(tmp_path, content, beside, words):
    (tmp_path / "scans.zip").write_bytes(content)
    if beside:
        (tmp_path / beside).write_bytes(b"x")
    reasons = {what.name: what.reason for what in find_sources([tmp_path])[1]}
    assert reasons["scans.zip"].startswith("a zip that cannot be read (BadZipFile)")
    assert words in reasons["scans.zip"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError(13, "Permission denied"), "chmod u+r"),
        (FileNotFoundError(2, "No such file"), "start again"),
        (OSError(5, "Input/output error"), "Input/output error"),
    ],
)
def test_what_the_system_refuses_is_not_said_to_be_mended_by_a_download(tmp_path, monkeypatch, error, words):
    part = write_zip(tmp_path / "part.zip", {"y.dcm": b"y"})
    (tmp_path / "x.dcm").write_bytes(b"x")
    found, _ = find_sources([tmp_path])

    def refuse(*arguments, **options):
        raise error

    monkeypatch.setattr(Path, "open", refuse)
    reason = only_reason(find_sources([part]))
    messages = [reason]
    for source in found:
        with pytest.raises(ScanError) as refused:
            read(source)
        messages.append(str(refused.value))
    assert len(messages) == 3
    assert all(words in message and "download" not in message for message in messages)


def test_a_folder_that_may_not_be_read_is_said_with_the_right_it_lacks(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def refuse(folder):
        if Path(folder).name == "closed":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    assert "chmod u+rx" in only_reason(find_sources([tmp_path]))


@pytest.mark.parametrize("kind", ["gone", "dangling"])
def test_a_root_that_is_not_there_says_why(tmp_path, kind):
    if kind == "dangling":
        (tmp_path / "x").symlink_to("nowhere")
    words = {"gone": "cannot be found; see how it is spelt", "dangling": "is a link that leads nowhere"}
    with pytest.raises(ImportingError, match=words[kind]):
        find_sources([tmp_path / "x"])


def test_a_pipe_is_reported_and_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.dcm")
    assert "no plain file" in only_reason(find_sources([tmp_path]))


@pytest.mark.parametrize("kind", ["pipe", "folder of pipes", "device"])
def test_what_is_no_plain_file_is_reported_and_not_waited_for(tmp_path, kind):
    root = tmp_path / "pipe.nii"
    if kind == "device":
        root = Path(os.devnull)
    elif kind == "pipe":
        os.mkfifo(root)
    else:
        root.mkdir()
        os.mkfifo(root / "a.nii")
    sources, unusable = find_sources([root])
    assert (sources, [each.reason for each in unusable]) == ([], ["no plain file"])


@pytest.mark.parametrize("name", ["a\nb.nii", "a\rb.nii", "a\x1b[2Jb.nii", "a\tb.nii", "a\u202eb.nii"])
def test_a_name_that_would_steer_a_terminal_is_escaped(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    write_zip(tmp_path / "b.zip", {name: b"y"})
    sources, _ = find_sources([tmp_path])
    assert len(sources) == 2
    for source in sources:
        assert source.name.isprintable()
        assert read(source) in (b"x", b"y")


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.nii").write_bytes(folder.encode())
    sources, _ = find_sources([tmp_path / "a/x.nii", tmp_path / "b/x.nii"])
    assert [(source.name, read(source)) for source in sources] == [("a/x.nii", b"a"), ("b/x.nii", b"b")]


def test_a_name_that_is_no_text_is_found_and_can_be_hashed(tmp_path):
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/scan\xff.dcm")).write_bytes(b"x")
    found, _ = find_sources([tmp_path])
    assert found[0].name.encode() == b"scan?.dcm"
    assert read(found[0]) == b"x"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/etc/x.dcm", "leaves the zip"),
        ("../x.dcm", "leaves the zip"),
        ("PPMI/../../x.dcm", "leaves the zip"),
        ("..\\x.dcm", "leaves the zip"),
        ("\\\\host\\x.dcm", "leaves the zip"),
        ("C:\\x.dcm", "drive letter"),
        ("c:x.dcm", "drive letter"),
        ("PPMI/inner.zip", "zip within a zip"),
        (".", "without a name"),
    ],
)
def test_a_member_that_an_honest_download_never_holds_is_unusable(tmp_path, name, reason):
    assert reason in only_reason(find_sources([write_zip(tmp_path / "part.zip", {name: b"x"})]))


def test_a_member_whose_name_is_empty_is_unusable(tmp_path):
    part = write_zip(tmp_path / "part.zip", {"q": b"x"})
    part.write_bytes(part.read_bytes().replace(b"q", b"\0"))
    assert "without a name" in only_reason(find_sources([part]))


def test_members_with_backslashes_have_their_folders(tmp_path):
    found, _ = find_sources([write_zip(tmp_path / "part.zip", {"PPMI\\3000\\x.dcm": b"x"})])
    assert found[0].name == "PPMI/3000/x.dcm"
    assert read(found[0]) == b"x"


def test_a_link_in_a_zip_is_unusable(tmp_path):
    link = zipfile.ZipInfo("x.dcm")
    link.external_attr = 0o120777 << 16
    assert "link" in only_reason(find_sources([write_zip(tmp_path / "part.zip", {link: b"/etc/passwd"})]))


def test_a_name_that_stands_twice_in_a_zip_is_unusable(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate name"):
        part = write_zip(tmp_path / "part.zip", [("x.dcm", b"one"), ("x.dcm", b"two"), ("y.dcm", b"three")])
    found, unusable = find_sources([part])
    assert [source.name for source in found] == ["y.dcm"]
    assert ["several members" in what.reason for what in unusable] == [True]


def test_an_encrypted_member_is_unusable(tmp_path):
    part = write_zip(tmp_path / "part.zip", {"x.dcm": b"x"})
    spoil(part, b"PK\x01\x02", 8, b"\x01\x00")
    assert "encrypted" in only_reason(find_sources([part]))


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_packing_whose_memory_is_not_bounded_is_refused(tmp_path, method):
    assert "not supported" in only_reason(find_sources([write_zip(tmp_path / "part.zip", {"x.dcm": b"x"}, method)]))


def test_a_spoilt_zip_is_one_unusable_source_and_the_rest_is_found(tmp_path):
    whole = write_zip(tmp_path / "whole.zip", {"x.dcm": random.Random(1).randbytes(4000)})
    (tmp_path / "cut.zip").write_bytes(whole.read_bytes()[:3000])
    (tmp_path / "no.zip").write_bytes(b"this is no zip")
    (tmp_path / "empty.zip").write_bytes(b"")
    found, unusable = find_sources([tmp_path])
    assert [source.name for source in found] == ["whole.zip/x.dcm"]
    assert [what.name for what in unusable] == ["cut.zip", "empty.zip", "no.zip"]
    assert all("cannot be read" in what.reason for what in unusable)


def test_a_spoilt_zip_given_as_root_does_not_stop_the_rest(tmp_path):
    (tmp_path / "no.zip").write_bytes(b"this is no zip")
    good = write_zip(tmp_path / "good.zip", {"x.dcm": b"x"})
    found, unusable = find_sources([tmp_path / "no.zip", good])
    assert len(found) == len(unusable) == 1


def test_a_zip_whose_members_share_their_bytes_is_refused(tmp_path):
    """Zip bombs list one packed kernel under many names."""
    part = write_zip(tmp_path / "part.zip", {f"{number:04d}.dcm": bytes(100_000) for number in range(2)})
    first_offset = struct.pack("<L", 0)
    spoil(part, b"PK\x01\x02", 42, first_offset, which=1)
    assert "over one another" in only_reason(find_sources([part]))


def test_a_bomb_gives_no_more_than_it_may(tmp_path):
    part = write_zip(tmp_path / "part.zip", {"x.dcm": bytes(50_000_000)})
    assert part.stat().st_size < 60_000
    found, _ = find_sources([part])
    with pytest.raises(ScanError, match="50,000,000 bytes"):
        read(found[0], limit=1_000_000)


def test_a_member_that_declares_less_than_it_holds_gives_no_more_than_declared(tmp_path):
    part = write_zip(tmp_path / "part.zip", {"x.dcm": bytes(1_000_000)})
    spoil(part, b"PK\x01\x02", 24, struct.pack("<L", 1000))
    found, _ = find_sources([part])
    assert found[0].size == 1000
    with pytest.raises(ScanError, match="cannot be read"):
        read(found[0])


def test_a_member_that_declares_more_than_it_holds_is_spoilt(tmp_path):
    part = write_zip(tmp_path / "part.zip", {"x.dcm": b"x" * 500})
    spoil(part, b"PK\x01\x02", 24, struct.pack("<L", 5000))
    found, _ = find_sources([part])
    with pytest.raises(ScanError, match=r"expected 5,000 bytes, got 500|cannot be read"):
        read(found[0])


def test_an_enormous_declared_size_is_unusable(tmp_path):
    part = write_zip(tmp_path / "part.zip", {"x.dcm": b"x" * 500})
    spoil(part, b"PK\x01\x02", 24, struct.pack("<L", 3_000_000_000))
    assert "3,000,000,000 bytes" in only_reason(find_sources([part]))


def test_a_large_file_is_unusable(tmp_path):
    with (tmp_path / "disk.img").open("wb") as stream:
        stream.truncate(2 << 30)
    assert "no scan" in only_reason(find_sources([tmp_path]))


def test_a_changed_byte_in_a_zip_is_noticed(tmp_path):
    part = write_zip(tmp_path / "part.zip", {"x.dcm": b"x" * 500}, zipfile.ZIP_STORED)
    content = bytearray(part.read_bytes())
    content[200] ^= 1
    part.write_bytes(content)
    found, _ = find_sources([part])
    with pytest.raises(ScanError, match="cannot be read"):
        read(found[0])


def test_a_file_that_changed_since_it_was_found_is_noticed(tmp_path):
    (tmp_path / "x.dcm").write_bytes(b"x")
    part = write_zip(tmp_path / "part.zip", {"y.dcm": b"y"})
    found, _ = find_sources([tmp_path])
    (tmp_path / "x.dcm").write_bytes(b"longer")
    assert read(found[0]) == b"y"
    write_zip(part, {"z.dcm": b"z"})
    for source in found:
        with pytest.raises(ScanError):
            read(source)


def test_a_file_that_went_away_is_a_scan_error(tmp_path):
    (tmp_path / "x.dcm").write_bytes(b"x")
    found, _ = find_sources([tmp_path])
    (tmp_path / "x.dcm").unlink()
    with pytest.raises(ScanError, match="FileNotFoundError"):
        read(found[0])


def test_a_stream_can_be_sought(tmp_path):
    found, _ = find_sources([write_zip(tmp_path / "part.zip", {"x.dcm": b"0123456789"})])
    with opened(found[0], MANY) as stream:
        assert stream.read(3) == b"012"
        assert stream.seek(-2, os.SEEK_END) == 8
        assert stream.read() == b"89"


def test_threads_read_members_of_one_zip_side_by_side(tmp_path):
    contents = {f"{number}.dcm": random.Random(number).randbytes(200_000) for number in range(8)}
    found, _ = find_sources([write_zip(tmp_path / "part.zip", contents)])
    with ThreadPoolExecutor(4) as pool:
        for source, content in zip(found * 3, pool.map(read, found * 3), strict=True):
            assert content == contents[source.name]


def test_more_files_than_are_looked_at_stop_the_import(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "MAX_FILES", 3)
    for number in range(4):
        (tmp_path / f"{number}.dcm").write_bytes(b"x")
    with pytest.raises(ImportingError, match="more than 3 files"):
        find_sources([tmp_path])


def test_a_zip_with_an_enormous_table_of_contents_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "MAX_DIRECTORY_BYTES", 200)
    assert find_sources([write_zip(tmp_path / "a.zip", {"a.dcm": b"x"})])[1] == []
    part = write_zip(tmp_path / "b.zip", {f"{number}.dcm": b"x" for number in range(10)})
    assert "cannot be read" in only_reason(find_sources([part]))


def test_no_reason_names_what_was_found(tmp_path):
    write_zip(
        tmp_path / "subject3000.zip", {"../subject3000.dcm": b"x", "C:/subject3000": b"x", "subject3000.zip": b"x"}
    )
    (tmp_path / "subject3000-cut.zip").write_bytes(b"x")
    _, unusable = find_sources([tmp_path])
    assert len(unusable) == 4
    assert not any("3000" in what.reason for what in unusable)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_zip_spoilt_anywhere_gives_promised_errors_and_bounded_streams(tmp_path, data):
    content = write_zip(
        tmp_path / "fuzz" / "good.zip", {"a/x.dcm": b"abc" * 300, "b.nii": b"b", "c.dcm": b""}
    ).read_bytes()
    spoilt = bytearray(content)
    for _ in range(data.draw(st.integers(1, 6))):
        spoilt[data.draw(st.integers(0, len(spoilt) - 1))] = data.draw(st.integers(0, 255))
    part = tmp_path / "fuzz" / "spoilt.zip"
    part.write_bytes(spoilt[: data.draw(st.integers(len(spoilt) // 2, len(spoilt)))])
    for source in find_sources([part])[0]:
        with contextlib.suppress(ScanError):
            assert len(read(source, limit=5000)) == source.size <= 5000


def spoil(path, signature, offset, replacement, which=0):
    """Overwrite a field of the record `which` that begins with `signature`."""
    content = bytearray(path.read_bytes())
    at = -1
    for _ in range(which + 1):
        at = content.index(signature, at + 1)
    content[at + offset : at + offset + len(replacement)] = replacement
    path.write_bytes(content)
