"""Stage `split`: give every subject a cross-validation fold, a role and a development fold."""

import logging
from pathlib import Path

from datspect.io.tables import read_table, write_table
from datspect.params.base import PARAMS_PATH, Sections, read_params
from datspect.params.data import SplitParams
from datspect.running.launch import launch
from datspect.training.splitting import assign_splits

log = logging.getLogger("datspect.split")


class Read(Sections):
    """The sections that the stage reads."""

    split: SplitParams


def main(subjects_path: Path, splits_path: Path, params_path: Path = PARAMS_PATH) -> None:
    """Read the subject table, write the splits (columns: see `assign_splits`)."""
    params = read_params(Read, params_path).split
    splits = assign_splits(read_table(subjects_path, ("scan_id", "subject_id", "label")), params)
    write_table(splits_path, splits)
    n_test = int((splits["role"] == "test").sum())
    log.info(
        "%d scans: %d folds over all; %d to train on (%d development folds), %d to test",
        *(len(splits), params.n_folds, len(splits) - n_test, params.n_dev_folds, n_test),
    )


if __name__ == "__main__":
    launch(main, "splits_path")
