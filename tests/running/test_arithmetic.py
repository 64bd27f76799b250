"""Every x86 processor is held to one instruction set, unless the environment says otherwise."""

import os
import platform
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from datspect.running import arithmetic

HELD = (*arithmetic._SETTINGS, "XLA_FLAGS")


@pytest.fixture
def linux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The list of a processor with AVX2 and AVX-512, an environment that says nothing, and no TensorFlow."""
    path = tmp_path / "cpuinfo"
    path.write_text("flags : fpu avx2 avx512f\n", encoding="utf-8")
    monkeypatch.setattr(arithmetic, "_CPU_INFO", path)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    for name in HELD:
        monkeypatch.setenv(name, "")  # so that what is set below ends with the test
        monkeypatch.delenv(name)
    return path


def found() -> dict[str, str]:
    return {name: os.environ[name] for name in HELD if name in os.environ}


@pytest.mark.usefixtures("linux")
def test_a_processor_with_avx2_is_held_to_it() -> None:
    arithmetic.hold_instruction_set()
    assert found() == {**arithmetic._SETTINGS, "XLA_FLAGS": "--xla_cpu_max_isa=AVX2"}


@pytest.mark.usefixtures("linux")
def test_what_the_environment_says_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "DEFAULT")
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=/x")
    arithmetic.hold_instruction_set()
    assert os.environ["ONEDNN_MAX_CPU_ISA"] == "DEFAULT"
    assert os.environ["XLA_FLAGS"] == "--xla_dump_to=/x --xla_cpu_max_isa=AVX2"
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_max_isa=AVX512")
    arithmetic.hold_instruction_set()
    assert os.environ["XLA_FLAGS"] == "--xla_cpu_max_isa=AVX512"


@pytest.mark.usefixtures("linux")
def test_a_tensorflow_that_chose_already_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", ModuleType("tensorflow"))
    with pytest.warns(RuntimeWarning, match="import datspect first, or set TF_ENABLE_ONEDNN_OPTS=1"):
        arithmetic.hold_instruction_set()
    arithmetic.hold_instruction_set()  # the environment has it now: no second warning, which would be an error


@pytest.mark.skipif(not arithmetic._has_avx2(), reason="needs Linux on x86 with AVX2")
@pytest.mark.parametrize("first", ["tensorflow", "datspect"])
def test_the_warning_names_the_line_that_imports_datspect_too_late(tmp_path: Path, first: str) -> None:
    (tmp_path / "tensorflow.py").touch()
    second = {"tensorflow": "datspect", "datspect": "tensorflow"}[first]
    (tmp_path / "notebook.py").write_text(f"import {first}\nimport {second}\n", encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name not in HELD}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(tmp_path), environment.get("PYTHONPATH"))))
    command = [sys.executable, str(tmp_path / "notebook.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert ("notebook.py:2: RuntimeWarning: TensorFlow was imported before" in done.stderr) == (first == "tensorflow")


@pytest.mark.parametrize("case", ["no AVX2", "no list", "another system", "another architecture"])
def test_elsewhere_nothing_is_set(linux: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    if case == "no AVX2":
        linux.write_text("flags : fpu avx\n", encoding="utf-8")
    elif case == "no list":
        linux.unlink()
    elif case == "another system":
        monkeypatch.setattr(sys, "platform", "darwin")
    else:
        monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    arithmetic.hold_instruction_set()
    assert found() == {}


@pytest.mark.usefixtures("linux")
def test_fine_tuning_may_use_all_of_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    arithmetic.release_convolutions()
    assert found() == {}
    arithmetic.hold_instruction_set()
    arithmetic.release_convolutions()
    assert os.environ["ONEDNN_MAX_CPU_ISA"] == "DEFAULT"
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    arithmetic.release_convolutions()
    assert os.environ["ONEDNN_MAX_CPU_ISA"] == "SSE41"


@pytest.mark.skipif(not arithmetic._has_avx2(), reason="needs Linux on x86 with AVX2")
def test_numpy_of_our_programs_has_no_routine_above_avx2() -> None:
    code = (
        "import datspect, numpy\n"
        "from numpy._core._multiarray_umath import __cpu_features__ as known, __cpu_dispatch__ as dispatched\n"
        "print([name for name in dispatched if known[name]])"
    )
    environment = {name: value for name, value in os.environ.items() if name not in HELD}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['X86_V3']"
