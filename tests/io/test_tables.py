import numpy as np
import pandas as pd
import pytest

from datspect.errors import CohortError
from datspect.io.records import read_json, write_json
from datspect.io.tables import read_table, write_table


def test_every_number_comes_back_exactly(tmp_path, rng):
    table = pd.DataFrame(
        {"scan_id": [str(i) for i in range(99)], "x": rng.normal(size=99) * 10.0 ** rng.integers(-9, 9, 99)}
    )
    write_table(tmp_path / "t.csv", table)
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.csv"), table, check_exact=True)


def test_ids_and_other_text_stay_as_they_are(tmp_path):
    table = pd.DataFrame({"scan_id": ["007", "1e5"], "site": ["NA", ""], "flags": ["", "null"], "age": [60.5, np.nan]})
    write_table(tmp_path / "t.csv", table)
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.csv"), table, check_dtype=False)


def test_text_is_utf8_and_lines_end_alike_everywhere(tmp_path):
    write_table(tmp_path / "t.csv", pd.DataFrame({"site": ["Zürich"], "n": [1]}))
    assert (tmp_path / "t.csv").read_bytes() == "site,n\nZürich,1\n".encode()


def test_an_empty_table_keeps_its_header(tmp_path):
    write_table(tmp_path / "t.csv", pd.DataFrame(columns=["scan_id", "reason"]))
    assert list(read_table(tmp_path / "t.csv", ["scan_id"]).columns) == ["scan_id", "reason"]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "r.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert read_json(path) == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["r.json"]


def test_missing_or_wrong_files_are_named(tmp_path):
    (tmp_path / "empty.csv").touch()
    (tmp_path / "wrong.json").write_text("{")
    with pytest.raises(CohortError, match=r"absent\.csv: not found"):
        read_table(tmp_path / "absent.csv")
    with pytest.raises(CohortError, match=r"empty\.csv: not a readable CSV"):
        read_table(tmp_path / "empty.csv")
    with pytest.raises(CohortError, match=r"absent\.json: not found"):
        read_json(tmp_path / "absent.json")
    with pytest.raises(CohortError, match=r"wrong\.json: not readable JSON"):
        read_json(tmp_path / "wrong.json")


def test_missing_columns_are_named(tmp_path):
    write_table(tmp_path / "t.csv", pd.DataFrame({"scan_id": ["1"]}))
    with pytest.raises(CohortError, match=r"column\(s\) missing: fold, role; found scan_id"):
        read_table(tmp_path / "t.csv", ["scan_id", "fold", "role"])


def test_json_repeats_sorted_and_gives_numbers_back(tmp_path, rng):
    record = {"b": float(rng.normal()), "a": [1, "ü"], "c": np.float64(0.1), "d": np.int64(3), "e": np.arange(2)}
    write_json(tmp_path / "r.json", record)
    text = (tmp_path / "r.json").read_text(encoding="utf-8")
    assert text.endswith("}\n")
    assert text.index('"a"') < text.index('"b"') < text.index('"c"')
    assert read_json(tmp_path / "r.json") == record | {"e": [0, 1]}


def test_json_refuses_what_it_does_not_know(tmp_path):
    with pytest.raises(TypeError, match="Path"):
        write_json(tmp_path / "r.json", {"a": tmp_path})
