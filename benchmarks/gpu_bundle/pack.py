"""Pack one folder with which a GPU machine without a package index measures and trains: `run.sh` in it does both.

    scripts/gpu-bundle [--into FOLDER] [--python 3.12] [--weights rounded|random]

Needs the results of `dvc repro preprocess split backbone` of the phantom cohort, and a package index here. The other
machine needs Python, with pip, and: jax (with CUDA), numpy, scipy, h5py, scikit-learn, matplotlib, pillow.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import datspect  # noqa: F401 - first, since TensorFlow reads what the package sets while it is loaded

# isort: split
# What is packed is set up by Keras on the CPU, whichever backend is installed.
import keras
import numpy as np

from datspect.errors import DatspectError
from datspect.io.arrays import read_array
from datspect.io.records import read_json
from datspect.modeling.backbone import build_backbone, layer_arrays
from datspect.modeling.model_files import read_weights
from datspect.params.whole import load_params
from gpu_bundle.compact import CompactError, packed_images, packed_weights
from gpu_bundle.wheels import LINUX_X86_64, LOCKS, NEEDED, WheelError, build_own, download, locked, pack

MOST_BYTES = 50_000_000
IMAGES, SPLITS, BACKBONE = Path("data/images"), Path("data/splits.csv"), Path("models/backbone")
TABLES = (IMAGES / "subjects.csv", IMAGES / "cohort.json", SPLITS)
HERE = Path(__file__).resolve().parent


class BundleError(Exception):
    """The bundle cannot be made; the message says why and what to do."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, default=Path("tmp/gpu-bundle"), help="folder to write; emptied first")
    parser.add_argument("--python", default="3.12", help="version of the other machine's Python")
    parser.add_argument("--platforms", nargs="+", default=LINUX_X86_64, help="what the wheels may be built for")
    parser.add_argument("--weights", choices=("rounded", "random"), default="rounded", help="random: for timing alone")
    parser.add_argument("--effort", type=int, default=9, choices=range(10), help="of the compression")
    parser.add_argument("--results", type=Path, default=Path(), help="folder with params.yaml, data/ and models/")
    arguments = parser.parse_args()
    try:
        write_bundle(arguments)
    except (BundleError, CompactError, DatspectError, WheelError) as error:
        sys.exit(f"error: {error}")


def write_bundle(arguments: argparse.Namespace) -> None:
    """Write the folder whole, or leave what was there before."""
    results, into, effort = arguments.results, arguments.into.absolute(), arguments.effort
    check_results(results)
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".gpu-bundle-", dir=into.parent) as name:
        bundle = Path(name) / "bundle"
        bundle.mkdir()
        print(f"wheels for Python {arguments.python} ...", flush=True)
        add_wheels(bundle, arguments)
        print("images and weights ...", flush=True)
        add_data(bundle, results, effort)
        about = add_backbone(bundle, results, effort, rounded=arguments.weights == "rounded")
        about |= {"python": arguments.python, "made_with": {"keras": keras.__version__, "numpy": np.__version__}}
        (bundle / "bundle.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        add_programs(bundle)
        n_bytes = checked_size(bundle)
        shutil.rmtree(into, ignore_errors=True)
        bundle.rename(into)
    print(f"{into}: {n_bytes / 1e6:.1f} MB; on the GPU machine: OUT=results sh {into.name}/run.sh")


def check_results(results: Path) -> None:
    """See that there is something to pack, and that it may leave this machine.

    Raises
    ------
    BundleError : a file is missing; all of them are named. Or the cohort is one of real scans.
    """
    files = [Path("params.yaml"), IMAGES / "images.npy", *TABLES, BACKBONE / "backbone.weights.h5"]
    if missing := [str(file) for file in files if not (results / file).is_file()]:
        raise BundleError(f"missing: {', '.join(missing)}; run `dvc repro preprocess split backbone` first")
    kind = read_json(results / IMAGES / "cohort.json")["kind"]
    if kind != "phantom":
        raise BundleError(f"the cohort in use is {kind}: only images of the phantom are packed; set cohort.path to it")


def add_wheels(bundle: Path, arguments: argparse.Namespace) -> None:
    """wheels.tar.xz: of the locked versions, and of this package."""
    root = HERE.parents[1]
    with tempfile.TemporaryDirectory() as name:
        locks = [(root / "requirements" / lock).read_text(encoding="utf-8") for lock in LOCKS]
        download(Path(name), locked(NEEDED, locks), arguments.python, arguments.platforms)
        build_own(Path(name), root)
        pack(Path(name), bundle / "wheels.tar.xz", arguments.effort)


def add_data(bundle: Path, results: Path, effort: int) -> None:
    """Parameters, tables and images."""
    shutil.copyfile(results / "params.yaml", bundle / "params.yaml")
    for table in TABLES:
        shutil.copyfile(results / table, bundle / table.name)
    images = read_array(results / IMAGES / "images.npy")
    (bundle / "images.xz").write_bytes(packed_images(images, effort))


def add_backbone(bundle: Path, results: Path, effort: int, *, rounded: bool) -> dict[str, Any]:
    """Weights, unless they are to be drawn over there; gives what is known of them."""
    origin = read_json(results / BACKBONE / "backbone.json")
    if not rounded:
        return {"architecture": origin["architecture"], "weights": "random, for timing alone", "rounded_from": None}
    shape = read_array(results / IMAGES / "images.npy", memory_mapped=True).shape[1:3]
    backbone = build_backbone(load_params(results / "params.yaml").backbone.architecture, shape)
    read_weights(results / BACKBONE / "backbone.weights.h5", backbone)
    arrays = [array for _, of_layer in layer_arrays(backbone) for array in of_layer]
    (bundle / "weights.xz").write_bytes(packed_weights(arrays, effort))
    return {
        "architecture": origin["architecture"],
        "weights": f"{origin['source']}, rounded for transport",
        "rounded_from": origin["tensor_digest"],
    }


def add_programs(bundle: Path) -> None:
    """run.sh, and all benchmarks, which import one another."""
    ignore = shutil.ignore_patterns("__pycache__", "*.json", "pack.py", "run.sh")
    shutil.copytree(HERE.parent, bundle / "benchmarks", ignore=ignore)
    shutil.copy(HERE / "run.sh", bundle / "run.sh")
    os.chmod(bundle / "run.sh", 0o755)  # noqa: PTH101


def checked_size(bundle: Path) -> int:
    """Bytes of all files.

    Raises
    ------
    BundleError : more than `MOST_BYTES`; the largest files are named.
    """
    sizes = {str(file.relative_to(bundle)): file.stat().st_size for file in bundle.rglob("*") if file.is_file()}
    total = sum(sizes.values())
    if total >= MOST_BYTES:
        largest = sorted(sizes.items(), key=lambda item: -item[1])[:3]
        named = ", ".join(f"{name} {size / 1e6:.1f}" for name, size in largest)
        raise BundleError(
            f"the bundle would be {total / 1e6:.1f} MB, and must stay under {MOST_BYTES / 1e6:.0f} (MB: {named}); "
            "--weights random leaves the weights out"
        )
    return total


if __name__ == "__main__":
    main()
