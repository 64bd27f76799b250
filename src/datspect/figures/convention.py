"""Turn slices for the eye and mark the patient's sides; what a network sees is never turned."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from datspect.params.figures import Convention

DEFAULT_CONVENTION: Convention = "radiological"
"""Where no params.yaml is read."""


def as_displayed(images: NDArray[Any], convention: Convention, columns: int = -1) -> NDArray[Any]:
    """Return images as a convention shows them; their axis `columns` runs from the patient's left to the right.

    >>> as_displayed(np.array([[1, 2, 3]]), "radiological").tolist(), as_displayed(np.array([[1]]), "neurological")
    ([[3, 2, 1]], array([[1]]))
    """
    return np.flip(images, axis=columns) if convention == "radiological" else images


def ends(convention: Convention) -> tuple[str, str]:
    """Return which of the patient's sides lie on the left and on the right of a picture.

    >>> ends("radiological")
    ('R', 'L')
    """
    return ("R", "L") if convention == "radiological" else ("L", "R")


def sides_note(convention: Convention) -> str:
    """Return in words what the marks mean, for a caption.

    >>> sides_note("radiological")
    "R and L are the patient's sides (radiological convention)"
    """
    return f"R and L are the patient's sides ({convention} convention)"


def mark_ends(axes: Axes, marks: tuple[str, str], *, colour: str = "white", points: float = 9) -> None:
    """Write marks into the lower corners of a picture, the first one on the left."""
    for place, mark, side in zip((0.03, 0.97), marks, ("left", "right"), strict=True):
        axes.text(place, 0.03, mark, color=colour, fontsize=points, ha=side, va="bottom", transform=axes.transAxes)
