"""Judge whether a scan is of the kind that was learnt from, by its distance from the features of the training cohort.

Means, directions and variances are kept of the cohort, and nothing of a single subject.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from datspect.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Typicality:
    """A Gaussian with `K` free directions in a space of `F` features; all other directions have one variance.

    `mean`: shape (F,); `directions`: shape (K, F), orthonormal rows; `variances`: shape (K,); `rest_variance`: of each
    of the F - K other directions; `limit`: distances above it are untypical.
    """

    mean: FloatArray
    directions: FloatArray
    variances: FloatArray
    rest_variance: float
    limit: float

    def distances(self, features: FloatArray) -> FloatArray:
        """Return Mahalanobis distances over sqrt(F), shape (N,), of features (N, F); near 1 is like the cohort."""
        centred = np.asarray(features, np.float64) - self.mean
        along = centred @ self.directions.T
        rest = np.maximum((centred**2).sum(axis=1) - (along**2).sum(axis=1), 0)
        squared = (along**2 / self.variances).sum(axis=1) + rest / self.rest_variance
        return np.asarray(np.sqrt(squared / len(self.mean)))

    def is_typical(self, features: FloatArray) -> BoolArray:
        """Return whether each subject lies within the limit, shape (N,); `features` has shape (N, F)."""
        return np.asarray(self.distances(features) <= self.limit)


def held_out_distances(
    features: FloatArray,
    folds: IntArray,
    *,
    n_directions: int,
    features_by_fold: Mapping[int, FloatArray] | None = None,
) -> FloatArray:
    """Return how far each subject lies from a description of the other `folds`, all of shape (N,).

    Every subject is nearer to its own description than a stranger is. A network that was trained on a subject knows it
    too. If networks were trained, `features_by_fold` has for each fold the features of all subjects, shape (N, F), by
    the network that was trained on the other folds.
    """
    distances = np.empty(len(features))
    for fold in np.unique(folds):
        members = folds == fold
        seen = features if features_by_fold is None else features_by_fold[int(fold)]
        distances[members] = _described(seen[~members], n_directions).distances(seen[members])
    return distances


def fit_typicality(features: FloatArray, held_out: FloatArray, *, n_directions: int, share: float) -> Typicality:
    """Describe a cohort's features, shape (N, F).

    The limit is the distance within which the share `share` of the subjects lies; `held_out` is how far each lies, as
    `held_out_distances` has it, shape (N,).

    References
    ----------
    Tipping, Bishop, "Probabilistic principal component analysis", J. R. Stat. Soc. B 61 (1999), 611-622.
    """
    described = _described(features, n_directions)
    limit = float(np.quantile(held_out, share, method="higher"))
    return Typicality(described.mean, described.directions, described.variances, described.rest_variance, limit)


def _described(features: FloatArray, n_directions: int) -> Typicality:
    """Describe features by maximum likelihood with up to `n_directions`, as far as subjects allow; without a limit."""
    features = np.asarray(features, np.float64)
    n, n_features = features.shape
    mean = features.mean(axis=0)
    _, values, directions = np.linalg.svd(features - mean, full_matrices=False)
    kept = min(n_directions, n - 2, n_features - 1)
    variances = values**2 / n
    rest = float(variances[kept:].sum()) / (n_features - kept)
    floor = np.finfo(np.float32).eps * max(float(variances.sum()), 1.0)  # a constant feature has no variance
    return Typicality(mean, directions[:kept], np.maximum(variances[:kept], floor), max(rest, floor), np.inf)
