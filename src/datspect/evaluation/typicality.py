"""Is this a scan of the kind that was learnt from? How far its features lie from those of the training cohort.

What is kept of the cohort are means, directions and variances, nothing of a single subject.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from datspect.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Typicality:
    """A Gaussian with `K` free directions in a space of `F` features, all other directions having one variance.

    `mean`: shape (F,); `directions`: shape (K, F), orthonormal rows; `variances`: shape (K,); `rest_variance`: of each
    of the F - K other directions; `limit`: distances above it are untypical.
    """

    mean: FloatArray
    directions: FloatArray
    variances: FloatArray
    rest_variance: float
    limit: float

    def distances(self, features: FloatArray) -> FloatArray:
        """Mahalanobis distances from the mean over sqrt(F), shape (N,): near 1 for subjects like those learnt from."""
        centred = np.asarray(features, np.float64) - self.mean
        along = centred @ self.directions.T
        rest = np.maximum((centred**2).sum(axis=1) - (along**2).sum(axis=1), 0)
        squared = (along**2 / self.variances).sum(axis=1) + rest / self.rest_variance
        return np.asarray(np.sqrt(squared / len(self.mean)))

    def is_typical(self, features: FloatArray) -> BoolArray:
        """Whether each subject, shape (N, F), lies within the limit."""
        return np.asarray(self.distances(features) <= self.limit)


def fit_typicality(
    features: FloatArray,
    folds: IntArray,
    *,
    n_directions: int,
    share: float,
    features_by_fold: Mapping[int, FloatArray] | None = None,
) -> Typicality:
    """Describe a cohort's features, shape (N, F).

    The limit is the distance within which the share `share` of the subjects lies, each measured by a description of
    the other `folds`, shape (N,): to its own description every subject is nearer than a stranger is. A network that
    was trained on a subject knows it too; where networks were, `features_by_fold` has for each fold what the network
    makes of all subjects that was trained on the other folds.

    References
    ----------
    Tipping, Bishop, "Probabilistic principal component analysis", J. R. Stat. Soc. B 61 (1999), 611-622.
    """
    held_out = np.empty(len(features))
    for fold in np.unique(folds):
        members = folds == fold
        seen = features if features_by_fold is None else features_by_fold[int(fold)]
        held_out[members] = _described(seen[~members], n_directions).distances(seen[members])
    described = _described(features, n_directions)
    limit = float(np.quantile(held_out, share, method="higher"))
    return Typicality(described.mean, described.directions, described.variances, described.rest_variance, limit)


def _described(features: FloatArray, n_directions: int) -> Typicality:
    """By maximum likelihood; as many directions as the subjects allow, at most `n_directions`; without a limit."""
    features = np.asarray(features, np.float64)
    n, n_features = features.shape
    mean = features.mean(axis=0)
    _, values, directions = np.linalg.svd(features - mean, full_matrices=False)
    kept = min(n_directions, n - 2, n_features - 1)
    variances = values**2 / n
    rest = float(variances[kept:].sum()) / (n_features - kept)
    floor = np.finfo(np.float32).eps * max(float(variances.sum()), 1.0)  # a constant feature has no variance
    return Typicality(mean, directions[:kept], np.maximum(variances[:kept], floor), max(rest, floor), np.inf)
