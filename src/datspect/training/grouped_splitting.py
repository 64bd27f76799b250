"""Gives every subject a grouped fold: whole groups, such as all scans of a site, are held out at once."""

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from datspect.arrays import FloatArray, IntArray
from datspect.errors import CohortError

LARGEST_SHARE = 0.5
"""Share of the subjects that one group may hold: more, and a network that is tested on it has learnt from the fewer."""
_MOST_EXCHANGES = 1000
_LEAST_GAIN = 1e-12
_NAMED = 5


def assign_grouped_folds(scans: pd.DataFrame, groups: "pd.Series[str]", n_folds: int, seed: int, what: str) -> IntArray:
    """Return the grouped fold of each scan, from 1, shape (N,): no group and no subject lies in two.

    Groups that share a subject count as one. There are `n_folds` folds, or as many as groups if these are fewer. Folds
    are as alike in their numbers of both labels as groups allow; the order of the rows does not matter.

    Parameters
    ----------
    scans
        Columns subject_id, label.
    groups
        The group of each scan; `what` says in an error what they are.
    seed
        Decides between folds that are equally good.

    Raises
    ------
    CohortError : a scan has no group; there is one group only, or one holds more than `LARGEST_SHARE` of the subjects;
        or all subjects of a label lie in one fold, so that nobody with it is left to train on.
    """
    _check_presence(scans, groups, what)
    joined = _joined_groups(scans["subject_id"], groups)
    is_first = ~scans["subject_id"].duplicated()
    counts = pd.crosstab(joined[is_first], scans["label"][is_first])
    _check_sizes(counts, groups, what)
    fold_of = pd.Series(_balanced(counts.to_numpy(), min(n_folds, len(counts)), seed), index=counts.index)
    in_folds = counts.groupby(fold_of).sum()
    alone = [label for label in counts if (in_folds[label] == counts[label].sum()).any()]
    if alone:
        raise CohortError(
            f"{what}: all {' and all '.join(map(str, alone))} subjects lie in groups of one grouped fold, and nobody "
            "is left to train on; choose another group, or none (split.group)"
        )
    return fold_of.loc[joined].to_numpy(np.int64)


def _check_presence(scans: pd.DataFrame, groups: "pd.Series[str]", what: str) -> None:
    missing = scans["scan_id"][(groups == "").to_numpy()].tolist()
    if missing:
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        raise CohortError(
            f"{what}: unknown for {len(missing)} of {len(groups)} scans ({', '.join(missing[:_NAMED])}{more}), any of "
            "which may share a camera with the others; fill it in in participants.tsv, or set split.group: signature"
        )


def _joined_groups(subjects: "pd.Series[str]", groups: "pd.Series[str]") -> "pd.Series[str]":
    """Return for each scan the first name among all groups that are bound to its own by subjects of both."""
    (of_subject, _), (of_group, names) = pd.factorize(subjects, sort=True), pd.factorize(groups, sort=True)
    n = int(of_subject.max()) + 1
    bonds = coo_matrix((np.ones(len(groups)), (of_group, len(names) + of_subject)), shape=(len(names) + n,) * 2)
    _, parts = connected_components(bonds, directed=False)
    first: dict[int, str] = {}
    for part, name in zip(parts, names, strict=False):  # after the groups stand the subjects
        first.setdefault(part, name)
    return pd.Series([first[part] for part in parts[of_group]], index=groups.index)


def _check_sizes(counts: pd.DataFrame, groups: "pd.Series[str]", what: str) -> None:
    sizes = counts.sum(axis=1)
    joined = f" ({groups.nunique()} before those that share a subject were joined)"
    after = joined if len(sizes) < groups.nunique() else ""
    if len(sizes) < 2:
        raise CohortError(f"{what}: one group only{after}; grouped folds need two or more, or set split.group: none")
    if sizes.max() > LARGEST_SHARE * sizes.sum():
        raise CohortError(
            f"{what}: group {sizes.idxmax()} holds {sizes.max()} of {sizes.sum()} subjects{after}, more than "
            f"{100 * LARGEST_SHARE:.0f} %, and too few would be left to train on; choose another group, or none "
            "(split.group)"
        )


def _balanced(counts: IntArray, n_folds: int, seed: int) -> IntArray:
    """Return the fold of each of G groups, from 1, shape (G,); `counts`: subjects by label, shape (G, labels).

    Groups are dealt out, larger ones first, each to where it fits best. Then two of them change places, or one moves,
    as long as that brings the folds' shares of each label nearer to each other.
    """
    shares = counts / counts.sum(axis=0)
    folds = _dealt_out(shares, n_folds, np.random.default_rng(seed))
    # One nobody a fold: to change places with it is to move.
    members = np.concatenate([shares, np.zeros((n_folds, shares.shape[1]))])
    places = np.concatenate([folds, np.arange(n_folds)])
    is_nobody = np.arange(len(members)) >= len(counts)
    for _ in range(_MOST_EXCHANGES):
        alone = ~is_nobody & (np.bincount(places[~is_nobody], minlength=n_folds)[places] == 1)
        gains = _gains(members, places, n_folds)
        gains[np.ix_(alone, is_nobody)] = gains[np.ix_(is_nobody, alone)] = 0
        first, second = np.unravel_index(np.argmax(gains), gains.shape)
        if gains[first, second] < _LEAST_GAIN:
            break
        # Both are groups, or one is a nobody, who belongs to a fold and stays there.
        left, right = places[first], places[second]
        if not is_nobody[first]:
            places[first] = right
        if not is_nobody[second]:
            places[second] = left
    return np.asarray(places[: len(counts)] + 1, np.int64)


def _dealt_out(shares: FloatArray, n_folds: int, rng: np.random.Generator) -> IntArray:
    order = rng.permutation(len(shares))
    order = order[np.argsort(-(shares**2).sum(axis=1)[order], kind="stable")]
    folds, sums = np.zeros(len(shares), np.int64), np.zeros((n_folds, shares.shape[1]))
    for rank, group in enumerate(order):
        # The first ones to a fold each, so that none stays empty.
        fold = rank if rank < n_folds else int(np.argmin(sums @ shares[group]))
        folds[group] = fold
        sums[fold] += shares[group]
    return folds


def _gains(members: FloatArray, places: IntArray, n_folds: int) -> FloatArray:
    """Return by how much the sum over folds of squared shares falls if two members change places, shape (M, M)."""
    sums = np.zeros((n_folds, members.shape[1]))
    np.add.at(sums, places, members)
    change = members[None, :, :] - members[:, None, :]
    apart = sums[places][:, None, :] - sums[places][None, :, :]
    return np.asarray(-2 * (change * (change + apart)).sum(axis=2))
