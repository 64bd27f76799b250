"""Select what a study may see: features, labels and folds of the training role, and no test subject."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from datspect.arrays import BoolArray, FloatArray, IntArray
from datspect.modeling.ensemble import SlabMaterial
from datspect.params.striatum import AlterParams
from datspect.training.data import TrainingData
from datspect.training.splitting import subject_folds
from datspect.tuning.slab_banks import SlabBanks
from datspect.tuning.space import Configuration


@dataclass(frozen=True, eq=False)
class Development:
    """The N scans that a study sees, in the order of the bank's subjects.

    `scans`: columns scan_id, subject_id, label; `bank`: shape (draws + 1, N, F); `targets`: 1 for PD, shape (N,);
    `folds`: from 1, shape (N,); `slabs`: of small networks, all banks of the training role; `within`: which of its
    scans these N are, shape (N,), None for all.
    """

    scans: pd.DataFrame
    bank: FloatArray
    targets: IntArray
    folds: IntArray
    slabs: SlabBanks | None = None
    within: IntArray | None = None

    def material(self, configuration: Configuration, slabs: SlabBanks) -> SlabMaterial:
        """Return what the small networks of a configuration learn from; `configuration.striatum` must be there."""
        params = configuration.striatum
        if params is None:
            raise ValueError("a configuration of the paper's model has no slabs")
        rows = slice(None) if self.within is None else self.within
        bank, lowered = slabs.of(params.alter)[:, rows], slabs.lowered[:, rows]
        return SlabMaterial(bank, self.targets, lowered, params, configuration.training.batch_size)

    def only(self, chosen: BoolArray, n_folds: int, seed: int) -> "Development":
        """Return the scans that `chosen`, shape (N,), marks, in `n_folds` new folds."""
        scans = self.scans[chosen].reset_index(drop=True)
        folds = subject_folds(scans, n_folds, seed, "inner folds of tune --nested")
        within = np.arange(len(chosen)) if self.within is None else self.within
        return Development(scans, self.bank[:, chosen], self.targets[chosen], folds, self.slabs, within[chosen])


def development(data: TrainingData, boxes: FloatArray | None = None) -> Development:
    """Return the training role with its development folds; it drops test subjects before anything is computed.

    `boxes`: of all scans, shape (N, 65, 57, 33), where small networks are searched, which learn from them.
    """
    in_training = (data.splits["role"] == "train").to_numpy()
    scans = data.splits.loc[in_training, ["scan_id", "subject_id", "label"]].reset_index(drop=True)
    folds = data.splits["dev_fold"].to_numpy(np.int64)[in_training]
    bank = np.asarray(data.bank[:, in_training])
    slabs = None if boxes is None else _slab_banks(data, boxes, in_training, bank)
    return Development(scans, bank, data.targets[in_training], folds, slabs)


def _slab_banks(data: TrainingData, boxes: FloatArray, in_training: BoolArray, bank: FloatArray) -> SlabBanks:
    if data.lowered is None:
        raise ValueError("a bank of features has no lowered controls")
    told = data.bank_record.get("alter")
    return SlabBanks(
        boxes=boxes,
        # Of a test subject nothing is read, not even the label.
        is_control=(data.targets == 0) & in_training,
        rows=np.flatnonzero(in_training),
        features=bank,
        lowered=data.lowered[:, in_training],
        of_features=AlterParams.model_validate(told) if told else None,
    )
