"""Choose the number format that the network computes in, and set it."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import keras

Precision = Literal["float32", "bfloat16", "float16"]

MOST_ERROR = 0.1
"""Limit on the error of features in a lower precision, as `features.precision_error` measures it.

bfloat16 by AVX512-BF16 has an error of 0.04 on InceptionV3. With AMX, oneDNN's convolutions of stride 2 onto a row of
one pixel (the last reduction, on 109 x 91 images) return garbage that differs from pass to pass: 0.3.
"""

_CPU_INFO = Path("/proc/cpuinfo")

log = logging.getLogger(__name__)


def choose_precision(wanted: Literal["auto", "float32", "bfloat16"], cpu_info: Path = _CPU_INFO) -> Precision:
    """Return the precision to compute in and log why; `auto` is bfloat16 where the processor is faster in it."""
    if wanted != "auto":
        log.info("precision: %s, as backbone.precision asks", wanted)
        return wanted
    precision, reason = _faster_precision(cpu_info)
    log.info("precision: %s, since %s", precision, reason)
    return precision


def choose_training_precision(
    wanted: Literal["auto", "float32", "bfloat16", "float16"], *, has_gpu: bool
) -> tuple[Precision, str]:
    """Return the precision to fine-tune in, and why; `auto` is bfloat16 on a GPU, else float32.

    On a processor bfloat16 is slower, or useless because its convolutions are wrong (`MOST_ERROR`).
    """
    if wanted != "auto":
        return wanted, "finetuning.precision asks for it"
    return ("bfloat16", "there is a GPU") if has_gpu else ("float32", "there is no GPU")


def _faster_precision(cpu_info: Path) -> tuple[Precision, str]:
    """Return the faster precision and why, by instruction set: a stopwatch would not choose the same every time.

    With AVX512-BF16 alone, InceptionV3 in bfloat16 was measured at 1.6 times the speed of float32 on an AMD Zen 4 and
    at 0.7 times on an Intel Xeon whose AMX is off.
    """
    if not sys.platform.startswith("linux") or not cpu_info.is_file():
        return "float32", "what the processor can do is not known"
    text = cpu_info.read_text(encoding="utf-8")
    words = set(text.split())
    if "amx_bf16" in words:
        return "bfloat16", "the processor has amx_bf16"
    if "avx512_bf16" in words and "AuthenticAMD" in words:
        return "bfloat16", "the processor is an AMD one with avx512_bf16"
    if "avx512_bf16" in words:
        return "float32", "the processor has avx512_bf16 but not amx_bf16, and is slower that way"
    return "float32", "the processor has neither amx_bf16 nor avx512_bf16"


@contextmanager
def computing_in(precision: Precision) -> Iterator[None]:
    """Let models that are built inside compute in `precision`; weights stay float32; the policy is restored after."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32" if precision == "float32" else f"mixed_{precision}")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
