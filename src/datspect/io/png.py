"""Write figures as PNG files whose bytes repeat."""

from pathlib import Path
from typing import TYPE_CHECKING

from datspect.io.atomic import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 120


def write_figure(path: Path, figure: "Figure") -> None:
    """Write `figure` as PNG without software name and time: equal figures give equal bytes."""
    with replacing(path) as unfinished:
        figure.savefig(unfinished, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
