import json
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.measuring import alternating, machine, peak_memory_mb, versions, write_result


def test_works_take_turns() -> None:
    seen: list[str] = []
    samples = alternating({"a": lambda: seen.append("a"), "b": lambda: seen.append("b")}, n_rounds=3)
    assert "".join(seen) == "ababab"
    assert [len(samples[name]) for name in "ab"] == [3, 3]


def test_peak_memory_is_seen_after_it_was_given_back() -> None:
    program = "import time; held = bytearray(b'x') * 200_000_000; time.sleep(0.3); del held; time.sleep(0.1)"
    # An interpreter alone is far below 100 MB.
    assert 190 < peak_memory_mb([sys.executable, "-c", program]) < 300


def test_memory_of_a_programs_children_counts() -> None:
    child = "import time; held = bytearray(b'x') * 200_000_000; time.sleep(0.3)"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    assert peak_memory_mb([sys.executable, "-c", program]) > 190


def test_a_program_that_fails_gives_no_figure() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        peak_memory_mb([sys.executable, "-c", "raise SystemExit(3)"])


def test_machine_and_versions_are_known_and_can_be_written(tmp_path: Path) -> None:
    write_result(tmp_path / "x.json", {"machine": machine(), "versions": versions()})
    found = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert found["machine"]["cores"] >= 1
    assert found["machine"]["memory_gb"] >= 1
    assert {"python", "numpy", "keras"} <= set(found["versions"])
