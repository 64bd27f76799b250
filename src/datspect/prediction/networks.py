"""Read the network of a predictor: what either kind gives, and the one place that chooses between them."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from datspect.arrays import BoolArray, FloatArray, IntArray
from datspect.imaging.slabs import slabs
from datspect.io.arrays import read_array
from datspect.params.striatum import Model
from datspect.prediction.files import MODEL_NAME

BATCH_SIZE = 64
"""Scans that a network is given at once."""
GRADIENTS_AT_ONCE = 16
"""Gradients that a network is asked for at once."""


class Outputs(NamedTuple):
    """What a network says of N scans.

    features : shape (N, F)
    probabilities : of PD, float32, shape (N,)
    spread : how far the members of an ensemble differ in log odds, their sd, shape (N,); None for a single network
    """

    features: FloatArray
    probabilities: FloatArray
    spread: FloatArray | None = None


class Differentiable(Protocol):
    """What gives log odds and knows how they change with what it sees."""

    def log_odds(self, seen: FloatArray) -> FloatArray:
        """Return the log odds of PD, shape (N,), of what is seen, shape (N, ...)."""
        ...

    def gradient(self, seen: FloatArray) -> FloatArray:
        """Return the gradient of the log odds, of the shape of `seen`."""
        ...


class Network(Differentiable, Protocol):
    """A trained network from what it sees of N scans, shape (N, ...), to answers."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of what it sees of one scan."""
        ...

    def outputs(self, seen: FloatArray) -> Outputs:
        """Return features, probabilities and spread."""
        ...


def outputs_once(network: Network, seen: Sequence[NDArray[np.float32]]) -> Outputs:
    """Return what a network says of each of `seen`, all of one shape; of equal ones it is given one."""
    number: dict[bytes, int] = {}
    row_of = [number.setdefault(each.tobytes(), len(number)) for each in seen]
    features, probabilities, spread = network.outputs(np.stack([seen[row_of.index(n)] for n in range(len(number))]))
    return Outputs(features[row_of], probabilities[row_of], None if spread is None else spread[row_of])


def read_seen(images_folder: Path, model: Model, rows: IntArray | BoolArray) -> NDArray[np.float32]:
    """Read what a network sees of some scans, shape (n, ...), from what stage `preprocess` left; `rows` are theirs.

    Raises
    ------
    CohortError : the array is missing or unreadable.
    """
    if model == "striatum":
        boxes = read_array(images_folder / "striatal_box.npy", memory_mapped=True)
        return np.asarray(slabs(boxes[rows]).astype(np.float16), np.float32)  # rounded as in the bank
    return np.asarray(read_array(images_folder / "images.npy", memory_mapped=True)[rows])


def read_network(folder: Path, model: Model, *, stays: bool) -> Network:
    """Read the network in a predictor's folder; one that `stays`, in a server, compiles programs for few scans too.

    The striatum's is answered by NumPy: Keras and its backend, which take seconds to start, are for the paper's.

    Raises
    ------
    WeightsError : the file is missing, or holds another model.
    """
    if model == "striatum":
        from datspect.prediction.slab_network import SlabNetwork

        return SlabNetwork.read(folder / MODEL_NAME)
    from datspect.prediction.keras_network import KerasNetwork

    return KerasNetwork.read(folder / MODEL_NAME, stays=stays)
