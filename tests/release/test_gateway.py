"""What stands before the scoring server: honest requests pass untouched, hostile ones are refused at once, in short."""

import asyncio
import base64
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.models import Model
from tests.prediction.made_up_predictor import write_striatal_predictor
from tests.tracking.servers import free_port

from datspect.release import gateway as module
from datspect.release.gateway import Gateway
from datspect.release.request_body import MAX_BODY_BYTES, MAX_SCANS, BodyReader, RefusedError, check_request
from datspect.release.serving import write_served_model

SCAN = base64.b64encode((348).to_bytes(4, "little") + bytes(range(256)) * 20).decode()
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
    header = (348).to_bytes(4, "little") + bytes(348)
    scan = base64.b64encode(header + bytes(91 * 109 * 91 * 4)).decode()  # 32-bit numbers, not packed
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
    "a long scan_id": (json.dumps({"dataframe_records": [{"nifti": SCAN, "scan_id": "x" * (5 << 20)}]}).encode(), 400),
    "too many scans": (json.dumps({"dataframe_records": [{"nifti": SCAN}] * (MAX_SCANS + 1)}).encode(), 400),
    "no scans": (json.dumps({"dataframe_records": [{"nifti": "bm8g" * (1 << 20)}] * 64}).encode(), 400),
    "a file too large": (b'{"dataframe_records": [{"nifti": "' + b"A" * (45 << 20) + b'"}]}', 413),
    "no base64": (b'{"dataframe_records": [{"nifti": "%%%%%%%%"}]}', 400),
    "numbers as scans": (b'{"dataframe_records": [{"nifti": 5}]}', 400),
    "another column": (json.dumps({"dataframe_records": [{"nifti": SCAN, "path": "/etc/passwd"}]}).encode(), 400),
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


@pytest.mark.parametrize(
    ("headers", "n_read", "closes"),
    [
        (JSON | {"content-length": "99"}, 5, False),  # clients hear no answer before they have sent all
        (JSON | {"content-length": "99", "content-type": "text/csv"}, 5, False),
        (JSON | {"transfer-encoding": "chunked"}, 1, True),
        (JSON | {"content-length": "9" * 12}, 0, True),
        (JSON | {"content-length": "9" * 5000}, 0, True),
    ],
)
def test_a_refused_body_is_passed_over_where_it_has_an_end_and_cut_off_where_it_has_none(
    headers: dict[str, str], n_read: int, closes: bool
) -> None:
    pieces = [{"type": "http.request", "body": b"[[[[[[[[[[", "more_body": more} for more in (True,) * 4 + (False,)]
    sent: list[Any] = []

    async def receive() -> Any:
        return pieces.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    listed = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/invocations", "headers": listed}
    asyncio.run(Gateway(Behind())(scope, receive, send))
    assert 400 <= sent[0]["status"] < 500
    assert 5 - len(pieces) == n_read
    assert ((b"connection", b"close") in sent[0]["headers"]) == closes


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


def test_scans_that_are_answered_at_once_have_a_bound_and_others_may_come_once_these_are() -> None:
    """As many as two of the largest requests hold; MLflow's server is asked for no more."""
    entered, ended, statuses = asyncio.Semaphore(0), asyncio.Event(), []

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        entered.release()
        await ended.wait()
        await Behind()(scope, receive, send)

    gateway = Gateway(behind)

    async def ask(n: int) -> None:
        async def receive() -> Any:
            return {"type": "http.request", "body": request(n), "more_body": False}

        async def send(message: Any) -> None:
            statuses.extend([message["status"]] if "status" in message else [])

        headers = [(name.encode(), value.encode()) for name, value in JSON.items()]
        await gateway({"type": "http", "method": "POST", "path": "/invocations", "headers": headers}, receive, send)

    async def all_ask() -> None:
        first = [asyncio.create_task(ask(MAX_SCANS)) for _ in range(2)]
        await entered.acquire()
        await entered.acquire()
        await ask(1)
        assert statuses == [429]
        ended.set()
        await asyncio.gather(*first)
        await ask(MAX_SCANS)

    asyncio.run(all_ask())
    assert statuses == [429, 200, 200, 200]


def test_requests_that_wait_for_their_scans_keep_no_other_waiting() -> None:
    """MLflow answers each request in a thread of the default pool, which by itself has six on two cores."""
    n = module.MAX_SCANS_AT_ONCE
    together = threading.Barrier(n)

    async def no_app(scope: Any, receive: Any, send: Any) -> None: ...

    async def answer_all() -> None:
        await Gateway(no_app)({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
        await asyncio.gather(*(asyncio.to_thread(together.wait, 20) for _ in range(n)))

    asyncio.run(answer_all())


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


def test_a_body_that_comes_too_slowly_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(module, "SLOWEST_PACE", len(request()))
    slow = [{"type": "http.request", "body": request()[place : place + 1], "more_body": True} for place in range(99)]
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.sleep(0.01)
        return slow.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(name.encode(), value.encode()) for name, value in JSON.items()]
    scope = {"type": "http", "method": "POST", "path": "/invocations", "headers": headers}
    asyncio.run(Gateway(Behind())(scope, receive, send))
    assert sent[0]["status"] == 408
    assert slow


def outlined(body: bytes, piece: int) -> bytes:
    reader = BodyReader()
    for start in range(0, len(body), piece):
        reader.feed(body[start : start + piece])
    return bytes(reader.outline)


@pytest.mark.parametrize("piece", [1, 7, 4096])
def test_the_outline_of_a_body_has_its_form_and_the_ends_of_no_long_string(piece: int) -> None:
    records = [{"scan_id": 'a "quoted\\" \u00e9 id', "nifti": "H4sI" + "A" * 9000}, {"nifti": "XAEA\n" * 900}]
    found = json.loads(outlined(json.dumps({"dataframe_records": records}).encode(), piece))["dataframe_records"]
    assert found[0]["scan_id"] == records[0]["scan_id"]
    assert found[0]["nifti"].startswith("H4sI")
    assert [200 < len(record["nifti"]) < 9000 for record in found] == [True, True]


@given(st.lists(st.text(max_size=300), max_size=5), st.integers(1, 50))
def test_the_outline_of_a_short_body_is_the_body(value: Any, piece: int) -> None:
    body = json.dumps(value).encode()
    assert outlined(body, piece) == body


def refused_with(body: bytes, piece: int) -> int | None:
    """Return the status with which a body is refused; None if it passes."""
    reader = BodyReader()
    try:
        for start in range(0, len(body), piece):
            reader.feed(body[start : start + piece])
        reader.feed(b"", last=True)
        check_request(reader.outline)
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


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Address of the program on a version of the striatum, and a file that the version's own code writes."""
    folder = tmp_path_factory.mktemp("served")
    write_striatal_predictor(folder / "predictor")
    write_served_model(folder / "model", folder / "predictor", mlflow_model=Model())
    marker, code = folder / "marker", folder / "model/code/datspect/__init__.py"
    code.write_text(f"{code.read_text('utf-8')}\nopen({str(marker)!r}, 'w').close()\n", encoding="utf-8")
    port = free_port()
    command = [sys.executable, "-m", "datspect.release.scoring_app", str(folder / "model"), str(port)]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 120
    while over_http(f"{address}/ping") != 200:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.2)
    yield address, marker
    process.terminate()
    process.communicate(timeout=30)


def over_http(url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> int:
    """Return the status of an answer; 0 without one."""
    try:
        with urlopen(Request(url, body, headers or {}), timeout=60) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code
    except URLError:
        return 0


@pytest.mark.slow
def test_the_program_answers_scans_with_the_versions_own_code_and_nothing_else(
    server: tuple[str, Path], tiny_cohort: Path
) -> None:
    address, marker = server
    scan = base64.b64encode((tiny_cohort / "volumes/S00.nii").read_bytes()).decode()
    body = json.dumps({"dataframe_records": [{"nifti": scan}]}).encode()
    json_type = {"Content-Type": "application/json"}
    assert over_http(f"{address}/invocations", body, json_type) == 200
    assert marker.is_file()
    assert over_http(f"{address}/docs") == 404
    assert over_http(f"{address}/invocations", body, {"Content-Type": "application/octet-stream"}) == 415
    assert over_http(f"{address}/invocations", body, json_type | {"Host": "evil.example"}) == 403
    for hostile, status in HOSTILE.values():
        assert over_http(f"{address}/invocations", hostile, json_type) == status
    bad = json.dumps({"dataframe_records": [{"nifti": "bm8gc2Nhbg=="}, {"nifti": "%"}]}).encode()
    assert over_http(f"{address}/invocations", bad, json_type) == 400
    assert over_http(f"{address}/invocations", body, json_type) == 200
