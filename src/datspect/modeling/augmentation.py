"""Apply drawn augmentations to a batch of images, in `keras.ops`, for the bank and for fine-tuning alike."""

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from datspect.imaging.augmentation import Augmentations


@keras.saving.register_keras_serializable(package="datspect")
class Augment(keras.layers.Layer):
    """Shift, flip left to right and scale the brightness of each image by its own parameters.

    The layer takes images, shape (N, rows, columns, channels), in [0, 1], and parameters, shape (N, 4), as from
    `augmentation_parameters`. Shifts are bilinear, the nearest pixel fills what comes in at the border, and the result
    is clipped to [0, 1]. Parameters of no change return the image as it is.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**({"dtype": "float32"} | options))

    def call(self, images: Any, parameters: Any) -> Any:
        """Return the augmented images, of the shape of `images`; `parameters`: shape (N, 4)."""
        shift_rows, shift_columns, flip, brightness = (parameters[:, k] for k in range(4))
        rows, columns = images.shape[1], images.shape[2]
        from_rows = _shift_matrices(shift_rows, rows)
        from_columns = _shift_matrices(shift_columns, columns)
        from_columns = ops.where(flip[:, None, None] > 0.5, ops.flip(from_columns, axis=1), from_columns)
        shifted = ops.einsum("nij,njwc->niwc", from_rows, images)
        shifted = ops.einsum("nvw,nhwc->nhvc", from_columns, shifted)
        return ops.clip(shifted * brightness[:, None, None, None], 0.0, 1.0)


def augmentation_parameters(augmentations: Augmentations) -> NDArray[np.float32]:
    """Return augmentations of shape (...) as the layer takes them, shape (..., 4), float32.

    The last axis holds the shift of rows and of columns (pixels), flip (0 or 1) and brightness (a factor).
    """
    a = augmentations
    return np.stack([a.shift_rows, a.shift_columns, a.flip.astype(np.float32), a.brightness], axis=-1)


def no_change(n_images: int) -> NDArray[np.float32]:
    """Return parameters, shape (N, 4), that leave images as they are.

    >>> no_change(1)
    array([[0., 0., 0., 1.]], dtype=float32)
    """
    return np.tile(np.array([0, 0, 0, 1], np.float32), (n_images, 1))


def _shift_matrices(shifts: Any, size: int) -> Any:
    """Return for each image, shape (N, size, size), the share of each source pixel (last axis) in each new pixel.

    The share is 1 - |distance| below distance 1 (linear interpolation); clipping the source repeats the border.
    """
    positions = ops.arange(size, dtype="float32")
    sources = ops.clip(positions[None, :] - shifts[:, None], 0.0, size - 1.0)
    return ops.relu(1.0 - ops.abs(sources[:, :, None] - positions[None, None, :]))
