"""Measure the phantom's cameras, the shape of its head, and what there is to see in it.

python benchmarks/camera.py [--quick] [--json FILE] [--into PAGE]

Noise and resolution by family of cameras, the mean of controls beside the mean of real normal scans, what mixed
resolutions do to a threshold, and how well regional means and patterns that are known exactly tell the classes apart.
About 5 minutes on two cores.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from datspect.cohort.kind import CohortKind
from datspect.cohort.table import CONTROL, PD
from datspect.imaging.quantification import measure_binding
from datspect.imaging.regions import Ellipsoid, Structure, striatal_regions, structure_mask
from datspect.imaging.volume import MNI_SHAPE, Mask, mni_affine
from datspect.params.whole import load_params
from datspect.phantom.acquisition import FAMILIES, Acquisition, Family, acquire, blur, coarsened, refined, stored_scan
from datspect.phantom.anatomy import HeadActivity, build_head, undeformed_anatomy
from datspect.phantom.cohort import Laboratory, build_laboratory, cohort_members, draw_subject, simulate
from datspect.reporting.markdown import markdown_table
from datspect.running.progress import progress
from measuring import page_parser, publish

HEALTHY = np.array([4.5, 4.5, 4.2, 4.2, 3.6, 3.6])
"""True binding ratios of an ordinary control, in the order of `MEASURED`."""
USUAL: dict[Family, tuple[int, float]] = {"fbp": (1, 6.5), "osem_chang": (4, 6.0), "osem_recovery": (4, 7.0)}
"""Iterations and filter of an ordinary site of each family."""
BLURS_MM = np.arange(7, 18, 0.5)
SMOOTHING_MM = 18.0
"""That of Wenzel 2019, doi:10.1007/s00259-019-04502-5."""
TEMPLATE_BLUR_MM = 6.0
"""Blur that brings the mean of controls to the resolution of a mean of many registered scans."""

# The mean of real normal scans over its occipital mean, by MNI mm; 6 mm cubes.
PLACES = {
    "caudate head": ((12, 12, 6), 3.26),
    "anterior putamen": ((22, 8, 2), 3.86),
    "posterior putamen": ((28, -8, 4), 3.01),
    "insula": ((38, 6, 0), 1.24),
    "thalamus": ((12, -18, 8), 1.21),
    "white matter": ((24, 34, 12), 1.12),
    "cerebellum": ((20, -60, -34), 1.03),
    "ventricle, frontal horn": ((6, -4, 18), 1.21),
    "brainstem": ((0, -28, -28), 1.38),
    "temporal": ((54, -20, -8), 1.20),
    "frontal cortex": ((0, 56, 6), 0.76),
    "vertex": ((0, -20, 66), 0.92),
    "scalp, forehead": ((0, 78, 0), 0.72),
    "outside the head": ((80, -100, 60), 0.11),
}
_FROM_THE_SIDE = (0.29, 0.40, 0.60, 0.80, 0.86, 0.82, 0.79, 0.84, 0.96, 1.05, 1.09)
_TO_THE_MIDDLE = (1.18, 1.52, 2.22, 3.09, 3.71, 3.82, 3.48, 2.91, 2.30, 1.82, 1.63)
PROFILES: dict[str, tuple[list[tuple[int, int, int]], list[float]]] = {
    "caudate along z, -16 to 28": (
        [(12, 12, z) for z in range(-16, 32, 4)],
        [1.34, 1.93, 2.65, 3.27, 3.55, 3.44, 3.02, 2.43, 1.85, 1.41, 1.16, 1.07],
    ),
    "putamen along z, -16 to 28": (
        [(26, 0, z) for z in range(-16, 32, 4)],
        [1.48, 1.91, 2.51, 3.11, 3.47, 3.44, 3.05, 2.50, 1.97, 1.56, 1.29, 1.14],
    ),
    "putamen along y, -28 to 32": (
        [(25, y, 2) for y in range(-28, 36, 4)],
        [1.25, 1.42, 1.75, 2.23, 2.74, 3.15, 3.40, 3.50, 3.45, 3.19, 2.72, 2.14, 1.62, 1.28, 1.13, 1.11],
    ),
    "along x, 84 to 0": (
        [(x, 4, 2) for x in range(84, -4, -4)],
        [*_FROM_THE_SIDE, *_TO_THE_MIDDLE],
    ),
}
_N_FOLDS = 10
STRIATAL = 1.5
"""A profile lies inside the striata where the real mean is above it."""


def main() -> None:
    """Simulate, measure, print."""
    parser = page_parser(__doc__)
    arguments = parser.parse_args()
    params = load_params(Path("params.yaml")).phantom
    n_scans, n_controls, n_drawn = (4, 6, 300) if arguments.quick else (24, 100, 2640)
    if arguments.quick:
        params = params.model_copy(update={"n_pd": 40, "n_control": 20})
    laboratory = build_laboratory(params)
    families = camera_families(laboratory, n_scans)
    mean = mean_of_controls(laboratory, n_controls)
    mixed, seen = mixed_resolutions(laboratory), oracles(laboratory, n_drawn)
    parts = [
        f"{CohortKind.PHANTOM.caption}, seed {params.seed}.",
        f"**Cameras**: an ordinary site of each family, two million counts, {n_scans} scans of one head:",
        _table(families, {"fwhm": 1, "noise": 3, "caudate": 2, "putamen": 2}),
        f"**The mean of {n_controls} controls**, blurred by {TEMPLATE_BLUR_MM:g} mm, beside that of real normal scans:",
        places_table(mean),
        profiles_table(mean),
        f"**Mixed resolutions**, {params.n_pd + params.n_control} subjects: one threshold on the worse putamen:",
        _table(mixed, {"": 3}),
        f"**What there is to see**: logistic regression on what is true of {n_drawn} heads, ten folds:",
        _table(seen, {"": 3}),
    ]
    publish(arguments, parts, {"families": families, "mixed": mixed, "oracles": seen})


def camera_families(laboratory: Laboratory, n_scans: int) -> dict[str, dict[str, float]]:
    """Resolution, noise by region and binding of an ordinary site of each family, scatter corrected and left in."""
    head = build_head(undeformed_anatomy(), laboratory.background)
    cases: list[tuple[Family, bool]] = [(family, True) for family in FAMILIES]
    cases += [("fbp", False), ("osem_chang", False)]
    return dict(Parallel(n_jobs=-1)(delayed(_camera)(laboratory, head, n_scans, *case) for case in cases))


def _camera(
    laboratory: Laboratory, head: HeadActivity, n_scans: int, family: Family, corrects_scatter: bool
) -> tuple[str, dict[str, float]]:
    acquisition = Acquisition("site", family, USUAL[family][0], corrects_scatter, USUAL[family][1], 2e6, 1.0)
    camera, rng = laboratory.camera, np.random.default_rng(0)
    healthy = head.activity(HEALTHY)
    images = [acquire(coarsened(healthy), acquisition, camera, rng) for _ in range(n_scans)]
    scans = np.stack([stored_scan(image, acquisition, mni_affine()) for image in images]).astype(np.float32)
    mean, sd = scans.mean(axis=0), scans.std(axis=0, ddof=1)
    noise = {place: float(np.sqrt((sd[mask] ** 2).mean()) / mean[mask].mean()) for place, mask in _places().items()}
    hot, cold = (acquire(coarsened(activity), acquisition, camera, None) for activity in (healthy, head.base))
    specific = (refined(hot) - refined(cold))[head.box].ravel()
    alike = [np.corrcoef(blur(healthy - head.base, mm)[head.box].ravel(), specific)[0, 1] for mm in BLURS_MM]
    binding = measure_binding(
        stored_scan(hot, acquisition, mni_affine()), striatal_regions(MNI_SHAPE, mni_affine(), 0.0)
    )
    return family if corrects_scatter else f"{family}, scatter left in", {
        "fwhm, mm": float(BLURS_MM[int(np.argmax(alike))]),
        **{f"noise, {place}": value for place, value in noise.items()},
        "caudate": binding["caudate_right"],
        "putamen": binding["putamen_right"],
    }


def _places() -> dict[str, Mask]:
    """Where noise is looked at in a scan that lies in MNI."""
    upright = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    middle = structure_mask(Structure((Ellipsoid((0, -30, 8), (10, 8, 8), upright),)), MNI_SHAPE, mni_affine())
    occipital, caudate, putamen = (np.zeros(MNI_SHAPE, dtype=bool) for _ in range(3))
    regions = striatal_regions(MNI_SHAPE, mni_affine(), 0.0)
    occipital[regions.reference] = True
    caudate[regions.targets["caudate_right"]] = True
    putamen[regions.targets["putamen_right"]] = True
    return {"occipital": occipital, "middle": middle, "caudate": caudate, "putamen": putamen}


def mean_of_controls(laboratory: Laboratory, n: int) -> np.ndarray:
    """The mean of controls in MNI, each over its occipital mean, both sides alike, shape `MNI_SHAPE`."""
    scans = Parallel(n_jobs=-1, return_as="generator")(
        delayed(_in_units_of_the_reference)(laboratory, index) for index in range(n)
    )
    mean = sum(progress(scans, total=n, what="controls", unit="scans")) / n
    lifted = round(laboratory.params.z_offset_voxels)
    return blur(np.roll((mean + mean[::-1]) / 2, -lifted, axis=2), TEMPLATE_BLUR_MM)


def _in_units_of_the_reference(laboratory: Laboratory, index: int) -> np.ndarray:
    data = simulate(laboratory, CONTROL, index).data.astype(np.float32)
    return data / data[laboratory.regions.reference].mean()


def places_table(mean: np.ndarray) -> str:
    rows = [["place", "MNI mm", "real", "phantom", "difference"]]
    for name, (place, real) in PLACES.items():
        found = cube_mean(mean, place)
        rows.append([name, str(place), f"{real:.2f}", f"{found:.2f}", f"{found - real:+.2f}"])
    return markdown_table(rows)


def profiles_table(mean: np.ndarray) -> str:
    """The profiles, with the largest differences inside the striata and away from them."""
    rows = [["profile, steps of 4 mm", "real", "phantom", "largest inside", "largest away"]]
    for name, (places, real) in PROFILES.items():
        found = np.array([cube_mean(mean, place) for place in places])
        inside, off = np.array(real) > STRIATAL, np.abs(found - real)
        numbers = [" ".join(f"{value:.2f}" for value in values) for values in (real, found)]
        rows.append([name, *numbers, f"{off[inside].max():.2f}", f"{off[~inside].max():.2f}"])
    return markdown_table(rows)


def cube_mean(mean: np.ndarray, place_mm: tuple[int, int, int]) -> float:
    """The mean of a cube of 6 mm."""
    voxel = np.linalg.inv(mni_affine()) @ [*place_mm, 1]
    i, j, k = np.rint(voxel[:3]).astype(int)
    return float(mean[i - 1 : i + 2, j - 1 : j + 2, k - 1 : k + 2].mean())


def mixed_resolutions(laboratory: Laboratory) -> dict[str, dict[str, float]]:
    """A threshold on the worse putamen and a regression on ordered regions, as scanned and with scans smoothed."""
    members = cohort_members(laboratory.params)
    rows = Parallel(n_jobs=-1, return_as="generator")(delayed(_both)(laboratory, *member) for member in members)
    table = pd.DataFrame(progress(rows, total=len(members), what="mixed", unit="scans"))
    is_pd = np.array([label == PD for label, _ in members])
    plain, smooth = (table.filter(like=f"{kind} ").to_numpy() for kind in ("plain", "smooth"))
    every_second = np.where((np.arange(len(members)) % 2 == 0)[:, np.newaxis], plain, smooth)
    cases = {"as scanned": plain, f"smoothed by {SMOOTHING_MM:g} mm": smooth, "every second smoothed": every_second}
    published = dict(zip(cases, (0.957, 0.952, 0.900), strict=True))
    figures = {
        name: {"published threshold": published[name], **_readers(values, is_pd)} for name, values in cases.items()
    }
    for family in FAMILIES:
        at = (table["family"] == family).to_numpy()
        if min(is_pd[at].sum(), (~is_pd[at]).sum()) < _N_FOLDS:
            continue
        figures[f"as scanned, {family}"] = {"published threshold": float("nan"), **_readers(plain[at], is_pd[at])}
    return figures


def _both(laboratory: Laboratory, label: str, index: int) -> dict[str, object]:
    simulation = simulate(laboratory, label, index)
    row: dict[str, object] = {"family": simulation.acquisition.family}
    for kind, data in (("plain", simulation.data), ("smooth", blur(simulation.data, SMOOTHING_MM))):
        binding = measure_binding(data, laboratory.regions)
        worse, better = sorted(("left", "right"), key=lambda side: binding[f"putamen_{side}"])
        for rank, side in (("worse", worse), ("better", better)):
            for region in ("putamen", "caudate", "putamen_anterior", "putamen_posterior"):
                row[f"{kind} {region} {rank}"] = binding[f"{region}_{side}"]
    return row


def _readers(values: np.ndarray, is_pd: np.ndarray) -> dict[str, float]:
    """`values`: shape (subjects, 8), the worse putamen first."""
    accuracy, auc = _cross_validated(np.concatenate([values, np.log(np.maximum(values, 0.05))], axis=1), is_pd)
    threshold = max(
        float(((values[:, 0] < cut) == is_pd).mean()) for cut in np.quantile(values[:, 0], np.linspace(0, 1, 400))
    )
    return {
        "best threshold": threshold,
        "AUC of it": float(roc_auc_score(is_pd, -values[:, 0])),
        "regression": accuracy,
        "AUC of the regression": auc,
    }


def oracles(laboratory: Laboratory, n: int) -> dict[str, dict[str, float]]:
    """Return what a reader of true binding, as regional means or voxel by voxel, tells; classes as in the cohort."""
    params = laboratory.params
    n_pd = round(n * params.n_pd / (params.n_pd + params.n_control))
    members = [(PD, index) for index in range(n_pd)] + [(CONTROL, index) for index in range(n - n_pd)]
    rows = Parallel(n_jobs=-1, return_as="generator")(delayed(_truth)(laboratory, *member) for member in members)
    means, patterns, voxels = (
        np.stack(part) for part in zip(*progress(rows, total=n, what="oracles", unit="heads"), strict=True)
    )
    is_pd = np.array([label == PD for label, _ in members])
    regional = np.concatenate([means, np.log(np.maximum(means, 0.05))], axis=1)
    seen = {
        "true regional means": regional,
        "true regional means and patterns": np.concatenate([regional, patterns], axis=1),
    }
    found = {name: _cross_validated(columns, is_pd) for name, columns in seen.items()}
    found["true voxels, 6 mm cubes"] = _cross_validated(np.log(np.maximum(voxels, 0.05)), is_pd, n_components=40)
    return {name: {"accuracy": accuracy, "AUC": auc} for name, (accuracy, auc) in found.items()}


def _truth(laboratory: Laboratory, label: str, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Regional means (6,), patterns (8,) and voxels of a head, the worse side first and mirrored to the right."""
    person, anatomy, _ = draw_subject(laboratory.params, label, index)
    true = laboratory.recovery.true_binding(person.binding)
    head = build_head(anatomy, laboratory.background)
    specific = np.tensordot(true.astype(np.float32), head.components, 1)
    middle = specific.shape[0] // 2
    sides = {"left": specific[-1 : -1 - middle : -1], "right": specific[:middle]}
    order = ("left", "right") if person.worse_side == "left" else ("right", "left")
    column = {"left": 0, "right": 1}
    means = np.concatenate([person.binding.reshape(3, 2)[:, column[side]] for side in order])
    patterns = np.concatenate([list(vars(anatomy.patterns[side]).values()) for side in order])
    return means, patterns, np.concatenate([_cubes(sides[side]).ravel() for side in order])


def _cubes(volume: np.ndarray) -> np.ndarray:
    """Means of cubes of three voxels; what is left over at the edges is dropped."""
    x, y, z = (size // 3 for size in volume.shape)
    return volume[: 3 * x, : 3 * y, : 3 * z].reshape(x, 3, y, 3, z, 3).mean(axis=(1, 3, 5))


def _cross_validated(columns: np.ndarray, is_pd: np.ndarray, n_components: int | None = None) -> tuple[float, float]:
    """Accuracy and AUC out of ten folds."""
    steps = [StandardScaler()] if n_components is None else [PCA(n_components, random_state=0), StandardScaler()]
    model = make_pipeline(*steps, LogisticRegression(max_iter=2000))
    folds = StratifiedKFold(_N_FOLDS, shuffle=True, random_state=0)
    probability = cross_val_predict(model, columns, is_pd, cv=folds, method="predict_proba")[:, 1]
    return float(((probability > 0.5) == is_pd).mean()), float(roc_auc_score(is_pd, probability))


def _table(figures: dict[str, dict[str, float]], digits: dict[str, int]) -> str:
    """A row an entry; `digits` by the beginning of a column's name."""
    columns = list(next(iter(figures.values())))

    def shown(name: str, value: float) -> str:
        n = next(n for start, n in digits.items() if name.startswith(start))
        return "" if np.isnan(value) else f"{value:.{n}f}"

    rows = [["", *columns]]
    rows += [[name, *(shown(column, row[column]) for column in columns)] for name, row in figures.items()]
    return markdown_table(rows)


if __name__ == "__main__":
    sys.exit(main())
