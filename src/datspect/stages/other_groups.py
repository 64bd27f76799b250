"""Stage `other_groups`: what the predictor makes of scans that are neither PD nor control; nothing is learnt here."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from datspect.arrays import BoolArray
from datspect.evaluation.baselines import SBR
from datspect.evaluation.other_groups import answers_by_group
from datspect.imaging.slabs import slabs
from datspect.io.arrays import read_array
from datspect.io.records import write_json
from datspect.io.tables import read_table, write_table
from datspect.prediction.judging import MARGIN, MEASURED, image_mean
from datspect.prediction.predictor import Answer, Predictor, PreparedScan
from datspect.running.launch import launch

_IDS = ("scan_id", "subject_id", "label")
_ANSWER = [
    *("state", "probability", "prediction", "ratio_probability", "error_risk", "inconclusive", "withheld", "unlike")
]
"""Of predictions.csv, which is for evaluation: what the network said of withheld scans stands there all the same."""

log = logging.getLogger("datspect.other_groups")


def main(images_folder: Path, splits_path: Path, predictor_folder: Path, reports_folder: Path) -> None:
    """Answer the scans of other groups as `datspect predict` would, and the test set's beside them; write both up."""
    predictor = Predictor.read(predictor_folder)
    others = read_table(images_folder / "other_groups.csv", _IDS)
    everyone = np.ones(len(others), bool)
    answers = _answers(predictor, others, images_folder, ("other_groups.npy", "other_groups_box.npy"), everyone)
    beside = _answers_beside(predictor, images_folder, splits_path) if len(others) else answers
    metrics = {
        **predictor.parts.scope.record,
        "groups": answers_by_group(answers),
        "holdout": answers_by_group(beside),
    }
    write_table(reports_folder / "predictions.csv", answers)
    write_json(reports_folder / "metrics.json", metrics)
    log.info("%d scans of other groups answered (%s)", len(answers), predictor.parts.scope.short)


def _answers_beside(predictor: Predictor, images_folder: Path, splits_path: Path) -> pd.DataFrame:
    """Return the answers to the test set: the measure of what is said of anybody else."""
    quality, subjects = (read_table(images_folder / f"{name}.csv") for name in ("quality", "subjects"))
    splits = read_table(splits_path, ("scan_id", "role"))
    table = quality.merge(subjects[list(_IDS)], on="scan_id", validate="one_to_one")
    is_test = table["scan_id"].isin(splits["scan_id"][splits["role"] == "test"]).to_numpy()
    return _answers(predictor, table, images_folder, ("images.npy", "striatal_box.npy"), is_test)


def _answers(
    predictor: Predictor, table: pd.DataFrame, folder: Path, names: tuple[str, str], chosen: BoolArray
) -> pd.DataFrame:
    """Return a row for each chosen one of `table`, whose order is that of the arrays in `folder`: images and boxes."""
    images, boxes = (folder / name for name in names)
    table, seen = table[chosen], np.asarray(read_array(images, memory_mapped=True)[chosen])
    of_striatum = predictor.parts.model == "striatum"
    views = slabs(read_array(boxes, memory_mapped=True)[chosen]) if of_striatum else [None] * len(table)
    measured = table[[name for name in table.columns if name in (*MEASURED, MARGIN) or name.startswith(SBR)]].astype(
        float
    )
    scans = [
        PreparedScan(None, image, {str(name): row[name] for name in row} | {"image_mean": image_mean(image)}, (), view)
        for row, image, view in zip(measured.to_dict("records"), seen, views, strict=True)
    ]
    answers = pd.DataFrame([_row(answer) for answer in predictor.answers(scans)], table.index, _ANSWER)
    ratios = [f"{SBR}{nucleus}_{side}" for nucleus in ("caudate", "putamen") for side in ("left", "right")]
    return pd.concat([table[list(_IDS)], answers, table.reindex(columns=ratios)], axis=1)


def _row(answer: Answer) -> list[float | int | str]:
    """Return the values of the columns `_ANSWER`."""
    return [
        answer.state,
        answer.probability,
        answer.prediction,
        answer.ratio_probability,
        answer.error_risk,
        int(answer.inconclusive),
        "; ".join(answer.withheld),
        " ".join(answer.unlike),
    ]


if __name__ == "__main__":
    launch(main, "reports_folder")
