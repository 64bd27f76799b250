"""Stage `features`: every image and every augmented one through the frozen network, once for everyone."""

import logging
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from datspect.errors import WeightsError
from datspect.imaging.augmentation import draw_augmentations
from datspect.io.arrays import read_array
from datspect.io.bank import write_bank
from datspect.io.models import read_weights
from datspect.io.tables import read_json, write_json
from datspect.launch import launch
from datspect.modeling.backbone import build_backbone, model_digest
from datspect.modeling.features import bank_blocks, build_extractor, n_bank_images
from datspect.modeling.precision import choose_precision, computing_in
from datspect.params import PARAMS_PATH, load_params
from datspect.progress import progress

log = logging.getLogger(__name__)


def main(images_path: Path, backbone_folder: Path, features_folder: Path, params_path: Path = PARAMS_PATH) -> None:
    """Compute the bank of features."""
    params = load_params(params_path)
    images = read_array(images_path, memory_mapped=True)
    origin = read_json(backbone_folder / "backbone.json")
    precision = choose_precision(params.backbone.precision)
    with computing_in(precision):
        backbone = build_backbone(origin["architecture"], images.shape[1:3])
    read_weights(backbone_folder / "backbone.weights.h5", backbone)
    if model_digest(backbone) != origin["tensor_digest"]:
        raise WeightsError(f"{backbone_folder}: the weights are not those of backbone.json; run stage backbone again")
    # A network that is fine-tuned makes its own features of draws; the clean ones serve checks and baselines.
    n_draws = params.augment.draws if params.backbone.frozen else 0
    ranges = params.augment.model_copy(update={"draws": n_draws})
    augmentations = draw_augmentations(ranges, len(images), images.shape[1:3])

    shape = (n_draws + 1, len(images), backbone.output_shape[-1])
    started = time.monotonic()
    blocks = _counted(bank_blocks(build_extractor(backbone), images, augmentations), n_bank_images(augmentations))
    write_bank(features_folder / "bank.npy", shape, blocks)
    seconds = time.monotonic() - started
    log.info("features: bank of shape %s in %.0f s, %.0f images/s", shape, seconds, shape[0] * shape[1] / seconds)
    record = {
        "architecture": origin["architecture"],
        "backbone_source": origin["source"],
        "backbone_tensor_digest": origin["tensor_digest"],
        "precision": precision,
        "draws": n_draws,
        "n_subjects": len(images),
        "n_features": shape[2],
    }
    write_json(features_folder / "features.json", record)


def _counted(blocks: Iterable[NDArray[np.float16]], n_images: int) -> Iterator[NDArray[np.float16]]:
    bar: tqdm[None] = progress(None, total=n_images, what="features", unit="images")
    with bar:
        for block in blocks:
            yield block
            bar.update(len(block))


if __name__ == "__main__":
    launch(main)
