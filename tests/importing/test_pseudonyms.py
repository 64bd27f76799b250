"""Pseudonyms are the same under one key and unrelated under another; only its owner may read a key."""

import logging
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datspect.errors import ImportingError
from datspect.importing import pseudonyms
from datspect.importing.pseudonyms import Pseudonyms, key_path, read_or_create_key

KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))

originals = st.text(min_size=1).filter(lambda text: text == text.strip() != "" and text.isascii())


def test_a_pseudonym_is_the_hmac_of_purpose_and_original() -> None:
    # printf 'subject\0003000' | openssl dgst -sha256 -mac HMAC -macopt hexkey:0001...1f -binary | base32 | head -c 10
    assert Pseudonyms(KEY).subject("3000") == "P-Y3LNZDJO5A"


@given(originals, originals)
def test_the_same_person_gets_the_same_pseudonym_and_another_person_another(one: str, two: str) -> None:
    assert Pseudonyms(KEY).subject(one) == Pseudonyms(KEY).subject(one)
    assert (Pseudonyms(KEY).subject(one) == Pseudonyms(KEY).subject(two)) == (one == two)


@given(originals)
def test_another_key_gives_another_pseudonym(original: str) -> None:
    assert Pseudonyms(KEY).subject(original) != Pseudonyms(OTHER_KEY).subject(original)


@given(originals)
def test_subject_scan_file_and_seal_of_one_original_share_nothing(original: str) -> None:
    names = Pseudonyms(KEY)
    codes = {name[2:] for name in (names.subject(original), names.scan(original), names.file(original))}
    assert len(codes | {names.seal(original)[:10], names.fingerprint[2:]}) == 5
    assert names.site(original).removeprefix("site-") not in {code[:6] for code in codes}


def test_ten_thousand_subjects_have_ten_thousand_pseudonyms_in_the_promised_form() -> None:
    names = [Pseudonyms(KEY).subject(str(number)) for number in range(10_000)]
    assert len(set(names)) == 10_000
    assert all(name.startswith("P-") and len(name) == 12 and name[2:].isalnum() for name in names)


def test_blanks_around_an_id_and_the_way_an_accent_is_composed_do_not_make_another_person() -> None:
    names = Pseudonyms(KEY)
    assert names.subject(" 3000 ") == names.subject("3000")
    assert names.subject("Jose\u0301") == names.subject("Jos\u00e9")


def test_a_name_with_undecodable_bytes_gets_a_pseudonym() -> None:
    assert Pseudonyms(KEY).file("scan\udcff.dcm").startswith("F-")


def test_what_a_pseudonym_stands_for_is_known_only_to_who_gave_it() -> None:
    names = Pseudonyms(KEY)
    text = f"{names.subject('3000')} {names.file('a/b.dcm')}: spoilt"
    assert names.revealed(text) == [(names.subject("3000"), "3000"), (names.file("a/b.dcm"), "a/b.dcm")]
    assert Pseudonyms(KEY).revealed(text) == []


def test_the_key_and_what_was_named_stay_out_of_texts_and_of_other_processes() -> None:
    names = Pseudonyms(KEY)
    names.subject("3000")
    assert repr(names) == f"Pseudonyms({names.fingerprint})"
    with pytest.raises(TypeError, match="stay in the process"):
        pickle.dumps(names)


def test_the_first_use_makes_a_key_that_only_its_owner_may_read_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "config" / "datspect" / "pseudonym.key"
    with caplog.at_level(logging.INFO):
        first = read_or_create_key(path)
        second = read_or_create_key(path)
    assert first.fingerprint == second.fingerprint
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    [message] = [record.message for record in caplog.records]
    assert str(path) in message
    assert "keep a copy" in message
    assert path.read_text().strip() not in caplog.text
    assert [file.name for file in path.parent.iterdir()] == ["pseudonym.key"]


def test_two_keys_made_by_chance_differ(tmp_path: Path) -> None:
    assert read_or_create_key(tmp_path / "a").fingerprint != read_or_create_key(tmp_path / "b").fingerprint


def test_many_first_uses_at_once_end_with_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(read_or_create_key, [tmp_path / "key"] * 32))
    assert len({names.fingerprint for names in made}) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["key"]


@pytest.mark.parametrize("rights", [0o640, 0o604, 0o620, 0o666])
def test_a_key_that_others_may_read_or_change_is_refused_with_the_way_to_mend_it(tmp_path: Path, rights: int) -> None:
    path = tmp_path / "my key"
    read_or_create_key(path)
    path.chmod(rights)
    with pytest.raises(ImportingError, match=r"chmod 600 '.*my key'"):
        read_or_create_key(path)
    path.chmod(0o600)
    read_or_create_key(path)


@pytest.mark.parametrize("mark", [".git", ".dvc"])
def test_a_key_within_a_repository_is_refused_before_it_is_made(tmp_path: Path, mark: str) -> None:
    (tmp_path / "repository" / mark).mkdir(parents=True)
    path = tmp_path / "repository" / "deep" / "key"
    with pytest.raises(ImportingError, match="DATSPECT_KEY_FILE"):
        read_or_create_key(path)
    assert not path.parent.exists()


def test_a_link_that_leads_into_a_repository_is_refused(tmp_path: Path) -> None:
    (tmp_path / "repository").mkdir()
    (tmp_path / "repository" / ".git").write_text("gitdir: elsewhere")  # a worktree has a file in this place
    (tmp_path / "link").symlink_to(tmp_path / "repository" / "key")
    with pytest.raises(ImportingError, match="repository"):
        read_or_create_key(tmp_path / "link")


@pytest.mark.parametrize("content", ["", "0" * 63, "0" * 65, "g" * 64, "3000 is John Doe", "\x00" * 64])
def test_a_file_that_holds_no_key_is_refused_and_not_quoted(tmp_path: Path, content: str) -> None:
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_text(content)
    with pytest.raises(ImportingError, match="64 hexadecimal digits") as refused:
        read_or_create_key(path)
    assert "John" not in str(refused.value)
    assert path.read_text() == content


def test_a_folder_in_the_place_of_the_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").mkdir(mode=0o700)
    with pytest.raises(ImportingError, match="neither read nor made"):
        read_or_create_key(tmp_path / "key")


def test_a_disk_without_hard_links_is_refused_and_nothing_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(pseudonyms.Path, "hardlink_to", refuse)
    with pytest.raises(ImportingError, match="Operation not permitted"):
        read_or_create_key(tmp_path / "key")
    assert list(tmp_path.iterdir()) == []


def test_the_environment_says_where_the_key_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DATSPECT_KEY_FILE", raising=False)
    assert key_path() == tmp_path / ".config" / "datspect" / "pseudonym.key"
    monkeypatch.setenv("DATSPECT_KEY_FILE", "~/elsewhere.key")
    assert key_path() == tmp_path / "elsewhere.key"


def test_another_process_with_the_key_gives_the_same_pseudonyms(tmp_path: Path) -> None:
    here = read_or_create_key(tmp_path / "key").subject("3000")
    code = f"""
from pathlib import Path
from datspect.importing.pseudonyms import read_or_create_key
print(read_or_create_key(Path({str(tmp_path / "key")!r})).subject("3000"))
"""
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here
