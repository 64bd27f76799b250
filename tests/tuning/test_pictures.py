"""Pictures of a study say what they show, no axes lie over others, and drawing leaves no trace."""

import matplotlib.pyplot as plt
import optuna
import pytest
from matplotlib.figure import Figure
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import RandomSampler

from datspect.tuning.pictures import study_figures
from datspect.tuning.quiet import quiet_optuna
from datspect.tuning.study import MEASURES, Study

SPACE = {
    "dropout": FloatDistribution(0.0, 0.8),
    "width": IntDistribution(32, 128, step=32),
    "initial": FloatDistribution(1e-4, 1e-2, log=True),
    "final": FloatDistribution(1e-7, 1e-4, log=True),
    "drops": IntDistribution(1, 6),
    "schedule": CategoricalDistribution(["step", "cosine", "exponential", "constant"]),
}


def study_of(n_trials: int) -> Study:
    with quiet_optuna():
        study = optuna.create_study(study_name="made-up", sampler=RandomSampler(seed=1))
        study.set_user_attr("id", "made-up")
        for _ in range(n_trials):
            trial = study.ask(SPACE)
            trial.set_user_attr(MEASURES, {})
            study.tell(trial, trial.params["dropout"] + trial.params["width"] / 128)
    return Study(study, "log_loss")


@pytest.fixture(scope="module")
def pictures() -> dict[str, Figure]:
    style = dict(plt.rcParams)
    figures = study_figures(study_of(12), "PHANTOM cohort, simulated")
    assert dict(plt.rcParams) == style  # the next picture looks as if these had not been drawn
    assert not plt.get_fignums()
    for figure in figures.values():
        figure.canvas.draw()
    return figures


def test_every_picture_names_the_study_its_cohort_and_its_score(pictures: dict[str, Figure]) -> None:
    assert sorted(pictures) == ["history", "importances", "parallel", "slices"]
    for name, figure in pictures.items():
        assert figure.get_suptitle() == f"{name}, study made-up, PHANTOM cohort, simulated"
        texts = [text.get_text() for text in figure.findobj(plt.Text)]
        assert "log loss" in texts
        assert not any("Plot" in text or "Importances" in text for text in texts)


@pytest.mark.parametrize("name", ["history", "importances", "slices"])
def test_no_axes_lie_over_others(pictures: dict[str, Figure], name: str) -> None:
    boxes = [axes.get_window_extent() for axes in pictures[name].axes]
    for i, box in enumerate(boxes):
        assert 0 < box.x0 < box.x1 < pictures[name].bbox.x1
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])


def test_a_single_complete_trial_makes_no_picture() -> None:
    assert study_figures(study_of(1), "PHANTOM cohort, simulated") == {}


def test_added_trials_are_in_no_picture_and_change_nothing_in_the_study() -> None:
    study = study_of(3)
    with quiet_optuna():
        study.optuna.tell(study.optuna.ask(), -5.0)
    history = study_figures(study, "PHANTOM cohort, simulated")["history"]
    drawn = [y for line in history.axes[0].lines for y in line.get_ydata()]
    assert min(drawn) > 0
    assert len(study.optuna.trials) == 4
