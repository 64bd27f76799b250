"""Reconstruct projections as clinics do: filtered backprojection, and ordered-subset expectation maximisation."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d

from datspect.phantom.projector import N_ANGLES, N_BINS, Activity, Projections, Projector

N_SUBSETS = 8
_TINY = np.float32(1e-6)


@dataclass(frozen=True)
class Subsets:
    """What the reconstruction believes of the camera, in ordered subsets of angles.

    model : what it leaves out, attenuation or blur, is not corrected
    angles : of each subset
    sensitivities : what each subset sees of every voxel, shape (subsets, X, Y, Z)
    """

    model: Projector
    angles: tuple[range, ...]
    sensitivities: NDArray[np.float32]


def build_subsets(model: Projector, n_subsets: int = N_SUBSETS) -> Subsets:
    """Return subsets in the order of reversed bits: those that follow each other see the head from far apart."""
    width = max(1, (n_subsets - 1).bit_length())
    order = [int(f"{i:0{width}b}"[::-1], 2) for i in range(2**width)]
    angles = tuple(range(first, N_ANGLES, n_subsets) for first in order if first < n_subsets)
    ones = np.ones((N_ANGLES // n_subsets, N_BINS, model.shape[2]), dtype=np.float32)
    return Subsets(model, angles, np.stack([np.maximum(model.back(ones, subset), _TINY) for subset in angles]))


def osem(counts: Projections, scatter: Projections | None, subsets: Subsets, n_iterations: int) -> Activity:
    """Return the activity that explains `counts` after `n_iterations` over all subsets, shape (X, Y, ..., Z).

    `scatter`: the scatter to expect, shape of `counts`; None: it is not corrected. Hudson and Larkin 1994,
    doi:10.1109/42.363108.
    """
    estimate = _even(counts, subsets)
    heads = tuple(range(2, counts.ndim - 1))
    for _ in range(n_iterations):
        for angles, sensitivity in zip(subsets.angles, subsets.sensitivities, strict=True):
            expected = subsets.model.forward(estimate, angles)
            if scatter is not None:
                expected += scatter[angles.start :: angles.step]
            np.maximum(expected, _TINY, out=expected)
            ratio = np.divide(counts[angles.start :: angles.step], expected, out=expected)
            estimate *= subsets.model.back(ratio, angles)
            estimate /= np.expand_dims(sensitivity, heads)
    return estimate


def _even(counts: Projections, subsets: Subsets) -> Activity:
    """Return the even activity, one value a head, from which `osem` begins, shape (X, Y, ..., Z)."""
    seen = subsets.sensitivities.sum(dtype=np.float64)
    volume = np.empty((*subsets.model.shape[:2], *counts.shape[2:]), dtype=np.float32)
    for head in np.ndindex(*counts.shape[2:-1]):
        of_head = (slice(None), slice(None), *head)
        volume[of_head] = np.ascontiguousarray(counts[of_head]).sum(dtype=np.float64) / seen
    return volume


def filtered_backprojection(counts: Projections, model: Projector) -> Activity:
    """Return the filtered backprojection, shape (X, Y, ..., Z), with a ramp under a Hann window.

    `model` must know neither attenuation nor blur: nothing is corrected.
    """
    filtered = convolve1d(counts, _filter_kernel(), axis=1, mode="constant").astype(np.float32)
    return np.asarray(model.back(filtered) * np.float32(np.pi / N_ANGLES), dtype=np.float32)


def _filter_kernel() -> NDArray[np.float64]:
    """Return the ramp filter under its window as a kernel of 2 N_BINS - 1 bins.

    The ramp's own kernel (Kak and Slaney 1988, chapter 3) keeps the level of a uniform disc; a Hann window is a mean of
    neighbours, a half of the bin itself and a quarter of each beside it, for a window that ends at half a cycle a bin.
    """
    offsets = np.arange(-N_BINS, N_BINS + 1)
    odd = offsets % 2 == 1
    ramp = np.where(offsets == 0, 0.25, 0.0)
    ramp[odd] = -1 / (np.pi * offsets[odd]) ** 2
    return np.asarray(ramp[:-2] / 4 + ramp[1:-1] / 2 + ramp[2:] / 4)
