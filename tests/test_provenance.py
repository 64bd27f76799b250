"""The result id follows code, parameters and data, and nothing else."""

from pathlib import Path

from datspect.params import ClassifierParams
from datspect.provenance import provenance

SECTIONS = {"classifier": ClassifierParams(width=8, dropout=0.5)}


def test_the_id_repeats_and_changes_with_each_ingredient(tmp_path: Path) -> None:
    data = tmp_path / "bank.npy"
    data.write_bytes(b"abc")
    first = provenance("cv", SECTIONS, [data])
    assert provenance("cv", SECTIONS, [data]) == first
    assert provenance("final", SECTIONS, [data]).result_id != first.result_id
    changed = {"classifier": ClassifierParams(width=8, dropout=0.4)}
    assert provenance("cv", changed, [data]).result_id != first.result_id
    data.write_bytes(b"abd")
    assert provenance("cv", SECTIONS, [data]).result_id != first.result_id


def test_the_place_of_the_data_does_not_matter(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "bank.npy").write_bytes(b"abc")
    here, there = (provenance("cv", SECTIONS, [tmp_path / name / "bank.npy"]) for name in ("a", "b"))
    assert here.result_id == there.result_id
