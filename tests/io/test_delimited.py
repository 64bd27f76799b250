import contextlib
import logging

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datspect.errors import ImportingError
from datspect.io import delimited
from datspect.io.delimited import read_delimited, row_list


@pytest.fixture
def read(tmp_path):
    def read_content(content, **kwargs):
        path = tmp_path / "subject3000.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_delimited(path, **kwargs)

    return read_content


def rows(table):
    return table.to_dict("list")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_every_encoding_and_delimiter_gives_the_same_table(read, encoding, delimiter):
    text = f"id{delimiter}name\r\n1{delimiter}Jürgen\r\n"
    assert rows(read(text.encode(encoding))) == {"id": ["1"], "name": ["Jürgen"]}


def test_utf_16_may_be_big_endian(read):
    assert rows(read(b"\xfe\xff" + "a,b\n1,é\n".encode("utf-16-be"))) == {"a": ["1"], "b": ["é"]}


def test_a_guess_at_the_encoding_is_said_without_content(read, caplog):
    with caplog.at_level(logging.WARNING):
        read("a,b\n1,x\n2,Zoë\n".encode("cp1252"), called="CSV 2")
    assert caplog.messages == ["CSV 2: line 3 is not UTF-8; the whole table is read as Windows-1252"]


def test_no_guess_no_warning(read, caplog):
    read("a,b\n1,Zoë\n")
    assert caplog.messages == []


def test_bytes_that_windows_1252_does_not_know_are_read_too(read):
    assert rows(read(b"a,b\n1,\x81\xe9\n")) == {"a": ["1"], "b": ["\x81é"]}


def test_text_stays_text(read):
    assert rows(read("id,age\n007,\nNA,1e3\n")) == {"id": ["007", "NA"], "age": ["", "1e3"]}


def test_fields_are_stripped_within_quotes_and_without(read):
    assert rows(read('id , "a, b",c\n 1 ,  " x ",\u00a03\t\n')) == {"id": ["1"], "a, b": ["x"], "c": ["3"]}


def test_quoted_fields_hold_delimiters_quotes_and_line_ends(read):
    assert rows(read('id,text\n1,"a, ""b""\nc"\n2,d\n')) == {"id": ["1", "2"], "text": ['a, "b"\nc', "d"]}


def test_rows_are_numbered_by_the_line_in_which_they_begin(read):
    assert list(read('id,text\n\n1,"two\nlines"\n2,x\n').index) == [3, 5]


def test_a_delimiter_within_a_quoted_header_does_not_count(read):
    assert list(read('"a;b;c",d\n1,2\n').columns) == ["a;b;c", "d"]


def test_a_declared_delimiter_is_used_and_left_out(read):
    table = read("sep=;\na;b\n1;2\n")
    assert rows(table) == {"a": ["1"], "b": ["2"]}
    assert list(table.index) == [3]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end_is_understood(read, end):
    assert rows(read(end.join(["a,b", "1,2", "3,4", ""]))) == {"a": ["1", "3"], "b": ["2", "4"]}


def test_one_column_is_a_table(read):
    assert rows(read("id\n1\n2\n")) == {"id": ["1", "2"]}


def test_a_header_alone_is_an_empty_table(read):
    table = read("a,b\n")
    assert isinstance(table, pd.DataFrame)
    assert list(table.columns) == ["a", "b"]
    assert len(table) == 0


def test_joined_exports_lose_their_further_headers(read):
    table = read("a,b\n1,2\na,b\n3,4\n")
    assert rows(table) == {"a": ["1", "3"], "b": ["2", "4"]}
    assert list(table.index) == [2, 4]


def test_empty_lines_and_empty_columns_at_the_end_are_left_out(read):
    assert rows(read("a,b,,\n1,2,,\n,,,\n3,4\n")) == {"a": ["1", "3"], "b": ["2", "4"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the table: it is empty"),
        ("\n \n", "it is empty"),
        ("a,b\n1,2\n3\n4,5,6\n7,8\n", "expected 2 fields as in the header, other numbers in rows 3, 4"),
        ("a,b\n1,2\n3,\0\n", "NUL characters"),
        ("a,b\n1,2\n".encode("utf-16-le"), "NUL characters"),
        (b"\xff\xfea\x00,", "marked as utf-16 but spoilt"),
        (b"\xef\xbb\xbfa,b\n\xff,2\n", "marked as utf-8-sig but spoilt"),
        (b"PK\x03\x04 a workbook", "save the sheet as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1 an old workbook", "save the sheet as CSV"),
        (b"<!DOCTYPE html><html>", "no table but a web page saved in place of the file"),
        (b"/annex/objects/MD5E-s3--abc.tsv\n", "no table but a note that stands for the file.*datalad get"),
        (b"%PDF-1.7", "no table but a PDF"),
        ('a,b\n1,2\n3,"4\n5,6\n', "row 3 cannot be read; see whether its quotes are closed"),
        ("a,,b\n1,2,3\n", r"column\(s\) without a name: 2"),
        ("a,b,a\n1,2,3\n", r"column\(s\) named as one before: 3"),
        ("a,b\n" + "x" * 200_000 + ",1\n", "row 2 cannot be read"),
    ],
)
def test_what_is_no_table_gives_a_reason(read, content, message):
    with pytest.raises(ImportingError, match=message):
        read(content)


def test_a_table_that_is_too_large_is_refused(read, monkeypatch):
    monkeypatch.setattr(delimited, "MAX_TABLE_BYTES", 10)
    with pytest.raises(ImportingError, match="more than 10 bytes"):
        read("a,b\n" + "1,2\n" * 10)


def test_a_missing_file_is_not_named(tmp_path):
    with pytest.raises(ImportingError, match=r"^CSV 1: cannot be read \(FileNotFoundError\)") as error:
        read_delimited(tmp_path / "subject3000.csv", called="CSV 1")
    assert "3000" not in str(error.value)


@pytest.mark.parametrize(
    ("kind", "words"), [("gone", "see how its path is spelt"), ("link", "datalad get"), ("closed", "chmod u\\+r")]
)
def test_a_table_that_is_not_there_or_closed_says_what_would_help(tmp_path, monkeypatch, kind, words):
    path = tmp_path / "table.csv"
    if kind == "link":
        path.symlink_to(".git/annex/objects/gone")
    if kind == "closed":

        def refuse(*arguments, **options):
            raise PermissionError(13, "Permission denied")

        path.write_text("a,b\n")
        monkeypatch.setattr(type(path), "open", refuse)
    with pytest.raises(ImportingError, match=words):
        read_delimited(path)


def test_messages_hold_nothing_of_the_table(read):
    with pytest.raises(ImportingError) as error:
        read("subject3000,subject3000,b\nsubject3000\n")
    assert "3000" not in str(error.value)


def test_many_rows_are_named_by_the_first():
    assert row_list([5]) == "row 5"
    assert row_list(list(range(20, 0, -1))) == "rows 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 10 more"


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=300) | st.text('ab1",;\t\r\n\x00 é=sep', max_size=100).map(str.encode))
def test_any_bytes_give_a_table_of_text_or_the_promised_error(read, content):
    with contextlib.suppress(ImportingError):
        table = read(content)
        assert all(name for name in table.columns)
        assert all(isinstance(value, str) for row in table.itertuples(index=False) for value in row)
