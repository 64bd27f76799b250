"""On the GPU machine: the wheels out of the bundle, by the standard library alone; once installed, data and weights.

run.sh calls it twice: `unpack.py BUNDLE WORK wheels`, then `-m gpu_bundle.unpack BUNDLE WORK data`.
"""

import importlib.util
import json
import shutil
import sys
import tarfile
from pathlib import Path

OF_THE_MACHINE = ("jax", "numpy", "scipy", "h5py", "sklearn", "matplotlib", "PIL", "pip")


def main() -> None:
    bundle, work, what = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    about = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    if what == "wheels":
        check_machine(about["python"])
        (work / "wheels").mkdir(parents=True, exist_ok=True)
        with tarfile.open(bundle / "wheels.tar.xz") as tar:
            for wheel in tar:  # one by one: Python 3.11.2 has no filter, and no path in an archive is believed
                if content := tar.extractfile(wheel):
                    (work / "wheels" / Path(wheel.name).name).write_bytes(content.read())
    else:
        lay_out(bundle, work)


def check_machine(python: str) -> None:
    """See that this is a Python that the wheels fit, with the packages that the bundle leaves out."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if here != python:
        sys.exit(f"error: the bundle is for Python {python}, this is {here}; set PYTHON, or pack with --python {here}")
    if missing := [name for name in OF_THE_MACHINE if importlib.util.find_spec(name) is None]:
        sys.exit(
            f"error: this Python lacks {', '.join(missing)}, which the bundle does not carry; set PYTHON to another"
        )


def lay_out(bundle: Path, work: Path) -> None:
    """The folder as the stages before a training leave it: parameters, images, splits, backbone."""
    from datspect.io.arrays import write_array
    from gpu_bundle.compact import unpacked_images

    images_folder = work / "data" / "images"
    images_folder.mkdir(parents=True)
    shutil.copyfile(bundle / "params.yaml", work / "params.yaml")
    shutil.copyfile(bundle / "splits.csv", work / "data" / "splits.csv")
    for name in ("subjects.csv", "cohort.json"):
        shutil.copyfile(bundle / name, images_folder / name)
    images = unpacked_images((bundle / "images.xz").read_bytes())
    write_array(images_folder / "images.npy", images)
    write_backbone(bundle, work / "models" / "backbone", images.shape[1:3])


def write_backbone(bundle: Path, folder: Path, image_shape: tuple[int, int]) -> None:
    """Weights with their origin, as stage `backbone` writes them."""
    from datspect.io.records import write_json
    from datspect.modeling.backbone import (
        build_backbone,
        layer_arrays,
        model_digest,
        set_layer_arrays,
        set_random_weights,
    )
    from datspect.modeling.model_files import write_weights
    from gpu_bundle.compact import unpacked_weights

    about = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    backbone = build_backbone(about["architecture"], image_shape)
    if (bundle / "weights.xz").is_file():
        layers = layer_arrays(backbone)
        shapes = [array.shape for _, of_layer in layers for array in of_layer]
        arrays = iter(unpacked_weights((bundle / "weights.xz").read_bytes(), shapes))
        set_layer_arrays(backbone, [(name, [next(arrays) for _ in of_layer]) for name, of_layer in layers])
    else:
        set_random_weights(backbone, seed=0)
    write_weights(folder / "backbone.weights.h5", backbone)
    origin = {"architecture": about["architecture"], "source": about["weights"], "rounded_from": about["rounded_from"]}
    write_json(folder / "backbone.json", origin | {"tensor_digest": model_digest(backbone)})


if __name__ == "__main__":
    main()
