"""Which backend there is, and why a GPU is not seen."""

import json
import sys
from pathlib import Path

import pytest

from datspect.doctor import backend
from datspect.doctor.backend import Gpu, backend_check, gpu_check
from datspect.doctor.check import Place
from datspect.running.programs import TOO_SLOW, Said

CPU = {"tensorflow-cpu": "2.21.0"}
CUDA = {"tensorflow": "2.21.0", "nvidia-cudnn-cu12": "9.28"}
CARD = Gpu("NVIDIA H200", has_driver=True, has_card=True, has_device=True)
NOTHING = Gpu("", has_driver=False, has_card=False, has_device=False)


def loaded(name: str = "tensorflow") -> Said:
    return Said(0, f"noise\n{json.dumps({'backend': name, 'keras': '3.15.1', 'on_accelerator': False})}\n")


def test_a_backend_that_loads_is_named_with_its_release(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    check = backend_check(loaded(), CPU)
    assert check.outcome == "ok"
    assert check.finding == "tensorflow 2.21.0, Keras 3.15.1 (KERAS_BACKEND is not set)"


def test_one_that_does_not_load_is_a_problem_with_its_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    check = backend_check(Said(1, "", "Traceback\nModuleNotFoundError: No module named 'jax'"), CPU)
    assert check.outcome == "problem"
    assert "(KERAS_BACKEND=jax): ModuleNotFoundError: No module named 'jax'" in check.finding
    assert "make setup GROUP=jax" in check.remedy


def test_one_that_takes_too_long_is_no_verdict() -> None:
    assert backend_check(Said(TOO_SLOW, "", "no answer within 10 s"), CPU).outcome == "warning"


def test_a_backend_that_the_project_does_not_know_is_a_problem() -> None:
    assert backend_check(loaded("torch"), {"torch": "2"}).outcome == "problem"


def test_a_gpu_that_is_seen_is_named() -> None:
    check = gpu_check("tensorflow", True, CARD, CUDA, {})
    assert (check.outcome, check.finding) == ("ok", "tensorflow computes on NVIDIA H200")


def test_a_machine_without_one_is_fine() -> None:
    check = gpu_check("tensorflow", False, NOTHING, CPU, {})
    assert (check.outcome, check.finding) == ("ok", "none in this machine, and the CPU build is installed")


@pytest.mark.parametrize(
    ("gpu", "installed", "environment", "finding", "remedy"),
    [
        (CARD, CPU, {}, "the CPU build of tensorflow is installed", "make setup GROUP=gpu"),
        (CARD, CUDA, {"CUDA_VISIBLE_DEVICES": "-1"}, "hidden by CUDA_VISIBLE_DEVICES=-1", "unset it"),
        (CARD, CUDA, {"CUDA_VISIBLE_DEVICES": ""}, "hidden by CUDA_VISIBLE_DEVICES=", "unset it"),
        (Gpu("", False, True, False), CUDA, {}, "no NVIDIA driver", "install the driver"),
        (Gpu("A", True, True, False), CUDA, {}, "is given no device", "start the container with GPUs"),
        (CARD, CUDA, {}, "but tensorflow does not see it", "nvidia-smi"),
    ],
)
def test_why_it_is_not_seen_is_said_with_what_to_do(
    gpu: Gpu, installed: dict[str, str], environment: dict[str, str], finding: str, remedy: str
) -> None:
    check = gpu_check("tensorflow", False, gpu, installed, environment)
    assert check.outcome == "warning"
    assert finding in check.finding
    assert remedy in check.remedy


def test_what_the_backend_complained_of_is_passed_on() -> None:
    noise = "W0000 00:00:1 gpu_device.cc:40] Cannot dlopen some GPU libraries. Skipping registering GPU devices...\n"
    assert "Cannot dlopen some GPU libraries" in gpu_check("tensorflow", False, CARD, CUDA, {}, noise).finding


def test_a_backend_that_did_not_load_leaves_the_gpu_open() -> None:
    assert "nobody knows" in gpu_check("tensorflow", None, CARD, CUDA, {}).finding


def test_a_card_is_found_among_the_devices_of_the_bus(tmp_path: Path) -> None:
    for name, vendor, kind in (("0", "0x8086", "0x030000"), ("1", "0x10de", "0x040300"), ("2", "0x10de", "0x030200")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "vendor").write_text(f"{vendor}\n")
        (tmp_path / name / "class").write_text(f"{kind}\n")
    assert backend._has_card(tmp_path)
    (tmp_path / "2" / "vendor").write_text("0x1002\n")  # the other is the sound of a card
    assert not backend._has_card(tmp_path)


def test_a_probe_that_hangs_costs_the_limit_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(backend, "_PROBE", [sys.executable, "-c", "import time; time.sleep(60)"])
    loading, _ = backend.checks(Place(tmp_path, is_project=False, seconds=1.0))
    assert loading.outcome == "warning"


@pytest.mark.slow
def test_the_backend_of_this_environment_loads(tmp_path: Path) -> None:
    loading, gpu = backend.checks(Place(tmp_path, is_project=False, seconds=120.0))
    assert loading.outcome == "ok"
    assert gpu.name == "GPU"
