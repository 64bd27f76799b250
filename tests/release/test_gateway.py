"""What stands before the scoring server: honest requests pass untouched, hostile ones are refused at once, in short."""

import asyncio
import base64
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datspect.release import gateway as module
from datspect.release.gateway import Gateway
from datspect.release.request_body import MAX_BODY_BYTES, MAX_SCANS, BodyReader, RefusedError, check_request

SCAN = base64.b64encode(bytes(range(256)) * 20).decode()
JSON = {"content-type": "application/json", "host": "127.0.0.1:5001"}


class Behind:
    """Stands for MLflow's server: keeps what came, and gives a ready answer."""

    def __init__(self, status: int = 200, said: bytes = b'{"predictions": []}') -> None:
        self.status, self.said = status, said
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.bodies.append((await receive())["body"] if scope["method"] == "POST" else b"")
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        half = len(self.said) // 2
        await send({"type": "http.response.body", "body": self.said[:half], "more_body": True})
        await send({"type": "http.response.body", "body": self.said[half:]})


def asked(
    behind: Behind,
    body: bytes = b"",
    *,
    method: str = "POST",
    path: str = "/invocations",
    headers: dict[str, str] = JSON,
    piece: int = 1 << 16,
    gateway: Gateway | None = None,
) -> tuple[int, bytes]:
    pieces = [body[start : start + piece] for start in range(0, len(body), piece)] or [b""]
    messages = [{"type": "http.request", "body": each, "more_body": True} for each in pieces]
    messages[-1]["more_body"] = False
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run((gateway or Gateway(behind))(scope, receive, send))
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


def request(n: int = 2, **more: Any) -> bytes:
    return json.dumps({"dataframe_records": [{"scan_id": f"S{k}", "nifti": SCAN} for k in range(n)], **more}).encode()


SPLIT = {"dataframe_split": {"columns": ["nifti", "scan_id"], "data": [[SCAN, "S1"], [SCAN, 'a "quoted\\" id']]}}


@pytest.mark.parametrize("piece", [1, 7, 1 << 16])
@pytest.mark.parametrize("body", [request(), request(params={"prevalence": 0.1}), json.dumps(SPLIT).encode()])
def test_an_honest_request_passes_byte_for_byte_however_it_is_cut(body: bytes, piece: int) -> None:
    behind = Behind()
    assert asked(behind, body, piece=piece) == (200, b'{"predictions": []}')
    assert behind.bodies == [body]


def test_as_many_scans_as_are_promised_pass() -> None:
    scan = base64.b64encode(bytes(91 * 109 * 91 * 4)).decode()  # 32-bit numbers, not packed
    body = json.dumps({"dataframe_records": [{"nifti": scan}] * MAX_SCANS}).encode()
    assert len(body) < MAX_BODY_BYTES
    started = time.monotonic()
    assert asked(Behind(), body)[0] == 200
    assert time.monotonic() - started < 20


DEEP = b'{"dataframe_records": ' + b"[" * 5000 + b"]" * 5000 + b"}"
HOSTILE = {
    "deep": (DEEP, 400),
    "deep objects": (b'{"a":' * 5000 + b"1" + b"}" * 5000, 400),
    "a huge integer": (b'{"dataframe_records": [{"nifti": ' + b"9" * 5000 + b"}]}", 400),
    "many small numbers": (b'{"dataframe_records": [' + b"1," * (20 << 20) + b"1]}", 400),
    "many small strings": (b'{"dataframe_records": [' + b'"a",' * (5 << 20) + b'"a"]}', 400),
    "escapes": (b'{"dataframe_records": [{"nifti": "' + b'\\"' * (20 << 20) + b'"}]}', 400),
    "no JSON": (b"x" * (40 << 20), 400),
    "no text": (b"\xff\xfe" * 1000, 400),
    "a long scan_id": (json.dumps({"dataframe_records": [{"nifti": "", "scan_id": "x" * (5 << 20)}]}).encode(), 400),
    "too many scans": (json.dumps({"dataframe_records": [{"nifti": ""}] * (MAX_SCANS + 1)}).encode(), 400),
    "numbers as scans": (b'{"dataframe_records": [{"nifti": 5}]}', 400),
    "another column": (b'{"dataframe_records": [{"nifti": "", "path": "/etc/passwd"}]}', 400),
    "other forms": (b'{"instances": [1, 2]}', 400),
    "two forms": (json.dumps({**SPLIT, "dataframe_records": []}).encode(), 400),
    "ragged": (b'{"dataframe_split": {"columns": ["nifti"], "data": [["a", "b"]]}}', 400),
    "text as params": (request(params="x"), 400),
    "no records": (b'{"dataframe_records": []}', 400),
    "a list": (b"[]", 400),
    "nothing": (b"", 400),
    "cut short": (request()[:-3], 400),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_body_is_refused_within_a_second_and_never_reaches_the_server(kind: str) -> None:
    body, status = HOSTILE[kind]
    behind = Behind()
    started = time.process_time()
    found, said = asked(behind, body)
    assert time.process_time() - started < 1
    assert (found, behind.bodies) == (status, [])
    assert len(said) < 800
    assert set(json.loads(said)) == {"error_code", "message"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "127.0.0.1"}, 415),
        ({"host": "127.0.0.1", "content-type": "text/csv"}, 415),
        (JSON | {"content-encoding": "gzip"}, 415),
        (JSON | {"content-length": "9" * 12}, 413),
        (JSON | {"content-length": "-1"}, 400),
        (JSON | {"content-length": "9" * 5000}, 400),
        (JSON | {"host": "evil.example"}, 403),
        (JSON | {"host": "127.0.0.1.evil.example:5001"}, 403),
        ({"content-type": "application/json"}, 403),
        (JSON | {"origin": "http://evil.example"}, 403),
        (JSON | {"origin": "null"}, 403),
    ],
)
def test_who_asks_otherwise_is_refused(headers: dict[str, str], status: int) -> None:
    behind = Behind()
    assert asked(behind, request(), headers=headers)[0] == status
    assert behind.bodies == []


@pytest.mark.parametrize("host", ["localhost:5001", "LOCALHOST", "[::1]:5001", "127.0.0.1"])
def test_this_machine_may_ask_under_any_of_its_own_names(host: str) -> None:
    assert asked(Behind(), request(), headers=JSON | {"host": host, "origin": f"http://{host}"})[0] == 200


def test_another_name_may_ask_if_it_was_named() -> None:
    behind = Behind()
    headers = JSON | {"host": "ward.example:80"}
    assert asked(behind, request(), headers=headers, gateway=Gateway(behind, {"ward.example"}))[0] == 200


@pytest.mark.parametrize(("method", "path"), [("GET", "/docs"), ("GET", "/openapi.json"), ("GET", "/"), ("POST", "/x")])
def test_nothing_else_is_open(method: str, path: str) -> None:
    assert asked(Behind(), method=method, path=path)[0] == 404


def test_health_is_answered_and_takes_no_body() -> None:
    assert asked(Behind(), method="GET", path="/ping")[0] == 200
    assert asked(Behind(), method="POST", path="/ping")[0] == 405
    assert asked(Behind(), method="GET")[0] == 405


def test_an_error_of_the_server_behind_is_short() -> None:
    said = json.dumps({"error_code": "BAD_REQUEST", "message": "scan S1: " + "x" * (40 << 20)}).encode()
    status, body = asked(Behind(400, said), request())
    assert status == 400
    assert len(body) < 800
    short = json.dumps({"error_code": "BAD_REQUEST", "message": "scan S1: not a scan"}).encode()
    assert json.loads(asked(Behind(400, short), request())[1])["message"] == "scan S1: not a scan"


def test_what_is_read_at_once_has_a_bound_and_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES_AT_ONCE", 3 * len(request()) // 2)
    behind = Behind()
    gateway = Gateway(behind)
    for _ in range(5):
        assert asked(behind, request(), gateway=gateway)[0] == 200
    assert asked(behind, request(4), gateway=gateway)[0] == 429
    assert asked(behind, request(), gateway=gateway)[0] == 200


def test_who_stops_sending_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.05)
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.sleep(60)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(name.encode(), value.encode()) for name, value in JSON.items()]
    scope = {"type": "http", "method": "POST", "path": "/invocations", "headers": headers}
    asyncio.run(Gateway(Behind())(scope, receive, send))
    assert sent[0]["status"] == 408


def refused_with(body: bytes, piece: int) -> int | None:
    """Return the status with which a body is refused; None if it passes."""
    reader = BodyReader()
    try:
        for start in range(0, len(body), piece):
            reader.feed(body[start : start + piece])
        reader.feed(b"", last=True)
        check_request(body)
    except RefusedError as refused:
        return refused.status
    return None


@given(st.binary(max_size=300), st.integers(1, 20))
def test_no_body_is_more_than_refused(body: bytes, piece: int) -> None:
    assert refused_with(body, piece) == 400


NAMES = st.sampled_from(["nifti", "scan_id", "columns", "data", "x"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner),
)


@given(st.dictionaries(st.sampled_from(["dataframe_records", "dataframe_split", "params", "x"]), VALUES))
def test_no_json_is_more_than_refused(request_of: Any) -> None:
    assert refused_with(json.dumps(request_of).encode(), 1000) in (None, 400)
