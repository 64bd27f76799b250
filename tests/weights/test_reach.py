import socket
import time

import pytest

from datspect.weights import reach
from datspect.weights.reach import out_of_reach


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.mark.usefixtures("weights_server")
def test_a_host_that_answers_is_within_reach_even_if_it_has_nothing_there(weights_address: str) -> None:
    assert out_of_reach(weights_address, 10) is None
    assert out_of_reach(f"{weights_address}nothing/here", 10) is None


def test_a_refused_connection_is_the_reason(refusing_address: str) -> None:
    assert "refused" in str(out_of_reach(f"http://{refusing_address}/", 10))


def test_a_proxy_without_a_way_out_is_the_reason(monkeypatch: pytest.MonkeyPatch, unwilling_proxy: str) -> None:
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("http_proxy", f"http://{unwilling_proxy}")
    monkeypatch.setenv("https_proxy", f"http://{unwilling_proxy}")
    assert out_of_reach("http://weights.example/", 10) == "status 502"
    assert "502" in str(out_of_reach("https://weights.example/", 10))


def test_a_silent_host_costs_the_seconds_that_are_given(silent_server: str) -> None:
    started = time.monotonic()
    assert out_of_reach(f"http://{silent_server}/", 0.5) in ("no answer within 0.5 s", "timed out")
    assert time.monotonic() - started < 5


def test_so_does_a_name_whose_lookup_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    def lookup(*_: object, **__: object) -> None:
        time.sleep(2)
        raise socket.gaierror("too late")

    monkeypatch.setattr(reach.urllib.request.socket, "getaddrinfo", lookup)
    assert out_of_reach("http://weights.example/", 0.2) == "no answer within 0.2 s"
