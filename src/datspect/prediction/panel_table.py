"""Alter and answer all scans of the panel on all cores: a table with a row a scan and row of the panel."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import cpu_count
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from datspect.errors import CohortError
from datspect.evaluation.baselines import SBR
from datspect.evaluation.robustness import UNALTERED
from datspect.imaging.alterations import ALTERATIONS, SMOOTHING_FWHM_MM, Original, Row, smoothed_by
from datspect.imaging.orientation import reorient
from datspect.imaging.quantification import measure_binding
from datspect.io.volumes import read_volume
from datspect.prediction.panel import Altered, answer_altered, prepare_altered
from datspect.prediction.predictor import Answer, Predictor
from datspect.running.pool import unordered
from datspect.running.progress import progress

SMOOTHED = Row(ALTERATIONS["blur"], SMOOTHING_FWHM_MM)
"""No row of the panel: the other resolution of the experiment that mixes two."""
_AHEAD = 32
"""Scans that all workers together may be ahead of the network, 6 MB each: while it is read they would have to wait."""


@dataclass(frozen=True, eq=False)
class PanelScans:
    """What is to be altered, and by whom it is answered.

    path_of : file of each scan, by scan_id; panel : the rows; seed : of what is drawn
    test : scans that are answered in every row and smoothed; training : those of which only the smoothed binding counts
    """

    predictor: Predictor
    path_of: Mapping[str, Path]
    test: pd.DataFrame
    training: pd.DataFrame
    panel: Sequence[Row]
    seed: int

    @property
    def rows(self) -> tuple[Row, ...]:
        """All that is done to a scan of the test set."""
        return (*self.panel, SMOOTHED)

    @property
    def scan_ids(self) -> list[str]:
        """The scans in order, those of the test set first."""
        return [*self.test["scan_id"], *self.training["scan_id"]]


def answers_and_binding(scans: PanelScans) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a row for each row of the panel and test scan, and the binding of the others' smoothed scans, in order.

    Raises
    ------
    CohortError : a scan is not in the cohort.
    """
    names = [UNALTERED, *(row.name for row in scans.rows)]
    binding: list[dict[str, float]] = []

    def altered() -> Iterator[Altered]:
        for found in _in_turn(scans):
            if isinstance(found, dict):
                binding.append(found)
            else:
                yield from found

    found = [_row(names, scans.test, each, answer) for each, answer in answer_altered(scans.predictor, altered())]
    answers = pd.DataFrame(found).sort_values(["number", "scan_id"], ignore_index=True)
    return answers, pd.DataFrame(binding)


def _in_turn(scans: PanelScans) -> Iterator[list[Altered] | dict[str, float]]:
    """Yield the results of all scans in order, whichever is done first: so batches are the same each time."""
    n, n_each = len(scans.scan_ids), 1 + len(scans.rows)
    n_volumes = len(scans.test) * n_each + len(scans.training)
    _ = scans.predictor.regions  # before workers are forked
    done: dict[int, list[Altered] | dict[str, float]] = {}
    following = 0
    measured = unordered(partial(_measured, scans), range(n), n_ahead=max(2, _AHEAD // cpu_count()))
    bar: tqdm[None] = progress(None, total=n_volumes, what="robustness", unit="volumes")
    with bar:
        for number, found in measured:
            bar.update(1 if isinstance(found, dict) else n_each)
            done[number] = found
            while following in done:
                yield done.pop(following)
                following += 1


# In a worker


def _measured(scans: PanelScans, number: int) -> tuple[int, list[Altered] | dict[str, float]]:
    """Return a scan of the test set in every row; of one to train on, its binding once it is smoothed."""
    with threadpool_limits(limits=1, user_api="blas"):
        original = _original(scans, scans.scan_ids[number])
        if number < len(scans.test):
            return number, prepare_altered(scans.predictor, original, scans.rows, number)
        binding = measure_binding(smoothed_by(original, SMOOTHING_FWHM_MM), scans.predictor.regions)
        return number, {f"{SBR}{name}": value for name, value in binding.items()}


def _original(scans: PanelScans, scan_id: str) -> Original:
    if scan_id not in scans.path_of:
        raise CohortError(f"scan {scan_id} of the split is not in the cohort; run dvc repro")
    volume = reorient(read_volume(scans.path_of[scan_id]))
    return Original(volume.data, scans.predictor.parts.preprocess.z_offset_voxels, scans.seed, scan_id)


# Of the table


def _row(names: Sequence[str], test: pd.DataFrame, altered: Altered, answer: Answer | None) -> dict[str, Any]:
    scan = test.iloc[altered.scan]
    row: dict[str, Any] = {
        "number": altered.row,
        "row": names[altered.row],
        **{name: scan[name] for name in ("scan_id", "subject_id", "label")},
        "refused": 0,
        "inconclusive": 0,
        "withheld": 0,
        "state": "refused",
        "reason": "",
    }
    if answer is None or not np.isfinite([answer.probability, answer.ratio_probability]).all():
        return row | {"refused": 1}
    ratios = {name: value for name, value in answer.measures.items() if name.startswith(SBR)}
    return (
        row
        | ratios
        | {
            "probability": answer.probability,
            "ratio_probability": answer.ratio_probability,
            "sbr": min(ratios[f"{SBR}putamen_left"], ratios[f"{SBR}putamen_right"]),
            "inconclusive": int(answer.inconclusive and not answer.withheld),
            "withheld": int(bool(answer.withheld)),
            "state": answer.state,
            "reason": "; ".join(answer.withheld),
        }
    )
