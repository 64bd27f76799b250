"""An ensemble of small networks as one Keras model: slabs in, probability out, in one forward pass and one file."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from datspect.arrays import FloatArray
from datspect.imaging.slabs import SLABS_SHAPE
from datspect.modeling.heads import FittedHead, build_head
from datspect.modeling.striatal_layout import N_READING, NAMES, Size
from datspect.modeling.striatal_network import readings


@keras.saving.register_keras_serializable(package="datspect")
class Readings(keras.layers.Layer):
    """The readings of all members side by side, shape (n, members x 2 units), of slabs, shape (n, 28, 24, 4)."""

    def __init__(self, maps: int, units: int, members: int, **options: Any) -> None:
        super().__init__(**({"dtype": "float32"} | options))
        self._config = {"maps": maps, "units": units, "members": members}
        shapes = Size(maps, units).shapes[:N_READING]
        self._members = [
            [
                self.add_weight(name=f"member{number}_{name}", shape=shape, initializer="zeros")
                for name, shape in zip(NAMES, shapes, strict=False)
            ]
            for number in range(1, members + 1)
        ]
        self.add_weight(name="biases", shape=(members,), initializer="zeros")  # of each one's own decision: a record
        self.built = True

    def call(self, views: Any) -> Any:
        """Return the readings."""
        return ops.concatenate([readings(list(weights), views) for weights in self._members], axis=-1)

    def compute_output_shape(self, views_shape: Any) -> tuple[Any, int]:
        """Return (n, members x 2 units)."""
        return views_shape[0], 2 * self._config["units"] * self._config["members"]

    def get_config(self) -> dict[str, Any]:
        """Return what the layer is made from."""
        config: dict[str, Any] = super().get_config()
        return config | self._config


def build_ensemble(fitted: FittedHead, dropout: float) -> keras.Model:
    """Return a model from slabs, shape (N, 28, 24, 4), to probabilities of PD, shape (N, 1), for a fitted ensemble."""
    members: Sequence[Sequence[FloatArray]] = list(fitted.layers.values())
    units, maps = len(members[0][NAMES.index("units_bias")]), len(members[0][NAMES.index("conv1_bias")])
    views = keras.Input(SLABS_SHAPE, name="slabs")
    layer = Readings(maps, units, len(members), name="features")
    outputs = build_head(fitted.weights, dropout)(layer(views))
    biases = np.array([weights[NAMES.index("out_bias")] for weights in members], np.float32)
    layer.set_weights([*(np.asarray(weight) for weights in members for weight in weights[:N_READING]), biases])
    return keras.Model(views, outputs, name="datspect")
