import json
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.measuring import (
    BenchmarkError,
    Goal,
    alternating,
    goals_part,
    machine,
    measured_by,
    page_parser,
    peak_memory_mb,
    publish,
    versions,
    write_result,
)


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


@pytest.mark.parametrize("script", ["benchmarks/heads.py", str(Path("benchmarks/heads.py").resolve())])
def test_the_page_does_not_say_where_somebody_keeps_project_or_result(
    monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setattr("sys.argv", [script, "--json", "/home/somebody/result.json", "--epochs", "9"])
    assert "`python benchmarks/heads.py --epochs 9`" in measured_by()


def test_pages_that_grow_are_no_change_of_what_is_measured(empty_project: Path) -> None:
    tracked = {name: empty_project / name for name in ("docs/page.md", "code.py")}
    for path in tracked.values():
        path.parent.mkdir(exist_ok=True)
        path.write_text("before", encoding="utf-8")
    somebody = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
    for words in (["init", "-q"], ["add", *tracked], [*somebody, "commit", "-qm", "both"]):
        subprocess.run(["git", *words], check=True)
    said = []
    for path in tracked.values():
        path.write_text("after", encoding="utf-8")
        said.append("with changed files" in measured_by())
    assert said == [False, True]


def test_a_missed_goal_says_what_limits_it_and_a_met_one_does_not() -> None:
    met, missed = (Goal(name, "under 2 s", "1 s", name == "fast", f"{name} limit") for name in ("fast", "slow"))
    text = goals_part([met, missed])
    assert "| slow | under 2 s |   1 s | MISSED |" in text
    assert "- slow: slow limit" in text
    assert "fast limit" not in text
    assert "What limits" not in goals_part([met])


def test_a_benchmark_replaces_its_own_part_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page, result = tmp_path / "page.md", tmp_path / "result.json"
    page.write_text("before\n<!-- heads: begin -->\nold\n<!-- heads: end -->\nafter\n", encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["benchmarks/heads.py", "--quick"])
    arguments = page_parser("").parse_args(["--quick", "--into", str(page), "--json", str(result)])
    publish(arguments, ["part one", "part two"], {"ratio": 2.0})
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- heads: begin -->\n`python benchmarks/heads.py --quick`, ")
    assert text.endswith("part one\n\npart two\n<!-- heads: end -->\nafter\n")
    assert "Short run" in text
    assert machine()["cpu"] in text
    assert f"numpy {versions()['numpy']}" in text
    assert "old" not in text
    assert capsys.readouterr().out.endswith("part two\n")
    assert json.loads(result.read_text(encoding="utf-8"))["ratio"] == 2.0


def test_a_page_without_the_marks_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- features: begin -->\n<!-- features: end -->\n", encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["benchmarks/heads.py"])
    with pytest.raises(BenchmarkError, match="heads: begin"):
        publish(page_parser("").parse_args(["--into", str(page)]), ["part"], {})
    assert "part" not in page.read_text(encoding="utf-8")
