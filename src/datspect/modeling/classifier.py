"""The whole classifier, backbone and head in one model: image in, probability out."""

import keras

from datspect.modeling.heads import HeadWeights, build_head


def build_classifier(backbone: keras.Model, weights: HeadWeights, dropout: float) -> keras.Model:
    """An image in [0, 1], shape (N, H, W, 3), to the probability of PD, shape (N, 1); built-in layers only."""
    head = build_head(weights, dropout)
    return keras.Model(backbone.input, head(backbone.output), name="datspect")
