"""Stage `backbone`: the weights of the frozen network, and where they came from."""

from dataclasses import asdict
from pathlib import Path

from datspect.io.records import write_json
from datspect.params.base import PARAMS_PATH, Sections, read_params
from datspect.params.network import BackboneParams
from datspect.params.striatum import Model
from datspect.running.launch import launch

_ANY_IMAGE_SHAPE = (109, 91)  # weights of a convolutional base do not depend on it
NO_BACKBONE = {"architecture": "none", "source": "none", "tensor_digest": "none", "why": "model: striatum"}
"""What is written where no backbone is needed."""


class Read(Sections):
    """The sections that the stage reads."""

    model: Model
    backbone: BackboneParams


def main(backbone_folder: Path, params_path: Path = PARAMS_PATH) -> None:
    """Fetch the weights and write them with their origin; a model without a backbone leaves a note alone."""
    read = read_params(Read, params_path)
    if read.model == "striatum":
        write_json(backbone_folder / "backbone.json", NO_BACKBONE)
        return
    # Here, so that no model without a backbone waits for Keras.
    from datspect.modeling.backbone import build_backbone
    from datspect.modeling.model_files import write_weights
    from datspect.weights.imagenet import set_weights

    params = read.backbone
    backbone = build_backbone(params.architecture, _ANY_IMAGE_SHAPE)
    origin = set_weights(backbone, params)
    write_weights(backbone_folder / "backbone.weights.h5", backbone)
    write_json(backbone_folder / "backbone.json", asdict(origin))


if __name__ == "__main__":
    launch(main, "backbone_folder")
