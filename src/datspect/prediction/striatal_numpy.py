"""The trained ensemble on slabs in NumPy alone: its readings, its log odds and their gradient, without Keras.

The layers are those of `striatal_network`; tests hold the two to each other. Answers start in a second this way, and
the gradient of a network of ReLU units, means and larger or smaller values is a few lines more.
"""

import io
import itertools
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from datspect.errors import WeightsError
from datspect.imaging.slabs import N_PEAK, SLABS_SHAPE
from datspect.modeling.striatal_layout import (
    LEAST_PEAK,
    N_READING,
    PEAK_MIDDLE,
    PEAK_SPREAD,
    UPTAKE_MIDDLE,
    UPTAKE_SPREAD,
    Size,
)

Array = NDArray[np.float32]
Backward = Callable[[Array], Array]

_MIDDLE = SLABS_SHAPE[0] // 2
_ONE_AROUND = ((0, 0), (1, 1), (1, 1), (0, 0))


@dataclass(frozen=True, eq=False)
class Ensemble:
    """The weights of k members of D units, as `whole_ensemble.build_ensemble` saves them.

    members : of each member its first `N_READING` weights, in the order of `NAMES`
    biases : of each member's own decision, shape (k,)
    kernel, bias : of the head's hidden layer, shapes (2 k D, H) and (H,); readings are what goes in
    output_kernel, output_bias : of the decision, shapes (H,) and ()
    """

    members: list[list[Array]]
    biases: Array
    kernel: Array
    bias: Array
    output_kernel: Array
    output_bias: Array

    def readings(self, views: Array) -> Array:
        """Return the readings of all members side by side, shape (n, 2 k D), of slabs, shape (n, 28, 24, 4)."""
        channels = both_scales(views)
        return np.concatenate([_read(weights, channels)[0] for weights in self.members], axis=1)

    def log_odds(self, readings: Array) -> Array:
        """Return the log odds of pd, shape (n,), given readings, shape (n, 2 k D)."""
        hidden = np.maximum(readings @ self.kernel + self.bias, 0)
        return np.asarray(hidden @ self.output_kernel + self.output_bias)

    def member_log_odds(self, readings: Array) -> Array:
        """Return the log odds of each member by itself, shape (k, n), whose mean are those of the ensemble."""
        kernels = self.kernel @ self.output_kernel * len(self.members)
        parts = zip(*(np.split(each, len(self.members), axis=-1) for each in (readings, kernels)), strict=True)
        return np.stack([read @ kernel + bias for (read, kernel), bias in zip(parts, self.biases, strict=True)])

    def gradient(self, views: Array) -> Array:
        """Return the gradient of the log odds in the slabs, of the shape of `views`, (n, 28, 24, 4)."""
        channels, total = both_scales(views), np.zeros((*views.shape[:-1], 2 * SLABS_SHAPE[2]), np.float32)
        read, backwards = zip(*(_read(weights, channels) for weights in self.members), strict=True)
        open_units = np.concatenate(read, axis=1) @ self.kernel + self.bias > 0
        of_readings = (open_units * self.output_kernel) @ self.kernel.T
        for backward, part in zip(backwards, np.split(of_readings, len(self.members), axis=1), strict=True):
            total += backward(part)
        return _both_scales_backward(views, total)


def read_ensemble(path: Path) -> Ensemble:
    """Read the ensemble from the .keras file that Keras wrote: numbers alone, nothing in it is unpickled or run.

    Raises
    ------
    WeightsError : the file is missing, damaged, or of another model.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such file")
    try:
        with zipfile.ZipFile(path) as file:
            layers = {each["name"]: each["config"] for each in json.loads(file.read("config.json"))["config"]["layers"]}
            with h5py.File(io.BytesIO(file.read("model.weights.h5")), "r") as weights:
                return _ensemble(layers["features"], _arrays_by_layer(weights))
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{path}: no ensemble of networks on slabs ({type(error).__name__}: {error})") from error


def both_scales(views: Array) -> Array:
    """Return slabs in uptake units and over their own peak as channels: shape (n, 28, 24, 4) becomes (n, 28, 24, 8)."""
    own = views / np.maximum(_peaks(views)[0], np.float32(LEAST_PEAK))
    scaled = ((views - UPTAKE_MIDDLE) / UPTAKE_SPREAD, (own - PEAK_MIDDLE) / PEAK_SPREAD)
    return np.concatenate(scaled, axis=-1).astype(np.float32)


def _ensemble(config: Mapping[str, Any], arrays: Mapping[str, list[Array]]) -> Ensemble:
    """Return the weights in their places.

    Raises
    ------
    ValueError : a weight has another shape than the layer's configuration says.
    """
    size, n_members = Size(config["maps"], config["units"]), config["members"]
    readings, shapes = arrays["features"], size.shapes[:N_READING]
    (kernel, bias), (output_kernel, output_bias) = arrays["hidden"], arrays["probability"]
    n_read = 2 * size.units * n_members
    expected = [*shapes * n_members, (n_members,), (n_read, n_read), (n_read,), (n_read, 1), (1,)]
    found = [each.shape for each in (*readings, kernel, bias, output_kernel, output_bias)]
    if found != expected:
        raise ValueError(f"weights of shapes {found}, expected {expected}")
    members = [readings[start : start + N_READING] for start in range(0, N_READING * n_members, N_READING)]
    return Ensemble(members, readings[-1], kernel, bias, output_kernel[:, 0], output_bias[0])


def _arrays_by_layer(weights: Any) -> dict[str, list[Array]]:
    """Return the arrays of each layer, by its name, of a file of weights as Keras 3 writes it."""
    found: dict[str, list[Array]] = {}

    def visit(_: str, group: Any) -> None:
        if "name" in group.attrs:
            numbered = sorted(group, key=int)
            found[str(group.attrs["name"])] = [np.asarray(group[number], np.float32) for number in numbered]

    weights.visititems(visit)
    return found


def _peaks(views: Array) -> tuple[Array, NDArray[np.intp]]:
    """Return the peak of each scan, shape (n, 1, 1, 1), and which `N_PEAK` of its pixels it is the mean of."""
    flat = views.reshape(len(views), -1)
    highest = np.argpartition(flat, -N_PEAK, axis=1)[:, -N_PEAK:]
    return np.take_along_axis(flat, highest, 1).mean(axis=1)[:, None, None, None], highest


def _both_scales_backward(views: Array, of_channels: Array) -> Array:
    """Return the gradient in the slabs given that in their `both_scales`."""
    of_uptake, of_own = np.split(of_channels, 2, axis=-1)
    peak, highest = _peaks(views)
    of_own = np.asarray(of_own / PEAK_SPREAD / np.maximum(peak, LEAST_PEAK), np.float32)
    of_peak = -(of_own * views).sum(axis=(1, 2, 3)) / np.maximum(peak, LEAST_PEAK).ravel()
    shared = np.zeros((len(views), views[0].size), np.float32)
    np.put_along_axis(shared, highest, (np.where(peak.ravel() > LEAST_PEAK, of_peak, 0) / N_PEAK)[:, None], 1)
    return np.asarray(of_uptake / UPTAKE_SPREAD + of_own + shared.reshape(views.shape), np.float32)


def _read(weights: list[Array], channels: Array) -> tuple[Array, Backward]:
    """Return a member's readings, shape (n, 2 D), of channels, shape (n, 28, 24, 8), and the way back.

    Every layer gives its output and the function from the gradient in its output to that in its input.
    """
    conv1, bias1, conv2, bias2, conv3, bias3, dense, dense_bias = weights
    both = np.concatenate([channels[:, :_MIDDLE], channels[:, : _MIDDLE - 1 : -1]])  # from the side to the middle
    layers = (
        partial(_convolution, kernel=conv1, bias=bias1),
        partial(_average_pool, rows=2),  # (2 n, 7, 12, c)
        partial(_convolution, kernel=conv2, bias=bias2),
        partial(_convolution, kernel=conv3, bias=bias3),
        partial(_average_pool, rows=3),  # (2 n, 3, 6, 2 c)
        partial(_dense, kernel=dense, bias=dense_bias),
    )
    maps, ways_back = both, []
    for layer in layers:
        maps, way_back = layer(maps)
        ways_back.append(way_back)
    one, other = np.split(maps, 2)
    of_one = np.concatenate([one >= other, one < other], axis=1)  # whose value the larger and the smaller one is

    def backward(gradient: Array) -> Array:
        larger, smaller = np.split(gradient, 2, axis=1)
        is_larger, is_smaller = np.split(of_one, 2, axis=1)
        found = np.concatenate([np.where(is_larger, larger, smaller), np.where(is_smaller, larger, smaller)])
        for way_back in reversed(ways_back):
            found = way_back(found)
        left, right = np.split(found, 2)
        return np.concatenate([left, right[:, ::-1]], axis=1)

    return np.concatenate([np.maximum(one, other), np.minimum(one, other)], axis=1), backward


def _convolution(maps: Array, kernel: Array, bias: Array) -> tuple[Array, Backward]:
    found = np.maximum(_convolved(maps, kernel) + bias, 0)
    turned = kernel[::-1, ::-1].swapaxes(2, 3)
    return found, lambda gradient: _convolved(np.where(found > 0, gradient, 0), turned)


def _convolved(maps: Array, kernel: Array) -> Array:
    """Return what a kernel, shape (3, 3, c, d), makes of maps, shape (n, x, y, c); beyond the edge is 0."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(maps, _ONE_AROUND), (3, 3), axis=(1, 2))
    return np.tensordot(windows, kernel, axes=((4, 5, 3), (0, 1, 2)))


def _average_pool(maps: Array, rows: int) -> tuple[Array, Backward]:
    """Return means of `rows` x 2 pixels in steps of 2 x 2; windows that reach over the edge are left out."""
    n_x, n_y = (maps.shape[1] - rows) // 2 + 1, maps.shape[2] // 2
    places = [
        np.s_[:, i : i + 2 * n_x - 1 : 2, j : j + 2 * n_y - 1 : 2] for i, j in itertools.product(range(rows), range(2))
    ]

    def backward(gradient: Array) -> Array:
        found = np.zeros_like(maps)
        for place in places:
            found[place] += gradient / np.float32(len(places))
        return found

    return np.asarray(sum(maps[place] for place in places) / np.float32(len(places))), backward


def _dense(maps: Array, kernel: Array, bias: Array) -> tuple[Array, Backward]:
    found = np.maximum(maps.reshape(len(maps), -1) @ kernel + bias, 0)
    return found, lambda gradient: (np.where(found > 0, gradient, 0) @ kernel.T).reshape(maps.shape)
