import json

import pytest

from datspect.cohort.kind import CohortKind


@pytest.mark.parametrize("record", ["phantom", "", None, "unknown", 3])
def test_what_is_not_called_real_counts_as_a_phantom(record: object) -> None:
    kind = CohortKind.of(record)
    assert kind is CohortKind.PHANTOM
    assert all("PHANTOM" in text for text in (kind.caption, kind.short, kind.banner))


def test_real_scans_are_never_called_a_phantom() -> None:
    kind = CohortKind.of("real")
    assert kind is CohortKind.REAL
    assert not any("PHANTOM" in text for text in (kind.caption, kind.short, kind.banner))


def test_records_hold_the_kind_as_plain_text() -> None:
    assert json.dumps([CohortKind.PHANTOM, CohortKind.REAL]) == '["phantom", "real"]'
