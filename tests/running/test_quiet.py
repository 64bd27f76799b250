"""A program that loads TensorFlow says what is for the user and nothing else, as a person starts it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from datspect.running.quiet import without_notices

HEADING = "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR"
NOTICE = "I0000 00:00:1795907814.917714    4580 port.cc:153] oneDNN custom operations are on."
WARNING = "W0000 00:00:1795907814.917714    4580 gpu_device.cc:2342] Cannot dlopen some GPU libraries."
ERROR = "E0000 00:00:1795907814.917714    4580 cuda_platform.cc:52] failed call to cuInit"


def run(folder: Path, program: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run Python code of a user's beside the modules in `folder`."""
    ours = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    path = os.pathsep.join([str(folder), *sys.path])
    return subprocess.run(
        [sys.executable, "-c", program], env=ours | {"PYTHONPATH": path} | environment,
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def pretend(folder: Path, *statements: str) -> None:
    """Put a TensorFlow into `folder` whose import runs `statements`; `write` writes as its C++ part does."""
    lines = ["import os, sys", "def write(text): os.write(2, text.encode())", *statements]
    (folder / "tensorflow.py").write_text("\n".join(lines), encoding="utf-8")


def test_warnings_come_through_unchanged_and_in_order_and_notices_do_not(tmp_path: Path) -> None:
    pretend(
        tmp_path,
        f"write({HEADING + chr(10)!r})", f"write({NOTICE + chr(10)!r})", f"write({WARNING + chr(10)!r})",
        "print('from Python', file=sys.stderr)", f"write({NOTICE + chr(10)!r})", f"write({ERROR!r})",
    )  # fmt: skip
    result = run(tmp_path, "import datspect, os; import tensorflow; os.write(2, b', after')")
    assert result.stderr == f"{WARNING}\nfrom Python\n{ERROR}, after"


def test_a_user_who_asks_for_every_line_gets_it(tmp_path: Path) -> None:
    pretend(tmp_path, f"write({NOTICE!r})")
    result = run(tmp_path, "import datspect; import tensorflow", TF_CPP_MIN_LOG_LEVEL="0")
    assert result.stderr == NOTICE


def test_the_environment_goes_before_our_level(tmp_path: Path) -> None:
    pretend(tmp_path, "print(os.environ['TF_CPP_MIN_LOG_LEVEL'])")
    program = "import datspect; import tensorflow"
    assert run(tmp_path, program).stdout == "1\n"
    assert run(tmp_path, program, TF_CPP_MIN_LOG_LEVEL="3").stdout == "3\n"


def test_an_import_that_fails_shows_all_that_it_wrote_and_the_next_one_is_quiet_too(tmp_path: Path) -> None:
    pretend(tmp_path, f"write({NOTICE + chr(10)!r})", f"write({ERROR + chr(10)!r})", "raise ImportError('no AVX')")
    attempt = "try: import tensorflow\nexcept ImportError as error: print(error, file=sys.stderr)\n"
    result = run(tmp_path, f"import sys, datspect\n{attempt}{attempt}")
    assert result.stderr == f"{ERROR}\nno AVX\n" * 2


def test_the_last_words_of_a_crash_come_through(tmp_path: Path) -> None:
    pretend(tmp_path, "write('F0000 not built for this processor')", "os.abort()")
    result = run(tmp_path, "import datspect; import tensorflow")
    assert result.returncode < 0
    assert result.stderr == "F0000 not built for this processor"


def test_more_than_a_pipe_holds_is_written_while_python_waits(tmp_path: Path) -> None:
    pretend(tmp_path, "write('x' * 1_000_000)")
    assert run(tmp_path, "import datspect; import tensorflow").stderr == "x" * 1_000_000


def test_nothing_stays_behind(tmp_path: Path) -> None:
    pretend(tmp_path)
    program = (
        "import os, sys\n"
        "files, finders = os.listdir('/dev/fd'), list(sys.meta_path)\n"
        "import datspect, tensorflow\n"
        "print(os.listdir('/dev/fd') == files, sys.meta_path == finders, vars(tensorflow.__loader__).keys())\n"
        f"os.write(2, {NOTICE.encode()!r})"
    )
    result = run(tmp_path, program)
    assert result.stdout == "True True dict_keys(['name', 'path'])\n"
    assert result.stderr == NOTICE


def test_without_standard_error_tensorflow_is_loaded(tmp_path: Path) -> None:
    pretend(tmp_path)
    again = "os.execv(sys.executable, [sys.executable, '-c', 'import datspect, tensorflow; print(\\'loaded\\')'])"
    assert run(tmp_path, f"import os, sys; os.close(2); {again}").stdout == "loaded\n"


def test_ctrl_c_ends_the_import_and_not_what_passes_its_words_on(tmp_path: Path) -> None:
    pretend(tmp_path, "import signal", "os.killpg(0, signal.SIGINT)", f"write({ERROR + chr(10)!r})")
    program = (
        "import os, signal; os.setpgid(0, 0)\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background job ignores it
        "import datspect\n"
        "try: import tensorflow\n"
        "except KeyboardInterrupt: os.write(2, b'stopped')"
    )
    assert run(tmp_path, program).stderr in (f"{ERROR}\nstopped", "stopped")


def test_a_program_that_was_started_meanwhile_keeps_its_words(capfd: pytest.CaptureFixture[str]) -> None:
    slow = "import os, sys; sys.stdin.read(); os.write(2, b'late')"
    with without_notices():
        child = subprocess.Popen([sys.executable, "-c", slow], stdin=subprocess.PIPE)
        child.communicate()
    assert capfd.readouterr().err == "late"


@pytest.mark.slow
def test_a_stage_that_loads_tensorflow_says_what_it_says_itself_and_no_more(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "datspect.stages.cv",
        *(f"absent{k}" for k in range(6)),
        "--params-path",
        "absent.yaml",
    ]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("error: absent.yaml: ")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.slow
def test_heads_are_trained_without_a_line_of_tensorflow(tmp_path: Path) -> None:
    program = (
        "from datspect.modeling.heads import Head\n"
        "from datspect.modeling.stack import fit_heads\n"
        "import keras, numpy as np, sys\n"
        "rows = np.arange(8)\n"
        "head = Head('one', rows[2:], rows[:2], width=4, dropout=0.5, learning_rates=np.array([1e-3]), seed=1)\n"
        "fit_heads([head], np.ones((2, 8, 5), np.float16), rows % 2, batch_size=4)\n"
        "print(keras.backend.backend() in sys.modules)"
    )
    result = run(tmp_path, program)
    assert (result.stdout, result.stderr) == ("True\n", "")
