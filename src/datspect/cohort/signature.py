"""Tell by which camera, as far as can be known, each scan was made: by the grid on which it came, else by its texture.

Of a scan that was placed in MNI space from a grid of its own the import keeps that matrix and spacing. A scan that
came in MNI space has neither: what is left of its camera is how rough and how fine its noise is.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage

from datspect.arrays import FloatArray
from datspect.imaging.texture import Texture

GEOMETRY_NAME, GEOMETRY = "geometry.csv", ("matrix", "spacing")
"""The table, in a cohort folder, of the grids on which registered scans came, and its columns beside scan_id."""
N_CLASSES = 6
"""Classes of resolution of a cohort, at most. On the default phantom, whose 19 sites have cameras of their own, 92 % of
the scans lie in the class that holds most of their site; more classes divide sites, and fewer join more of them."""
_LEAST = 1e-6
"""What has no texture at all, such as a scan of one value, counts as this."""


def signatures(scans: pd.DataFrame, textures: Sequence[Texture]) -> list[str]:
    """Return the signature of each of N scans, such as `128 x 128 x 60, 2.46 x 2.46 x 2.46 mm` or `resolution 2`.

    `scans`: N rows; if they have the columns `GEOMETRY`, both filled for a scan or neither. `textures`: of the N scans.
    """
    known = scans.reindex(columns=list(GEOMETRY), fill_value="").astype(str)
    is_known = (known != "").all(axis=1).to_numpy()
    named = [", ".join(row) for row in known.itertuples(index=False)]
    measured = iter(resolution_classes([one for one, is_there in zip(textures, is_known, strict=True) if not is_there]))
    return [
        name if is_there else f"resolution {next(measured)}" for name, is_there in zip(named, is_known, strict=True)
    ]


def resolution_classes(textures: Sequence[Texture]) -> NDArray[np.int64]:
    """Return the class of each of N textures, shape (N,), from 1, the finest noise, to at most `N_CLASSES`.

    Ward's clusters of roughness and fineness, as logarithms in units of their spread: scans of one camera and protocol
    lie close together. Classes belong to a cohort, and to no scan by itself.
    """
    if len(textures) < 2:
        return np.ones(len(textures), np.int64)
    places = _standardised(np.log(np.maximum(np.asarray(textures, np.float64), _LEAST)))
    n_classes = min(N_CLASSES, len(np.unique(places, axis=0)))
    found = fcluster(linkage(places, "ward"), n_classes, "maxclust")
    fineness = pd.Series([one.fineness for one in textures]).groupby(found).mean().sort_values(ascending=False)
    rank = {cluster: number for number, cluster in enumerate(fineness.index, start=1)}
    return np.array([rank[cluster] for cluster in found], np.int64)


def _standardised(columns: FloatArray) -> FloatArray:
    spread = columns.std(axis=0)
    return np.asarray((columns - columns.mean(axis=0)) / np.where(spread > 0, spread, 1.0))
