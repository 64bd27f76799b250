"""What the training stages read: subjects, their places in the splits and the bank of features, in one order."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from datspect.arrays import BoolArray
from datspect.cohort.kind import CohortKind
from datspect.cohort.table import targets
from datspect.errors import CohortError
from datspect.io.arrays import read_array
from datspect.io.records import read_json
from datspect.io.tables import read_table
from datspect.training.bank import LOWERED, read_bank

_IDS = ["scan_id", "subject_id", "label"]


@dataclass(frozen=True)
class TrainingInputs:
    """The files that a training stage reads."""

    subjects: Path
    cohort: Path
    splits: Path
    bank: Path
    bank_record: Path
    lowered: Path
    boxes: Path

    @classmethod
    def within(cls, images_folder: Path, features_folder: Path, splits: Path) -> Self:
        """Name the files as the stages before wrote them."""
        return cls(
            subjects=images_folder / "subjects.csv",
            cohort=images_folder / "cohort.json",
            splits=splits,
            bank=features_folder / "bank.npy",
            bank_record=features_folder / "features.json",
            lowered=features_folder / LOWERED,
            boxes=images_folder / "striatal_box.npy",
        )

    def paths(self) -> list[Path]:
        """Return all that a fit reads, in a fixed order: not the boxes, from which a study makes banks of its own."""
        of_slabs = [self.lowered] if self.lowered.is_file() else []
        return [self.subjects, self.cohort, self.splits, self.bank, self.bank_record, *of_slabs]


@dataclass(frozen=True)
class TrainingData:
    """What a training stage learns from.

    splits : the split table and `target` (1 for PD, 0 for control), in the order of the subjects in the bank
    bank : shape (draws + 1, N, F), float16
    cohort : its kind and digest
    bank_record : how the bank was made
    lowered : shape (draws, N), controls that count as pd in a draw; None for the bank of an ImageNet network
    """

    splits: pd.DataFrame
    bank: NDArray[np.float16]
    cohort: dict[str, Any]
    bank_record: dict[str, Any]
    lowered: BoolArray | None = None

    @property
    def kind(self) -> CohortKind:
        """Return the kind of the cohort."""
        return CohortKind.of(self.cohort["kind"])

    @property
    def targets(self) -> NDArray[np.int64]:
        """Return 1 for PD and 0 for control, shape (N,)."""
        return self.splits["target"].to_numpy(np.int64)


def in_order(table: pd.DataFrame, scan_ids: "pd.Series[str]", path: Path) -> pd.DataFrame:
    """Return the rows of `table`, which came from `path`, in the order of `scan_ids`.

    Raises
    ------
    CohortError : the table does not hold each of these scans once, and no other.
    """
    if sorted(table["scan_id"]) != sorted(scan_ids):
        odd = (set(table["scan_id"]) ^ set(scan_ids)) | set(table["scan_id"][table["scan_id"].duplicated()])
        raise CohortError(
            f"{path} has {len(table)} scans, expected each of the {len(scan_ids)} of the split table once; missing, "
            f"surplus or repeated: {', '.join(sorted(odd))}; run dvc repro"
        )
    return table.set_index("scan_id").loc[list(scan_ids)].reset_index()


def read_training_data(inputs: TrainingInputs, *, memory_mapped: bool = False) -> TrainingData:
    """Read all of it and check that it belongs together.

    Parameters
    ----------
    memory_mapped
        Leave the bank on disk, for a reader of a part of it.

    Raises
    ------
    CohortError : subjects, splits and bank are not of the same cohort.
    """
    subjects = read_table(inputs.subjects, _IDS)
    splits = read_table(inputs.splits, [*_IDS, "fold", "role", "dev_fold"])
    bank = read_bank(inputs.bank, memory_mapped=memory_mapped)
    if set(subjects["scan_id"]) != set(splits["scan_id"]) or bank.shape[1] != len(subjects):
        raise CohortError(
            f"{inputs.splits} has {len(splits)} scans, {inputs.subjects} {len(subjects)} and the bank {bank.shape[1]}: "
            "they are not of one cohort; run dvc repro"
        )
    ordered = splits.set_index("scan_id").loc[subjects["scan_id"]].reset_index()
    ordered["target"] = targets(ordered["label"])
    record = read_json(inputs.bank_record)
    return TrainingData(ordered, bank, read_json(inputs.cohort), record, read_lowered(inputs))


def read_lowered(inputs: TrainingInputs) -> BoolArray | None:
    """Read which controls count as pd in which draw, shape (draws, N); None for the bank of an ImageNet network."""
    return read_array(inputs.lowered) if inputs.lowered.is_file() else None
