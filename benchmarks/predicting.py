"""How long `datspect predict` takes: on one scan beside a plain forward pass, and on many beside stage `features`.

- One scan, programs of their own, in turn, warm: `datspect predict` with a model path, with an alias, and the least a
  program could do: import TensorFlow, load the same .keras file, one forward pass.
- All scans of the cohort as uncompressed NIfTI and as .nii.gz, through the command's own code, beside the images a
  second of stage `features` (bank of the clean images and one draw).

    python benchmarks/predicting.py [--quick] [--rounds 5] [--alias champion] [--json FILE] [--into PAGE]

Needs the results of `dvc repro`; the alias is left out where there is none. Five to nine minutes on two cores.
"""

import argparse
import contextlib
import gzip
import io
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from datspect.cohort.table import read_cohort
from datspect.params.whole import load_params
from datspect.running.progress import progress
from measuring import Goal, goals_part, page_parser, publish, seconds

COHORT, PREDICTOR = Path("data/phantom/cohort"), Path("models/predictor")
ONE_PATH_GOAL, ONE_ALIAS_GOAL = 1.5, 2.5
PLAIN_GOAL, PACKED_GOAL = 0.6, 0.3
QUICK_SCANS = 64
LEAST = """
import sys
import numpy as np
import tensorflow as tf
import keras
model = keras.saving.load_model(sys.argv[1], compile=False, safe_mode=True)
print(float(model(np.zeros((1, *model.input_shape[1:]), np.float32))[0, 0]))
"""


def main() -> None:
    parser = page_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--alias", default="champion")
    parser.add_argument("--many", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.many:
        print(many_seconds(arguments.many))
        return
    volumes = sorted(COHORT / path for path in read_cohort(COHORT).scans["path"])
    volumes = volumes[:QUICK_SCANS] if arguments.quick else volumes
    one = one_scan(volumes[0], arguments.alias, 2 if arguments.quick else arguments.rounds)
    many = many_scans(volumes)
    publish(arguments, parts(one, many), {"one": one, "many": many})


def one_scan(volume: Path, alias: str, n_rounds: int) -> dict[str, Any]:
    """Seconds of each program in turn; the first round, which warms the disk, does not count."""
    predict = [sys.executable, "-m", "datspect", "predict", str(volume)]
    commands = {
        "least": [sys.executable, "-c", LEAST, str(PREDICTOR / "model.keras")],
        "path": [*predict, "--model", str(PREDICTOR)],
        "alias": [*predict, "--model", alias],
    }
    commands = {name: command for name, command in commands.items() if _works(command)}
    samples: dict[str, list[float]] = {name: [] for name in commands}
    for _ in progress(range(n_rounds), total=n_rounds, what="one scan", unit="rounds"):
        for name, command in commands.items():
            samples[name].append(seconds(lambda command=command: _works(command)))
    return {"samples": samples, "seconds": {name: statistics.median(times) for name, times in samples.items()}}


def many_scans(volumes: list[Path]) -> dict[str, Any]:
    """Scans a second, start of the program and of TensorFlow not counted, beside images a second of the bank."""
    with tempfile.TemporaryDirectory() as name:
        folders = {"plain": Path(name) / "plain", "packed": Path(name) / "packed"}
        for folder in folders.values():
            folder.mkdir()
        for volume in progress(volumes, total=len(volumes), what="copies", unit="scans"):
            content = volume.read_bytes()
            (folders["plain"] / volume.name).write_bytes(content)
            (folders["packed"] / f"{volume.name}.gz").write_bytes(gzip.compress(content, 6))
        times = {kind: float(_output([sys.executable, __file__, "--many", str(f)])) for kind, f in folders.items()}
    rates = {kind: len(volumes) / value for kind, value in times.items()}
    chosen = load_params().backbone.precision
    return {
        "n": len(volumes),
        "seconds": times,
        "scans_per_second": rates,
        "features_per_second": features_rate(chosen),
        "features_per_second_float32": features_rate("float32"),
    }


def many_seconds(folder: Path) -> float:
    """Seconds for all scans of a folder, once a first batch has compiled the program."""
    from datspect.commands.predict import read_predictor
    from datspect.io.sources import find_sources
    from datspect.prediction.answering import outcomes

    predictor = read_predictor(str(PREDICTOR))
    sources, _ = find_sources([folder])
    with contextlib.redirect_stdout(io.StringIO()):
        list(outcomes(predictor, sources[:64]))
        return seconds(lambda: list(outcomes(predictor, sources)))


def features_rate(wanted: Any) -> float:
    """Images a second of the bank in a precision as params.yaml names it, the first batch not counted."""
    import numpy as np

    from datspect.imaging.augmentation import draw_augmentations
    from datspect.modeling.backbone import build_backbone
    from datspect.modeling.features import bank_blocks, build_extractor
    from datspect.modeling.model_files import read_weights
    from datspect.modeling.precision import computing_in

    params = load_params()
    images = np.load("data/images/images.npy", mmap_mode="r")[:256]
    with computing_in(wanted):
        backbone = build_backbone(params.backbone.architecture, images.shape[1:3])
    read_weights(Path("models/backbone/backbone.weights.h5"), backbone)
    extractor = build_extractor(backbone)
    augmentations = draw_augmentations(params.augment, len(images), images.shape[1:3])[:1]
    blocks = bank_blocks(extractor, images, augmentations)
    next(blocks)
    sizes: list[int] = []
    elapsed = seconds(lambda: sizes.extend(len(block) for block in blocks))
    return sum(sizes) / elapsed


def _works(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _output(command: list[str]) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip().splitlines()[-1]


def parts(one: dict[str, Any], many: dict[str, Any]) -> list[str]:
    """Return the figures and the goals as Markdown."""
    took, rate, in_float32 = one["seconds"], many["features_per_second"], many["features_per_second_float32"]
    goals = []
    for name, most in (("path", ONE_PATH_GOAL), ("alias", ONE_ALIAS_GOAL)):
        if name in took:
            ratio = took[name] / took["least"]
            limit = f"{took[name]:.1f} s against {took['least']:.1f} s."
            found = f"{ratio:.2f} x"
            goals.append(Goal(f"one scan, by {name}, over the least", f"at most {most} x", found, ratio <= most, limit))
    for kind, least in (("plain", PLAIN_GOAL), ("packed", PACKED_GOAL)):
        scans = many["scans_per_second"][kind]
        name = f"{many['n']} scans, {kind}, share of stage `features`"
        limit = f"{scans:.0f} scans/s, {scans / in_float32:.0%} of `features` in float32."
        goals.append(Goal(name, f"at least {least:.0%}", f"{scans / rate:.0%}", scans >= least * rate, limit))
    scans_per_second = ", ".join(f"{kind} {value:.0f} scans/s" for kind, value in many["scans_per_second"].items())
    return [
        "One scan, median of the rounds: "
        + ", ".join(f"{name} {value:.1f} s" for name, value in took.items())
        + ". The least is TensorFlow's import, the same `.keras` read and one forward pass. All scans: "
        f"{scans_per_second}; stage `features` {rate:.0f} images/s in params.yaml's precision, {in_float32:.0f} in "
        "float32.",
        goals_part(goals),
    ]


if __name__ == "__main__":
    main()
