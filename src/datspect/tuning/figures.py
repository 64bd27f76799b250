"""Pictures of a study: its history, its values in parallel, which of them matter, and slices through the space."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from optuna.visualization import matplotlib as drawn

from datspect.tuning.quiet import quiet_optuna
from datspect.tuning.study import Study

_DRAWN: Mapping[str, Callable[..., Any]] = {
    "history": drawn.plot_optimization_history,
    "parallel": drawn.plot_parallel_coordinate,
    "importances": drawn.plot_param_importances,
    "slices": drawn.plot_slice,
}
_FEWEST_TRIALS = 2  # complete ones: below that neither importances nor slices exist


def study_figures(study: Study, title: str) -> dict[str, Figure]:
    """By name, with `title` above; none while fewer than two trials are complete."""
    complete = [trial for trial in study.trials() if trial.state == "complete"]
    if len(complete) < _FEWEST_TRIALS:
        return {}
    return {name: _figure(draw, study, f"{name}, study {study.name}, {title}") for name, draw in _DRAWN.items()}


def _figure(draw: Callable[..., Any], study: Study, title: str) -> Figure:
    with quiet_optuna(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # few trials make rough pictures, as anybody sees in them
        axes = draw(study.optuna)
    figure: Figure = np.ravel(axes)[0].figure
    plt.close(figure)  # else pyplot would keep it for good
    figure.set_size_inches(12, 6)
    figure.subplots_adjust(bottom=0.2)  # names of values stand below the axes, aslant
    for each in np.ravel(axes):
        each.set_title("")
    figure.suptitle(title, fontsize=11)
    return figure
