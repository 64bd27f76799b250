"""The attack: its kinds are what they say, it sees what does not hold, and the server holds a short one."""

import gzip
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.normalisation.moved_heads import imaged, nifti_bytes, pose
from tests.prediction.made_up_predictor import write_striatal_predictor

import attack
from attack_parts import bodies, campaign, campaigns, files, native, requests, wire
from attack_parts.campaign import Load
from attack_parts.good import Good, Replies, known, same, warm_up
from attack_parts.kind import REFUSED, Kind
from attack_parts.server import Watch, served
from datspect.errors import ScanError
from datspect.io.scan_reading import read_nifti_bytes
from datspect.normalisation.placing import placed

NATIVE = imaged(pose((10, -7, 12), (45, -20, 35)))
ROOT = Path(__file__).parents[2]
KINDS = [*bodies.kinds(), *requests.kinds()]


def test_no_kind_takes_a_fault_of_the_server_for_holding() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS) > 30
    assert not [kind.name for kind in KINDS if any(status.startswith("5") for status in kind.holds)]


def test_every_campaign_has_its_tests() -> None:
    assert not [test for each in campaigns.CAMPAIGNS for test in each.tests if not (ROOT / test).exists()]


@pytest.mark.parametrize(
    ("last", "counts"),
    [
        ("3 passed in 2s", (3, 0)),
        ("1 failed, 2 passed, 1 error in 9s", (2, 2)),
        ("2 errors in 1s", (0, 2)),
        ("", (0, 0)),
    ],
)
def test_a_campaign_holds_if_all_tests_passed_and_there_were_some(last: str, counts: tuple[int, int]) -> None:
    assert campaigns._counts(f"..F\n{last}\n") == counts
    ended = campaigns.Ended(campaigns.CAMPAIGNS[0], *counts)
    assert ended.held == (last == "3 passed in 2s")
    table, places = campaigns.parts([ended], 2000)
    assert "2,000 inputs" in table
    assert ("NO" in table) != ended.held
    assert "`tests/fuzz`" in places


def test_a_bomb_is_small_and_unpacks_to_what_it_says(tmp_path: Path) -> None:
    header = bytes(range(88)) * 4
    for bomb in (files.bomb(header, 3), files.many_members(header, 3, 1)):
        assert len(bomb) < 30_000
        assert gzip.decompress(bomb) == header + bytes(3 << 20)
    assert gzip.decompress(gzip.decompress(files.bomb(header, 3, 2))) == header + bytes(3 << 20)


def test_every_lie_differs_from_the_scan_and_from_the_others() -> None:
    scan = bytes(files.HEADER_BYTES) + b"voxels"
    lies = list(files.lying_headers(scan))
    assert len({scan, *lies}) > 30


@pytest.fixture
def told() -> Iterator[Any]:
    """A server that says to each connection what it was told, and closes it."""
    with socket.create_server((wire.HOST, 0)) as listening:

        def tell(said: bytes) -> int:
            def answer() -> None:
                connection, _ = listening.accept()
                with connection:
                    connection.recv(1 << 20)
                    connection.sendall(said)

            threading.Thread(target=answer, daemon=True).start()
            return int(listening.getsockname()[1])

        yield tell


@pytest.mark.parametrize(
    ("said", "status"),
    [(b"HTTP/1.1 503 Busy\r\n\r\n", "503"), (b"", wire.CLOSED), (b"HTTP/1.1 400 Bad\r\nContent-Le", wire.CLOSED)],
)
def test_a_status_is_read_as_it_came(told: Any, said: bytes, status: str) -> None:
    assert wire.post(told(said), b"{}", seconds=5) == status


def test_the_body_of_an_answer_is_read_whole(told: Any) -> None:
    said = b"x" * 300_000
    port = told(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(said), said))
    assert wire.answer(port, wire.head("GET", "/ping", {}, port), b"", 5) == ("200", said)


def serving(**changes: Any) -> attack.Serving:
    found = {
        "before": Replies(Counter({"200": 30}), [0.1] * 30, 0),
        "replies": Replies(Counter({"200": 100}), [0.1] * 100, 0),
        "natives_before": Replies(Counter({"200": 4}), [2.0] * 4, 0),
        "natives": Replies(Counter({"200": 10}), [3.0] * 10, 0),
        "tried": [(Kind("a", lambda *_: []), Counter({"400": 3}))],
        "watch": SimpleNamespace(start_mb=300, peak_mb=900, end_mb=310),
        "n_ended": 0,
    }
    return attack.Serving(load=Load(60, 1, 2, 0.2), busy=0.5, **{**found, **changes})


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        ({}, 0),
        ({"replies": Replies(Counter({"200": 99, "429": 1}), [0.1] * 100, 0)}, 1),
        ({"replies": Replies(Counter({"200": 99, "503": 1}), [0.1] * 100, 0)}, 2),
        ({"replies": Replies(Counter({"200": 100}), [0.1] * 94 + [1.5] * 6, 0)}, 1),
        ({"replies": Replies(Counter({"200": 100}), [0.1] * 100, 1)}, 1),
        ({"tried": [(Kind("a", lambda *_: []), Counter({"400": 3, "500": 1}))]}, 1),
        ({"watch": SimpleNamespace(start_mb=300, peak_mb=9000, end_mb=9000)}, 2),
        ({"n_ended": 1}, 1),
        ({"natives": Replies(Counter({"200": 9, "504": 1}), [3.0] * 10, 0)}, 2),
        ({"natives": Replies(Counter({"200": 10}), [3.0] * 9 + [40.0], 0)}, 1),
        ({"natives": Replies(Counter({"200": 10}), [3.0] * 10, 2)}, 1),
    ],
)
def test_what_does_not_hold_is_told(changes: dict[str, Any], missed: int) -> None:
    assert sum(not goal.met for goal in attack.serving_goals(serving(**changes))) == missed
    text = "\n".join(attack.serving_parts(serving(**changes)))
    assert text.count("MISSED") == missed


def test_a_kind_that_was_never_tried_or_got_another_answer_does_not_hold() -> None:
    kind = Kind("a", lambda *_: [], REFUSED)
    assert [attack._holds((kind, Counter(found))) for found in ([], ["400"], ["400", "200"], ["closed"])] == [
        False, True, False, True,
    ]  # fmt: skip


def test_answers_are_compared_by_their_values() -> None:
    expected = {"prediction": "pd", "probability": 0.25, "inconclusive": False}
    assert same([expected | {"probability": 0.25 + 1e-9}], expected)
    assert not same([expected | {"probability": 0.26}], expected)
    assert not same([expected | {"prediction": "control"}], expected)
    assert not same([expected, expected], expected)


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b'{"message": "scan number 1: it was not brought to MNI space with confidence: too little"}', "400"),
        (b'{"message": "scan number 1: the head lies upside down, against what the header says"}', "400"),
        (b'{"message": "scan number 1: something"}', "400 without a reason"),
        (b'{"predictions": []}', "400 without a reason"),
        (b"[]", "400 without a reason"),
        (b"", "400 without a reason"),
    ],
)
def test_a_scan_that_is_none_must_be_refused_with_the_reason(said: bytes, status: str) -> None:
    assert native.said_why("400", said) == status


def test_a_scan_is_turned_upside_down_against_its_header(tmp_path: Path) -> None:
    path = tmp_path / "scan.nii"
    path.write_bytes(nifti_bytes(NATIVE))
    turned = read_nifti_bytes(native.upside_down(path))
    with pytest.raises(ScanError, match="upside down"):
        placed(turned)


@pytest.mark.long
def test_the_server_holds_a_short_attack(tiny_cohort: Path, tmp_path: Path) -> None:
    """A few turns of every kind that is not slow; how soon good requests are answered is not for a test to say."""
    write_striatal_predictor(tmp_path / "predictor")
    scans = sorted((tiny_cohort / "volumes").glob("*.nii"))[:2]
    (tmp_path / "native.nii").write_bytes(nifti_bytes(NATIVE))
    good: list[Good] = known(tmp_path / "predictor", scans)
    natives = known(tmp_path / "predictor", [tmp_path / "native.nii"], native.packed)
    assert [each.answer["placed"] for each in (*good, *natives)] == ["as it is", "as it is", "registered"]
    fast = [kind for kind in KINDS if not kind.is_slow]
    with served(tmp_path / "predictor", tmp_path) as (process, port):
        warm_up(port, good)
        with Watch(process) as watch:
            found = campaign.run(port, fast, good, natives, scans[0].read_bytes(), Load(20.0, 1.0, 4.0, 0.2))
        assert watch.n_ended == 0
    assert found.replies.n_wrong == found.natives.n_wrong == 0
    assert set(found.replies.statuses) == set(found.natives.statuses) == {"200"}
    assert {name: set(found.statuses[name]) - kind.holds for name, kind in ((k.name, k) for k in fast)} == {
        kind.name: set() for kind in fast
    }
    assert all(found.statuses.values())
