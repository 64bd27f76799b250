"""Join backbone and head into the whole classifier: image in, probability out."""

import keras

from datspect.modeling.heads import HeadWeights, build_head


def build_classifier(backbone: keras.Model, weights: HeadWeights, dropout: float) -> keras.Model:
    """Return a model from images in [0, 1], shape (N, H, W, 3), to probabilities of PD, shape (N, 1).

    It holds built-in layers only, so that a saved one loads in safe mode.
    """
    head = build_head(weights, dropout)
    return keras.Model(backbone.input, head(backbone.output), name="datspect")
