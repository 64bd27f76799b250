"""Answer every subject of the paper's folds altered, by the network and the regression that have not seen it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from datspect.arrays import FloatArray
from datspect.cohort.table import read_cohort, targets
from datspect.evaluation.baselines import SBR, ordered_sides
from datspect.evaluation.regression import Regression, fit_regression
from datspect.evaluation.robustness import UNALTERED
from datspect.imaging.alterations import Original, Row
from datspect.imaging.orientation import reorient
from datspect.io.tables import read_table
from datspect.io.volumes import read_volume
from datspect.modeling.heads import FittedHead, head_weights, logits
from datspect.modeling.model_files import read_model, write_model
from datspect.modeling.whole_ensemble import build_ensemble
from datspect.prediction.panel import Altered, prepare_altered
from datspect.prediction.predictor import Predictor
from datspect.prediction.slab_network import SlabNetwork
from datspect.running.pool import unordered
from datspect.running.progress import progress
from datspect.training.fold_files import read_fold
from measuring import BenchmarkError

Reader = Callable[[NDArray[np.float32]], FloatArray]
"""From what a network sees of n scans to log odds of PD, shape (n,)."""


@dataclass(frozen=True)
class Project:
    """Where a project's graph left what is read here."""

    root: Path
    cohort: Path

    @property
    def predictor(self) -> Predictor:
        """The predictor, for what a network sees of a scan and, if it is frozen, makes of it."""
        return Predictor.read(self.root / "models/predictor")

    def reader(self, fold: int, predictor: Predictor) -> Reader:
        """Return what gives log odds of PD by the network that has not seen the scans of a fold."""
        path = self.root / f"models/cv/fold-{fold:02d}"
        if predictor.parts.model == "striatum":
            return ensemble_of(read_fold(path.with_suffix(".npz"))).log_odds
        weights = head_weights(read_model(path.with_suffix(".keras")))
        return lambda seen: logits(weights, predictor.network.outputs(seen).features)

    def subjects(self) -> pd.DataFrame:
        """Return a row a scan: scan_id, label, fold, target, the file of its volume, and its binding ratios."""
        folds = read_table(self.root / "reports/cv/predictions.csv", ["scan_id", "label", "fold", "logit"])
        paths = read_cohort(self.cohort).scans[["scan_id", "path"]]
        quality = read_table(self.root / "data/images/quality.csv", ["scan_id"])
        table = folds.merge(paths, on="scan_id").merge(quality.drop(columns="label", errors="ignore"), on="scan_id")
        if len(table) != len(folds):
            raise BenchmarkError(f"{self.root}: the scans of cv and those of the cohort differ; run dvc repro")
        return table.assign(target=targets(table["label"])).sort_values("scan_id", ignore_index=True)


def altered_out_of_fold(project: Project, rows: Sequence[Row], seed: int, n_workers: int, most: int) -> pd.DataFrame:
    """Return a row a scan and row of the panel: row, scan_id, target, fold, log odds of network and of regression.

    `most`: so many scans of each fold at most.
    """
    predictor, subjects = project.predictor, project.subjects()
    _ = predictor.regions  # before the fork
    names, found = [UNALTERED, *(row.name for row in rows)], []
    for fold, held_out in subjects.groupby("fold"):
        scans = held_out.head(most).reset_index(drop=True)
        regression = _regression(subjects[subjects["fold"] != fold], predictor)
        reader = project.reader(int(str(fold)), predictor)
        for batch in _batches(_prepared(project, predictor, scans, rows, seed, n_workers, f"fold {fold}"), 64):
            of_network = reader(np.stack([each.prepared.seen for each in batch if each.prepared is not None]))
            found += _answered(batch, of_network, regression, scans, names)
    return pd.DataFrame(found).sort_values(["number", "scan_id"], ignore_index=True)


def ensemble_of(fitted: FittedHead) -> SlabNetwork:
    """Return a fold's ensemble as what answers slabs."""
    with TemporaryDirectory() as folder:
        whole = Path(folder) / "whole.keras"
        write_model(whole, build_ensemble(fitted, dropout=0.0))
        return SlabNetwork.read(whole)


def prepared_slabs(
    project: Project, scan_ids: Iterable[str], rows: Sequence[Row], seed: int, n_workers: int
) -> dict[str, FloatArray]:
    """Return the slabs of each scan as it is and in every row, shape (1 + rows, 28, 24, 4)."""
    predictor, wanted = project.predictor, set(scan_ids)
    _ = predictor.regions  # before the fork
    scans = project.subjects()
    scans = scans[scans["scan_id"].isin(wanted)].reset_index(drop=True)
    found: dict[int, list[FloatArray]] = {}
    for each in _prepared(project, predictor, scans, rows, seed, n_workers, "slabs"):
        if each.prepared is None or each.prepared.slabs is None:
            raise BenchmarkError(f"{scans['scan_id'][each.scan]}: no slabs; run it in the striatum's project")
        found.setdefault(each.scan, []).append(each.prepared.slabs)
    return {scans["scan_id"][scan]: np.stack(slabs) for scan, slabs in found.items()}


def _regression(learnt_from: pd.DataFrame, predictor: Predictor) -> Regression:
    columns = ordered_sides(learnt_from, SBR)
    return fit_regression(columns, learnt_from["target"].to_numpy(), predictor.parts.prediction.ratio_c)


def _prepared(
    project: Project,
    predictor: Predictor,
    scans: pd.DataFrame,
    rows: Sequence[Row],
    seed: int,
    n_workers: int,
    what: str,
) -> Iterator[Altered]:
    """Yield every scan in every row, as the network sees it."""
    work = partial(_one, project.cohort, predictor, scans, rows, seed)
    done = unordered(work, range(len(scans)), n_workers)
    for each in progress(done, total=len(scans), what=what, unit="scans"):
        yield from each


def _one(
    cohort: Path, predictor: Predictor, scans: pd.DataFrame, rows: Sequence[Row], seed: int, number: int
) -> list[Altered]:
    scan = scans.iloc[number]
    with threadpool_limits(limits=1, user_api="blas"):
        volume = reorient(read_volume(cohort / scan["path"]))
        original = Original(volume.data, predictor.parts.preprocess.z_offset_voxels, seed, scan["scan_id"])
        return prepare_altered(predictor, original, rows, number)


def _batches(scans: Iterable[Altered], size: int) -> Iterator[list[Altered]]:
    """Yield the scans that could be used, `size` at a time."""
    waiting: list[Altered] = []
    for each in scans:
        if each.prepared is not None:
            waiting.append(each)
        if len(waiting) == size:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def _answered(
    batch: Sequence[Altered], by_network: FloatArray, regression: Regression, scans: pd.DataFrame, names: Sequence[str]
) -> Iterator[dict[str, object]]:
    measures = pd.DataFrame([each.prepared.measures for each in batch if each.prepared is not None])
    by_ratios = regression.log_odds(ordered_sides(measures, SBR))
    for each, of_network, of_ratios in zip(batch, by_network, by_ratios, strict=True):
        scan = scans.iloc[each.scan]
        yield {
            "number": each.row,
            "row": names[each.row],
            **{name: scan[name] for name in ("scan_id", "target", "fold")},
            "network": float(of_network),
            "regression": float(of_ratios),
        }
