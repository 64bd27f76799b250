import logging
import threading
import warnings

import pytest

from datspect.errors import ScanError
from datspect.io.silence import faults_named, silent


def switches() -> tuple[list[object], int]:
    return list(warnings.filters), logging.getLogger("pydicom").level


def test_nothing_is_said_within_and_everything_after(caplog: pytest.LogCaptureFixture) -> None:
    before = switches()
    with silent():
        warnings.warn("DOE^JANE", stacklevel=1)  # a warning that comes through is an error in these tests
        logging.getLogger("pydicom").warning("DOE^JANE")
        logging.getLogger("nibabel.global").critical("DOE^JANE")
    assert not caplog.records
    assert switches() == before
    with pytest.warns(UserWarning, match="heard"):
        warnings.warn("heard", stacklevel=1)


def test_silence_lasts_until_the_last_thread_has_left() -> None:
    before = switches()
    entered, leave = threading.Event(), threading.Event()

    def stay() -> None:
        with silent():
            entered.set()
            leave.wait(10)

    other = threading.Thread(target=stay)
    with silent():
        other.start()
        entered.wait(10)
    warnings.warn("said by nobody while the other thread is within", stacklevel=1)
    leave.set()
    other.join()
    assert switches() == before


def test_an_error_within_ends_the_silence() -> None:
    before = switches()
    with pytest.raises(ValueError, match="spoilt"), silent():
        raise ValueError("spoilt")
    assert switches() == before


def test_a_fault_of_a_reader_is_named_by_its_type_and_not_quoted() -> None:
    before = switches()
    message = r"^not a readable tape file \(StopIteration\); rewind it$"
    with pytest.raises(ScanError, match=message), faults_named("tape", "rewind it", StopIteration):
        raise StopIteration("DOE^JANE")
    assert switches() == before
