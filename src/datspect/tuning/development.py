"""What a study may see: subjects of the training role, their features, labels and folds; no test subject."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from datspect.arrays import BoolArray, FloatArray, IntArray
from datspect.training.data import TrainingData
from datspect.training.splitting import subject_folds


@dataclass(frozen=True, eq=False)
class Development:
    """Rows of `scans` (columns scan_id, subject_id, label), in the order of the bank's subjects.

    `bank`: shape (draws + 1, N, F); `targets`: 1 for PD, shape (N,); `folds`: from 1, shape (N,).
    """

    scans: pd.DataFrame
    bank: FloatArray
    targets: IntArray
    folds: IntArray

    def only(self, chosen: BoolArray, n_folds: int, seed: int) -> "Development":
        """Some of the subjects, in new folds."""
        scans = self.scans[chosen].reset_index(drop=True)
        folds = subject_folds(scans, n_folds, seed, "inner folds of tune --nested")
        return Development(scans, self.bank[:, chosen], self.targets[chosen], folds)


def development(data: TrainingData) -> Development:
    """The training role with its development folds; test subjects are dropped here, before anything is computed."""
    in_training = (data.splits["role"] == "train").to_numpy()
    scans = data.splits.loc[in_training, ["scan_id", "subject_id", "label"]].reset_index(drop=True)
    folds = data.splits["dev_fold"].to_numpy(np.int64)[in_training]
    return Development(scans, np.asarray(data.bank[:, in_training]), data.targets[in_training], folds)
