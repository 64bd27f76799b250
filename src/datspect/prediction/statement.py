"""Say in words what a model's answers are worth, and at which prevalence of PD."""

from datspect.cohort.kind import CohortKind
from datspect.evaluation.doubt import is_informative, promise
from datspect.prediction.files import PredictorParts
from datspect.reporting.paper_tables import with_interval

NO_DIAGNOSIS = "Research only, no diagnosis."


def statement(parts: PredictorParts, prevalence: float | None = None) -> str:
    """Return what the answers are worth, and at which prevalence of PD; None is that of training."""
    return " ".join([*remarks(parts, prevalence), NO_DIAGNOSIS])


def remarks(parts: PredictorParts, prevalence: float | None = None) -> list[str]:
    """Return the same by subject: training, what is inconclusive, what is withheld, normal ranges, prevalence."""
    return [
        _training_note(parts),
        _doubt_note(parts),
        _withheld_note(parts),
        _range_note(parts),
        _prevalence_note(parts, prevalence),
    ]


def percent(share: float) -> str:
    """Return a share in percent.

    >>> percent(0.0095), percent(0.68)
    ('0.95 %', '68 %')
    """
    return f"{100 * share:.3g} %"


def bounded(probability: float, digits: int = 3) -> str:
    """Return a probability with so many digits, never rounded to certainty.

    >>> bounded(0.973), bounded(0.9999), bounded(0.0), bounded(0.99994, digits=4)
    ('0.973', 'above 0.999', 'below 0.001', 'above 0.9999')
    """
    least = 10.0**-digits
    if probability < least:
        return f"below {least:.{digits}f}"
    if probability > 1 - least:
        return f"above {1 - least:.{digits}f}"
    return f"{probability:.{digits}f}"


def _training_note(parts: PredictorParts) -> str:
    """Return whom the model was trained on, and how many of its answers were conclusive and right."""
    is_phantom = parts.scope.kind is CohortKind.PHANTOM
    model = f"The model (recipe {parts.recipe})" if parts.recipe else "The model"
    kind = "a PHANTOM cohort: it says nothing about patients" if is_phantom else "real scans"
    coverage = f"{with_interval(parts.measures, 'coverage')} of these were conclusive"
    right = with_interval(parts.measures, "conclusive_accuracy")
    return (
        f"{model} was trained on {parts.n_train} subjects of {kind}. Out of fold {coverage}"
        f"{f', {right} of them right' if right else ''}."
    )


def _doubt_note(parts: PredictorParts) -> str:
    """Return what is promised of conclusive answers, and whether calling others inconclusive helps."""
    words = promise(parts.measures) or "nothing can be said of conclusive answers"
    note = f"{words[0].upper()}{words[1:]}, if scans are like those of training."
    if is_informative(parts.measures):
        return f"{note} Of the wrong ones {with_interval(parts.measures, 'errors_found')} were called inconclusive."
    return f"{note} What is called inconclusive was not shown to hold more errors than a draw by lot."


def _withheld_note(parts: PredictorParts) -> str:
    """Return how many new scans of the training cohort are withheld: the share is that of exchangeable ones."""
    return (
        "A scan far from those of training is withheld: it has no class. So are at most "
        f"{percent(parts.withholding.at_most)} of new scans of the cohort that the model was trained on; of other "
        "sites' it may be more."
    )


def _range_note(parts: PredictorParts) -> str:
    """Return whom the z-scores are held against."""
    if parts.controls is None:
        return "No normal range is kept with this model: there were too few controls, or it is of an earlier release."
    by_age_sex = "by age and sex where both are given" if parts.controls.by_age_sex else "whatever their age and sex"
    return (
        f"z is a binding ratio among those of the {parts.controls.everyone.n} controls of training, {by_age_sex}: 95 "
        "of 100 controls lie between -1.96 and 1.96."
    )


def _prevalence_note(parts: PredictorParts, prevalence: float | None) -> str:
    """Return for which share of PD probabilities and classes are, and what holds at any."""
    trained = percent(parts.prevalence)
    if prevalence is None:
        return (
            f"P(PD) and class are for {trained} PD, as in training. Where PD is rarer or more frequent among those "
            "scanned, use --prevalence, or LR, the likelihood ratio, which is the same everywhere."
        )
    return (
        f"P(PD), class and what is inconclusive were shifted to {percent(prevalence)} PD; the shares above are those "
        f"at the training's {trained}. LR, the likelihood ratio, is the same everywhere."
    )
