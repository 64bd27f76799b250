"""Set the number format that the network computes in."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import keras

from datspect.running.arithmetic import release_convolutions

Precision = Literal["float32", "bfloat16", "float16"]

MOST_ERROR = 0.1
"""Limit on the error of features in a lower precision, as `features.precision_error` measures it.

bfloat16 by AVX512-BF16 has an error of 0.04 on InceptionV3. With AMX, oneDNN's convolutions of stride 2 onto a row of
one pixel (the last reduction, on 109 x 91 images) return garbage that differs from pass to pass: 0.3.
"""


@contextmanager
def computing_in(precision: Precision) -> Iterator[None]:
    """Let models that are built inside compute in `precision`; weights stay float32; the policy is restored after.

    oneDNN computes bfloat16 with AVX-512 alone, so a process that asks for it leaves AVX2 before it computes anything.
    """
    if precision == "bfloat16":
        release_convolutions()
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32" if precision == "float32" else f"mixed_{precision}")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
