"""Images and weights in few bytes: 8 bits a pixel without loss, weights rounded."""

import io
import lzma
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

STEPS_PER_SD = 32
"""A kernel's weights are rounded to this part of the standard deviation of their output channel.

InceptionV3's features move by 9 % of their root mean square (docs/gpu.md); more steps would not fit into the bundle.
"""

MOST_CODE = 2**15 - 1
"""Steps and sign take 16 bits."""

_FLAT = 4
"""Arrays of fewer axes (biases, batch normalisation) are few and stay float32."""

FloatArray = NDArray[np.floating[Any]]


class CompactError(Exception):
    """Something cannot be packed as it is; the message says what and why."""


def packed_images(images: FloatArray, effort: int) -> bytes:
    """Images in [0, 1], shape (N, rows, columns, channels), as 8-bit differences between neighbours, compressed.

    Raises
    ------
    CompactError : pixels that are no multiples of 1/255, which 8 bits would change.
    """
    pixels = np.rint(np.asarray(images, np.float64) * 255)
    if np.abs(pixels / 255 - images).max() > 1e-6:
        raise CompactError(
            "the images hold more than 8 bits: the bundle carries those of preprocess.intensity: image_max at their "
            "native size"
        )
    planes = np.ascontiguousarray(np.moveaxis(pixels.astype(np.uint8), -1, 1))  # (N, channel, rows, columns)
    for axis in (1, 2, 3):  # slices lie one above the other, so that channels are neighbours too
        planes = np.diff(planes, axis=axis, prepend=np.zeros_like(planes.take([0], axis)))
    return _compressed({"planes": planes}, effort)


def unpacked_images(content: bytes) -> NDArray[np.float32]:
    """The images of `packed_images`, float32."""
    planes = _decompressed(content)["planes"]
    for axis in (3, 2, 1):
        planes = np.cumsum(planes, axis=axis, dtype=np.uint8)
    return np.moveaxis(planes, 1, -1).astype(np.float32) / np.float32(255)


def packed_weights(arrays: Sequence[FloatArray], effort: int, steps_per_sd: int = STEPS_PER_SD) -> bytes:
    """Weights in order, kernels of convolutions rounded, compressed."""
    codes, steps = [], []
    for array in arrays:
        if array.ndim < _FLAT:
            continue
        # A depthwise kernel, (rows, columns, channels, 1), has its channels on the axis before the last.
        axes = (0, 1, 3) if array.shape[-1] == 1 else (0, 1, 2)
        step = _steps(array, axes, steps_per_sd)
        codes.append(np.rint(array / step).astype(np.int32).ravel())
        steps.append(step.ravel())
    code = np.concatenate(codes) if codes else np.zeros(0, np.int32)
    zigzag = np.where(code < 0, -2 * code - 1, 2 * code).astype("<u2")  # small numbers of either sign: high byte 0
    flat = [array.ravel() for array in arrays if array.ndim < _FLAT]
    contents = {
        "code_bytes": np.ascontiguousarray(zigzag.view(np.uint8).reshape(-1, 2).T),
        "steps": np.concatenate(steps).astype(np.float32) if steps else np.zeros(0, np.float32),
        "flat": np.concatenate(flat).astype(np.float32) if flat else np.zeros(0, np.float32),
    }
    return _compressed(contents, effort)


def unpacked_weights(content: bytes, shapes: Sequence[tuple[int, ...]]) -> list[NDArray[np.float32]]:
    """The weights of `packed_weights`; `shapes` are those of all arrays in order.

    Raises
    ------
    CompactError : they are weights of other shapes.
    """
    found = _decompressed(content)
    zigzag = np.ascontiguousarray(found["code_bytes"].T).view("<u2").ravel().astype(np.int32)
    code = np.where(zigzag % 2, -(zigzag + 1) // 2, zigzag // 2)
    sources = {"code": code, "steps": found["steps"], "flat": found["flat"]}
    taken = dict.fromkeys(sources, 0)

    def take(name: str, n: int) -> NDArray[Any]:
        taken[name] += n
        return sources[name][taken[name] - n : taken[name]]

    arrays = []
    for shape in shapes:
        size = int(np.prod(shape))
        if len(shape) < _FLAT:
            values = take("flat", size)
        else:
            by_channel = (1, 1, shape[2], 1) if shape[-1] == 1 else (1, 1, 1, shape[-1])
            n_steps = int(np.prod(by_channel))
            step, of_kernel = take("steps", n_steps), take("code", size)
            fits = len(step) == n_steps and len(of_kernel) == size
            values = of_kernel.reshape(shape) * step.reshape(by_channel) if fits else of_kernel
        if values.size != size:
            raise CompactError("the packed weights are those of another architecture: make the bundle anew")
        arrays.append(values.astype(np.float32).reshape(shape))
    if any(taken[name] != len(source) for name, source in sources.items()):
        raise CompactError("the packed weights are those of another architecture: make the bundle anew")
    return arrays


def _steps(array: FloatArray, axes: tuple[int, ...], steps_per_sd: int) -> NDArray[np.float32]:
    """A step a channel, so wide that its largest weight is at most `MOST_CODE` steps from 0."""
    sd = array.std(axis=axes, keepdims=True)
    largest = np.abs(array).max(axis=axes, keepdims=True)
    step = np.maximum(sd / steps_per_sd, largest / MOST_CODE)
    return np.where(step > 0, step, 1).astype(np.float32)


def _compressed(arrays: dict[str, NDArray[Any]], effort: int) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    # Without context bits: neighbouring bytes of rounded weights say nothing of each other.
    filters = [{"id": lzma.FILTER_LZMA2, "preset": effort, "lc": 0, "lp": 0, "pb": 0}]
    return lzma.compress(file.getvalue(), format=lzma.FORMAT_XZ, filters=filters)


def _decompressed(content: bytes) -> dict[str, NDArray[Any]]:
    with np.load(io.BytesIO(lzma.decompress(content)), allow_pickle=False) as file:
        return dict(file)
