import argparse
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from datspect.io.records import write_json

ROOT = Path(__file__).parents[3]
FILES = (
    "params.yaml", "data/images/images.npy", "data/images/subjects.csv", "data/images/cohort.json", "data/splits.csv",
    "models/backbone/backbone.weights.h5",
)  # fmt: skip


@pytest.fixture
def pack(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from gpu_bundle import pack

    return pack


def results_of(folder: Path, kind: str) -> Path:
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    write_json(folder / "data/images/cohort.json", {"kind": kind})
    return folder


def test_missing_results_are_named_with_what_makes_them(pack: ModuleType, tmp_path: Path) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml")
    with pytest.raises(pack.BundleError) as refused:
        pack.check_results(tmp_path)
    assert all(name in str(refused.value) for name in FILES[1:])
    assert "run `dvc repro preprocess split backbone` first" in str(refused.value)


def test_images_of_real_scans_are_not_packed(pack: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(pack.BundleError, match="the cohort in use is ppmi: only images of the phantom"):
        pack.check_results(results_of(tmp_path, "ppmi"))
    pack.check_results(results_of(tmp_path, "phantom"))


def test_a_bundle_that_is_too_large_is_refused_and_its_largest_files_named(pack: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "a.py").write_bytes(b"x" * 100)
    with (tmp_path / "weights.xz").open("wb") as file:
        file.truncate(49_999_800)
    assert pack.checked_size(tmp_path) == 49_999_900
    (tmp_path / "wheels.tar.xz").write_bytes(b"x" * 100)
    with pytest.raises(pack.BundleError, match=r"would be 50\.0 MB.*weights\.xz 50\.0.*--weights random"):
        pack.checked_size(tmp_path)


def test_an_error_leaves_the_earlier_bundle(pack: ModuleType, tmp_path: Path) -> None:
    earlier = tmp_path / "bundle"
    earlier.mkdir()
    arguments = argparse.Namespace(results=tmp_path / "nothing", into=earlier, effort=0, python="3.12", platforms=())
    with pytest.raises(pack.BundleError):
        pack.write_bundle(arguments)
    assert list(tmp_path.iterdir()) == [earlier]


def test_another_python_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.gpu_bundle.unpack import check_machine

    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    check_machine(here)
    with pytest.raises(SystemExit, match=f"the bundle is for Python 3.99, this is {here}"):
        check_machine("3.99")
