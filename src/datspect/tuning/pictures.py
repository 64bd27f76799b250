"""Draw a study: its history, its values in parallel, which of them matter, and slices through the space."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import optuna
from matplotlib.category import StrCategoryFormatter
from matplotlib.figure import Figure
from optuna.visualization import matplotlib as drawn

from datspect.text import in_figure
from datspect.tuning.quiet import quiet_optuna
from datspect.tuning.scoring import TITLES
from datspect.tuning.study import Study

_DRAWN: Mapping[str, Callable[..., Any]] = {
    "history": drawn.plot_optimization_history,
    "parallel": drawn.plot_parallel_coordinate,
    "importances": drawn.plot_param_importances,
    "slices": drawn.plot_slice,
}
_STYLE = {"figure.constrained_layout.use": True, "figure.figsize": (12, 6)}
_FEWEST_TRIALS = 2  # complete ones; with fewer, neither importances nor slices exist


def study_figures(study: Study, title: str) -> dict[str, Figure]:
    """Return pictures by name, with `title` above each; none while fewer than two trials are complete."""
    complete = [trial for trial in study.trials() if trial.state == "complete"]
    if len(complete) < _FEWEST_TRIALS:
        return {}
    with quiet_optuna():
        shown, score = study.without_added(), TITLES[study.objective]
    return {name: _figure(draw, shown, score, f"{name}, study {study.name}, {title}") for name, draw in _DRAWN.items()}


def _figure(draw: Callable[..., Any], study: optuna.Study, score: str, title: str) -> Figure:
    with quiet_optuna(), warnings.catch_warnings(), plt.rc_context(_STYLE):  # Optuna changes the style for good
        warnings.simplefilter("ignore", UserWarning)  # few trials make rough pictures, and they show it
        axes = np.ravel(draw(study, target_name=score))
    figure: Figure = axes[0].figure
    plt.close(figure)  # or pyplot keeps it for good
    figure.set_size_inches(12, 6)
    for each in axes:
        for place in ("left", "center"):
            each.set_title("", loc=place)
        if isinstance(each.xaxis.get_major_formatter(), StrCategoryFormatter):
            each.tick_params(axis="x", labelrotation=30)
    figure.suptitle(in_figure(title), fontsize=11)
    return figure
