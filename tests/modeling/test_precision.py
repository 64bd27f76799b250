import logging
import sys
from pathlib import Path

import keras
import pytest

from datspect.modeling.precision import choose_precision, choose_training_precision, computing_in


@pytest.fixture
def cpu_info(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "platform", "linux")
    return tmp_path / "cpuinfo"


@pytest.mark.parametrize(
    ("vendor", "flags", "expected"),
    [
        ("AuthenticAMD", "fma avx512_bf16 avx512f", "bfloat16"),
        ("GenuineIntel", "fma avx512_bf16 amx_bf16", "bfloat16"),
        ("GenuineIntel", "fma avx512_bf16", "float32"),  # slower than float32
        ("AuthenticAMD", "fma avx2 avx512f", "float32"),
        ("AuthenticAMD", "not_avx512_bf16", "float32"),
    ],
)
def test_auto_follows_the_processor(cpu_info: Path, vendor: str, flags: str, expected: str) -> None:
    core = f"processor : 0\nvendor_id : {vendor}\nflags : {flags}\n\n"
    cpu_info.write_text(core * 2, encoding="utf-8")
    assert choose_precision("auto", cpu_info) == expected


def test_auto_is_float32_where_nothing_is_known(cpu_info: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_precision("auto", cpu_info) == "float32"
    cpu_info.write_text("flags : amx_bf16", encoding="utf-8")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert choose_precision("auto", cpu_info) == "float32"


def test_a_named_precision_is_kept(cpu_info: Path) -> None:
    assert choose_precision("bfloat16", cpu_info) == "bfloat16"
    cpu_info.write_text("flags : amx_bf16", encoding="utf-8")
    assert choose_precision("float32", cpu_info) == "float32"


def test_the_reason_is_said(cpu_info: Path, caplog: pytest.LogCaptureFixture) -> None:
    cpu_info.write_text("flags : amx_bf16", encoding="utf-8")
    with caplog.at_level(logging.INFO, "datspect"):
        choose_precision("auto", cpu_info)
        choose_precision("float32", cpu_info)
    assert caplog.messages == [
        "precision: bfloat16, since the processor has amx_bf16",
        "precision: float32, as backbone.precision asks",
    ]


def test_the_policy_holds_inside_and_is_restored_after() -> None:
    before = keras.config.dtype_policy()
    with computing_in("bfloat16"):
        layer = keras.layers.Dense(1)
    assert layer.compute_dtype == "bfloat16"
    assert layer.variable_dtype == "float32"
    assert keras.config.dtype_policy() is before


def test_the_policy_is_restored_after_an_error() -> None:
    before = keras.config.dtype_policy()
    with pytest.raises(RuntimeError), computing_in("bfloat16"):
        raise RuntimeError
    assert keras.config.dtype_policy() is before


@pytest.mark.parametrize(
    ("wanted", "has_gpu", "expected"),
    [
        ("auto", True, "bfloat16"),
        ("auto", False, "float32"),
        ("float16", True, "float16"),
        ("bfloat16", False, "bfloat16"),
    ],
)
def test_fine_tuning_prefers_bfloat16_on_a_gpu_only(wanted: str, has_gpu: bool, expected: str) -> None:
    assert choose_training_precision(wanted, has_gpu=has_gpu)[0] == expected
