"""TensorFlow's notices, kept from the user while TensorFlow is loaded.

TensorFlow 2.21 writes some of them to file descriptor 2 before it looks at TF_CPP_MIN_LOG_LEVEL, so that no setting
stops them. Run as a program, this module passes its standard input on to standard error without them.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

NOTICE = re.compile(rb"WARNING: All log messages before absl::InitializeLog\(\) |I\d{4} [\d:.]+ +\d+ \S+:\d+\] ")
"""The beginning of a line that is not for the user: absl's heading, and messages of its lowest level."""

_SECONDS_TO_END = 5


def quiet_tensorflow() -> None:
    """Let TensorFlow say warnings and errors only when it is imported later, and no notices.

    A TF_CPP_MIN_LOG_LEVEL of the environment stays; 0 asks for every line.
    """
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1") != "0":
        sys.meta_path.insert(0, _QuietFinder())


class _QuietFinder:
    """Finds TensorFlow as Python does, loads it without notices, and leaves once it is loaded."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "tensorflow":
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return spec
        loader, load = spec.loader, spec.loader.exec_module

        def load_quietly(module: ModuleType) -> None:
            with without_notices():
                load(module)
            sys.meta_path.remove(self)
            del loader.exec_module  # the loader's own method is seen again

        loader.exec_module = load_quietly  # type: ignore[method-assign]
        return spec


@contextmanager
def without_notices() -> Iterator[None]:
    """Pass on all that this process writes to file descriptor 2, in its order, but for notices.

    By a process of its own: the last words of a program that crashes come through, and a library that writes much while
    it holds Python's lock does not wait for ever.
    """
    if sys.stderr is None:  # started without standard error
        yield
        return
    sys.stderr.flush()
    reading, writing = os.pipe()
    # In a session of its own it does not get Ctrl-C, which is the program's to answer.
    passing_on = subprocess.Popen(  # noqa: S603  (this file)
        [sys.executable, "-IS", __file__], stdin=reading, stdout=subprocess.DEVNULL, start_new_session=True
    )
    os.close(reading)
    before = os.dup(2)
    os.dup2(writing, 2)
    os.close(writing)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(before, 2)
        os.close(before)
        # A process that was started meanwhile may write to it for longer.
        with suppress(subprocess.TimeoutExpired):
            passing_on.wait(_SECONDS_TO_END)


def _pass_on() -> None:
    for line in sys.stdin.buffer:
        if not NOTICE.match(line):
            sys.stderr.buffer.write(line)
            sys.stderr.buffer.flush()


if __name__ == "__main__":
    _pass_on()
