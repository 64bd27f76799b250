"""Signatures: the grid where it is known, else classes of resolution that keep cameras together."""

import numpy as np
import pandas as pd

from datspect.cohort.signature import N_CLASSES, resolution_classes, signatures
from datspect.imaging.texture import Texture


def cameras(rng: np.random.Generator, n_each: int = 20) -> list[Texture]:
    """Scans of six cameras, scattered far less than the cameras differ."""
    centres = [(0.10, 0.36), (0.13, 0.42), (0.16, 0.38), (0.19, 0.44), (0.22, 0.36), (0.25, 0.41)]
    return [
        Texture(*(value * np.exp(0.01 * rng.normal()) for value in centre)) for centre in centres for _ in range(n_each)
    ]


def test_each_of_six_cameras_is_a_class_from_the_finest_to_the_coarsest(rng):
    textures = cameras(rng)
    found = resolution_classes(textures).reshape(6, -1)
    assert (found == found[:, :1]).all()
    assert sorted(found[:, 0]) == [1, 2, 3, 4, 5, 6]
    fineness = [
        np.mean([one.fineness for one, k in zip(textures, found.ravel(), strict=True) if k == n]) for n in range(1, 7)
    ]
    assert fineness == sorted(fineness, reverse=True)


def test_classes_do_not_depend_on_the_order_of_the_scans(rng):
    textures = cameras(rng)
    order = rng.permutation(len(textures))
    np.testing.assert_array_equal(resolution_classes([textures[k] for k in order]), resolution_classes(textures)[order])


def test_there_are_no_more_classes_than_scans_that_differ():
    assert resolution_classes([]).tolist() == []
    assert resolution_classes([Texture(0.1, 0.4)]).tolist() == [1]
    assert set(resolution_classes([Texture(0.1, 0.4)] * 5)) == {1}
    assert len(set(resolution_classes([Texture(0.1, 0.4), Texture(0.2, 0.3), Texture(0.1, 0.4)]))) == 2
    assert len(set(resolution_classes([Texture(0.1 + k / 100, 0.4) for k in range(30)]))) == N_CLASSES


def test_a_grid_that_is_known_goes_before_the_grain(rng):
    scans = pd.DataFrame(
        {"scan_id": ["A", "B", "C"], "matrix": ["128 x 128 x 60", "", ""], "spacing": ["2 x 2 x 2 mm", "", ""]}
    )
    found = signatures(scans, [Texture(0.1, 0.4), Texture(0.2, 0.3), Texture(0.1, 0.4)])
    assert found == ["128 x 128 x 60, 2 x 2 x 2 mm", "resolution 2", "resolution 1"]
    assert signatures(scans[["scan_id"]], [Texture(0.1, 0.4)] * 3) == ["resolution 1"] * 3
