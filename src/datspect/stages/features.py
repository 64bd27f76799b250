"""Stage `features`: what heads and small networks learn from, clean and altered, once for everyone.

Of the paper's model these are features, every image and every augmented one through the frozen network; of the
striatum's they are slabs, of every volume and of every altered one.
"""

import logging
import time
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from datspect.cohort.table import targets
from datspect.errors import CohortError, ParamsError, WeightsError
from datspect.imaging.augmentation import draw_augmentations
from datspect.imaging.slabs import SLABS_SHAPE, slabs
from datspect.imaging.volume_augmentation import altered_views, draw_alterations
from datspect.io.arrays import read_array, write_array
from datspect.io.records import read_json, write_json
from datspect.io.tables import read_table
from datspect.params.base import PARAMS_PATH, Sections, read_params
from datspect.params.network import AugmentParams, BackboneParams
from datspect.params.striatum import AlterParams, Model, StriatumParams
from datspect.running.launch import launch
from datspect.running.progress import progress
from datspect.training.bank import LOWERED, draw_digests, read_bank, write_bank

if TYPE_CHECKING:
    import keras

    from datspect.modeling.precision import Precision

# What needs Keras is imported where a network is: slabs do without.

_AT_ONCE = 64
"""So many boxes are cut into slabs at a time."""

log = logging.getLogger(__name__)


class Read(Sections):
    """The sections that the stage reads."""

    model: Model
    striatum: StriatumParams
    augment: AugmentParams
    backbone: BackboneParams


def main(images_folder: Path, backbone_folder: Path, features_folder: Path, params_path: Path = PARAMS_PATH) -> None:
    """Compute the bank of the model in use."""
    params = read_params(Read, params_path)
    match params.model:
        case "paper":
            _write_features(images_folder / "images.npy", backbone_folder, features_folder, params)
        case "striatum":
            _write_slabs(images_folder, features_folder, params.striatum.alter)


def _write_slabs(images_folder: Path, folder: Path, params: AlterParams) -> None:
    boxes = read_array(images_folder / "striatal_box.npy", memory_mapped=True)
    labels = read_table(images_folder / "subjects.csv", ["label"])["label"]
    if len(boxes) != len(labels):
        raise CohortError(f"{images_folder}: {len(boxes)} striatal boxes of {len(labels)} subjects; run dvc repro")
    alterations = draw_alterations(params, targets(labels) == 0)
    shape = (params.draws + 1, len(boxes), int(np.prod(SLABS_SHAPE)))
    clean = (slabs(boxes[start : start + _AT_ONCE]) for start in range(0, len(boxes), _AT_ONCE))
    views = chain(clean, altered_views(boxes, alterations, params, _AT_ONCE))
    started = time.monotonic()
    blocks = (block.astype(np.float16) for block in views)
    write_bank(folder / "bank.npy", shape, _counted(blocks, shape[0] * shape[1]))
    write_array(folder / LOWERED, alterations.lowered)
    log.info("features: bank of slabs of shape %s in %.0f s", shape, time.monotonic() - started)
    record = {
        "architecture": "striatum",
        "backbone_source": "none",
        "backbone_tensor_digest": "none",
        "precision": "float32",
        "draws": params.draws,
        "n_subjects": len(boxes),
        "n_features": shape[2],
        "alter": params.model_dump(mode="json"),
        "sha256_by_draw": draw_digests(read_bank(folder / "bank.npy", memory_mapped=True)),
    }
    write_json(folder / "features.json", record)


def _write_features(images_path: Path, backbone_folder: Path, features_folder: Path, params: Read) -> None:
    from datspect.modeling.features import bank_blocks, n_bank_images

    images = read_array(images_path, memory_mapped=True)
    origin = read_json(backbone_folder / "backbone.json")
    precision = params.backbone.precision
    extractor = _extractor(backbone_folder, images, precision)
    # A network that is fine-tuned makes its own features of draws; the clean ones serve checks and baselines.
    n_draws = params.augment.draws if params.backbone.frozen else 0
    ranges = params.augment.model_copy(update={"draws": n_draws})
    augmentations = draw_augmentations(ranges, len(images), images.shape[1:3])

    shape = (n_draws + 1, len(images), extractor.output_shape[-1])
    started = time.monotonic()
    blocks = _counted(bank_blocks(extractor, images, augmentations), n_bank_images(augmentations))
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
        "sha256_by_draw": draw_digests(read_bank(features_folder / "bank.npy", memory_mapped=True)),
    }
    write_json(features_folder / "features.json", record)


def _extractor(backbone_folder: Path, images: NDArray[np.float32], precision: "Precision") -> "keras.Model":
    """Return the network that computes in `precision`.

    Raises
    ------
    WeightsError : the weights are not those of backbone.json.
    ParamsError : its features are others than those in float32.
    """
    from datspect.modeling.features import precision_error
    from datspect.modeling.precision import MOST_ERROR

    extractor = _in_precision(precision, backbone_folder, images.shape[1:3])
    if precision == "float32":
        return extractor
    exact = _in_precision("float32", backbone_folder, images.shape[1:3])
    error = precision_error(extractor, exact, images)
    if not error <= MOST_ERROR:  # NaN is caught as well
        raise ParamsError(
            f"backbone.precision = {precision}: this processor's {precision} gives other features than float32: off by "
            f"{error:.2g}, at most {MOST_ERROR}; choose float32"
        )
    return extractor


def _in_precision(precision: "Precision", backbone_folder: Path, image_shape: tuple[int, int]) -> "keras.Model":
    from datspect.modeling.backbone import build_backbone, model_digest
    from datspect.modeling.features import build_extractor
    from datspect.modeling.model_files import read_weights
    from datspect.modeling.precision import computing_in

    origin = read_json(backbone_folder / "backbone.json")
    with computing_in(precision):
        backbone = build_backbone(origin["architecture"], image_shape)
    read_weights(backbone_folder / "backbone.weights.h5", backbone)
    if model_digest(backbone) != origin["tensor_digest"]:
        raise WeightsError(f"{backbone_folder}: the weights are not those of backbone.json; run stage backbone again")
    return build_extractor(backbone)


def _counted(blocks: Iterable[NDArray[np.float16]], n_images: int) -> Iterator[NDArray[np.float16]]:
    bar: tqdm[None] = progress(None, total=n_images, what="features", unit="images")
    with bar:
        for block in blocks:
            yield block
            bar.update(len(block))


if __name__ == "__main__":
    launch(main, "features_folder")
