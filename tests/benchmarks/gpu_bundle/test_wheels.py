import csv
import io
import zipfile
from pathlib import Path

import pytest
from benchmarks.gpu_bundle.wheels import LOCKS, NEEDED, WheelError, locked, slimmed

ROOT = Path(__file__).parents[3]
LOCK = """\
alpha==1.0 \\
    --hash=sha256:aa \\
    --hash=sha256:ab
    # via
    #   beta
beta==2.0 ; python_full_version < '3.12' \\
    --hash=sha256:ba
beta==2.1 ; python_full_version >= '3.12' \\
    --hash=sha256:bb
"""


def test_entries_keep_their_hashes_and_the_first_lock_counts() -> None:
    found = locked(
        ["beta", "alpha", "gamma"], [LOCK, "alpha==9 \\\n    --hash=sha256:zz\ngamma==3 \\\n    --hash=sha256:ca\n"]
    )
    assert found.splitlines() == [
        "beta==2.0 ; python_full_version < '3.12' \\", "    --hash=sha256:ba",
        "beta==2.1 ; python_full_version >= '3.12' \\", "    --hash=sha256:bb",
        "alpha==1.0 \\", "    --hash=sha256:aa \\", "    --hash=sha256:ab",
        "gamma==3 \\", "    --hash=sha256:ca",
    ]  # fmt: skip


def test_a_package_that_is_not_locked_is_named() -> None:
    with pytest.raises(WheelError, match=r"not in requirements/: delta;"):
        locked(["alpha", "delta"], [LOCK])


def test_every_package_that_is_packed_is_locked_once_for_all_pythons() -> None:
    # pip judges conditions by the Python that it runs in, not by the one that it downloads for.
    text = locked(NEEDED, [(ROOT / "requirements" / name).read_text(encoding="utf-8") for name in LOCKS])
    assert "python_full_version" not in text
    assert text.count("==") == len(NEEDED)


def test_a_wheel_loses_its_tests_and_its_record_of_them(tmp_path: Path) -> None:
    wheel = tmp_path / "x-1-py3-none-any.whl"
    record = "x/__init__.py,sha256=a,1\nx/tests/test_x.py,sha256=b,1\nx-1.dist-info/RECORD,,\n"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in (("x/__init__.py", "1"), ("x/tests/test_x.py", "2"), ("x-1.dist-info/RECORD", record)):
            file.writestr(name, text)
    with zipfile.ZipFile(io.BytesIO(slimmed(wheel))) as slim:
        assert slim.namelist() == ["x/__init__.py", "x-1.dist-info/RECORD"]
        assert [
            row[0] for row in csv.reader(io.StringIO(slim.read("x-1.dist-info/RECORD").decode()))
        ] == slim.namelist()
