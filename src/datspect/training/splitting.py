"""Gives every subject a cross-validation fold, a role, and a development fold inside the training role."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from datspect.errors import CohortError, ParamsError
from datspect.params.data import SplitParams

NO_FOLD = 0
"""`dev_fold` of a test subject, who takes part in no development."""


def assign_splits(subjects: pd.DataFrame, params: SplitParams) -> pd.DataFrame:
    """Draw stratified folds, test set and development folds; they are the same for any order of the rows.

    Parameters
    ----------
    subjects
        Columns scan_id, subject_id, label. Scans of one subject stay together.
    params
        Section `split`.

    Returns
    -------
    Columns scan_id, subject_id, label, fold (1 to n_folds, over all subjects), role (train or test) and dev_fold
    (1 to n_dev_folds inside the training role, `NO_FOLD` in the test role); a row a scan, sorted by scan_id.

    Raises
    ------
    CohortError : a subject has two labels.
    ParamsError : the cohort is too small for the folds or the test set that params.yaml asks for.
    """
    people = _people(subjects)
    fold_state, role_state, dev_state = (int(state) for state in np.random.SeedSequence(params.seed).generate_state(3))
    people["fold"] = _folds("split.n_folds", params.n_folds, people["label"], fold_state)
    people["role"] = np.where(people.index.isin(_test_subjects(people["label"], params, role_state)), "test", "train")
    in_training = people["role"] == "train"
    people["dev_fold"] = NO_FOLD
    people.loc[in_training, "dev_fold"] = _folds(
        "split.n_dev_folds", params.n_dev_folds, people.loc[in_training, "label"], dev_state
    )
    scans = subjects[["scan_id", "subject_id"]].sort_values("scan_id", ignore_index=True)
    return scans.join(people, on="subject_id")


def subject_folds(scans: pd.DataFrame, n_folds: int, seed: int, purpose: str) -> npt.NDArray[np.int64]:
    """Return stratified folds, 1 to `n_folds`, one for each scan, shape (N,); scans of a subject share one.

    `scans`: columns subject_id, label; `purpose` names the folds in an error.

    Raises
    ------
    ParamsError : a class has fewer subjects than there are folds.
    """
    people = _people(scans)
    folds = _folds(purpose, n_folds, people["label"], seed)
    return scans["subject_id"].map(folds).to_numpy(np.int64)


def _people(subjects: pd.DataFrame) -> pd.DataFrame:
    # Sorted, so that what a subject is given does not depend on where it stood.
    people = subjects[["subject_id", "label"]].drop_duplicates().sort_values("subject_id")
    doubtful = sorted(set(people.loc[people["subject_id"].duplicated(), "subject_id"]))
    if doubtful:
        raise CohortError(f"subject(s) with two labels: {', '.join(doubtful)}; a subject has one diagnosis")
    return people.set_index("subject_id")


def _folds(key: str, n_folds: int, labels: pd.Series, state: int) -> pd.Series:
    from sklearn.model_selection import StratifiedKFold  # here, since most who import this module draw no folds

    _check_folds(key, n_folds, labels)
    folds = pd.Series(NO_FOLD, index=labels.index)
    splitter = StratifiedKFold(n_folds, shuffle=True, random_state=state)
    for number, (_, validation) in enumerate(splitter.split(np.zeros(len(labels)), labels), start=1):
        folds.iloc[validation] = number
    return folds


def _check_folds(key: str, n_folds: int, labels: pd.Series) -> None:
    counts = labels.value_counts()
    if len(counts) < 2:
        raise CohortError(f"only label {', '.join(counts.index)} in the cohort; expected control and pd")
    if n_folds > counts.min():
        where = "subjects" if key == "split.n_folds" else "subjects in the training role"
        raise ParamsError(f"{key} = {n_folds}: at most {counts.min()}, the number of {counts.idxmin()} {where}")


def _test_subjects(labels: pd.Series, params: SplitParams, state: int) -> list[str]:
    if params.test_per_class is None:
        return _stratified_test_subjects(labels, params.test_fraction, state)
    sizes = params.test_per_class.model_dump()
    return [subject for label in sizes for subject in _test_subjects_of_class(labels, label, sizes[label], state)]


def _stratified_test_subjects(labels: pd.Series, fraction: float, state: int) -> list[str]:
    from sklearn.model_selection import train_test_split  # here, as in `_folds`

    n_test = int(np.ceil(fraction * len(labels)))
    if 2 <= n_test <= len(labels) - 2:
        train, test = train_test_split(labels, test_size=fraction, stratify=labels, random_state=state)
        if train.nunique() == test.nunique() == labels.nunique():
            return list(test.index)
    raise ParamsError(
        f"split.test_fraction = {fraction:g}: each class needs a subject to test and one to train on, and the "
        f"cohort has {_sizes(labels)}; choose another fraction or set split.test_per_class"
    )


def _test_subjects_of_class(labels: pd.Series, label: str, size: int, state: int) -> list[str]:
    from sklearn.model_selection import train_test_split  # here, as in `_folds`

    members = list(labels.index[labels == label])
    if size >= len(members):
        raise ParamsError(
            f"split.test_per_class.{label} = {size}: at most {len(members) - 1}, so that one of the {len(members)} "
            f"{label} subjects is left to train on"
        )
    _, test = train_test_split(members, test_size=size, random_state=state)
    return list(test)


def _sizes(labels: pd.Series) -> str:
    return " + ".join(f"{count} {label}" for label, count in labels.value_counts().sort_index().items())
