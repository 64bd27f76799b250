"""What was measured as Markdown: error, refusals, answers, cost, and the goals."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from datspect.arrays import FloatArray
from datspect.evaluation.baselines import SBR
from datspect.evaluation.intervals import wilson_interval
from datspect.phantom.hopeless import DOUBTFUL, HOPELESS
from datspect.phantom.native import STRIATA
from datspect.prediction.predictor import PreparedScan
from datspect.reporting.markdown import markdown_table
from measuring import Goal
from registration_parts.measured import Cost, Outcome, Refusal

NEAR_MM, FAR_MM = 2.0, 4.0
MOST_DIFFERENT = 0.15
COHORT = 659
_QUANTILES = {"median": 0.5, "95th percentile": 0.95, "99.5th percentile": 0.995, "largest": 1.0}


@dataclass(frozen=True)
class Found:
    """All that was measured.

    probabilities : P(PD) by each model of each accepted scan: as placed, placed by the true transform, in MNI space
    """

    outcomes: Sequence[Outcome]
    refusals: Sequence[Refusal]
    probabilities: Mapping[str, Sequence[tuple[float, float, float]]]
    cost: Cost
    n_workers: int

    @property
    def accepted(self) -> list[Outcome]:
        """The ordinary scans that were placed."""
        return [each for each in self.outcomes if each.error_mm is not None]

    @property
    def refused(self) -> list[Outcome]:
        """The ordinary scans that were not."""
        return [each for each in self.outcomes if each.error_mm is None]

    @property
    def errors_mm(self) -> FloatArray:
        """Mean error of each accepted scan over the four points."""
        return np.array([each.mean_error_mm for each in self.accepted])

    def ratios_off(self, side: str = "native") -> FloatArray:
        """Return |ratio - ratio in MNI space| / |ratio in MNI space|, shape (accepted, region); `side` of `Outcome`."""
        ratios = np.array([[_ratios(getattr(each, side)[0]), _ratios(each.in_mni[0])] for each in self.accepted])
        return np.asarray(np.abs(ratios[:, 0] - ratios[:, 1]) / np.abs(ratios[:, 1]))

    def probability_off(self, model: str, column: int = 0) -> FloatArray:
        """Return |P(PD) - P(PD) in MNI space| of each accepted scan by a model; `column` of its `probabilities`."""
        probabilities = np.array(self.probabilities[model])
        return np.asarray(np.abs(probabilities[:, column] - probabilities[:, -1]))

    @property
    def hopeless(self) -> list[Refusal]:
        """Those that must be refused."""
        return [each for each in self.refusals if each.kind not in DOUBTFUL]

    @property
    def seconds(self) -> FloatArray:
        """Seconds of one core for each ordinary scan, reading and verdict included."""
        return np.array([each.seconds for each in self.outcomes])


def parts(found: Found) -> list[str]:
    """Return the tables as Markdown."""
    return [
        f"{len(found.outcomes)} ordinary native PHANTOMS and {len(found.hopeless)} hopeless ones, simulated.",
        "**Error over four points in the striata**, mm, of those accepted:",
        markdown_table(_error_rows(found)),
        f"**Refused**: {share(len(found.refused), len(found.outcomes))} of the ordinary ones{_why(found.refused)}; "
        f"{share(sum(bool(each.reasons) for each in found.hopeless), len(found.hopeless))} of the hopeless ones:",
        markdown_table(_refusal_rows(found.refusals), n_text_columns=1),
        "**Answers** against those for the same reconstruction in MNI space, which no camera's grid was between; "
        "binding ratios as a share of theirs. Placed by the truth: what is stored, brought to MNI by the true "
        "transform, as a perfect registration would:",
        markdown_table(_answer_rows(found)),
        _cost_line(found),
    ]


def goals(found: Found) -> list[Goal]:
    """Return what is wanted of registration beside what was found."""
    errors, cost = found.errors_mm, found.cost
    n_refused, n_hopeless = len(found.refused), sum(bool(each.reasons) for each in found.hopeless)
    near, far = (float((errors < limit).mean()) for limit in (NEAR_MM, FAR_MM))
    refused = n_refused / len(found.outcomes)
    minutes = COHORT * float(found.seconds.mean()) / found.n_workers / 60
    ratio, median_s = (float(np.median(each)) for each in (found.ratios_off(), found.seconds))
    all_hopeless = f"{n_hopeless} of {len(found.hopeless)}"
    gigabytes, predict_s = cost.memory_mb / 1024, cost.predict_seconds
    return [
        _goal(f"error under {NEAR_MM:g} mm", "95 %", _percent(near), near >= 0.95),
        _goal(f"error under {FAR_MM:g} mm", "99.5 %", _percent(far), far >= 0.995),
        _goal("ordinary ones refused", "at most 1 %", _percent(refused), refused <= 0.01),
        _goal("hopeless ones refused", "all", all_hopeless, n_hopeless == len(found.hopeless)),
        *(goal for model in found.probabilities for goal in _answer_goals(model, found.probability_off(model))),
        _goal("binding ratios, median difference", "within 5 %", _percent(ratio), ratio <= 0.05),
        _goal("seconds of one core a scan, median", "under 4", f"{median_s:.1f}", median_s < 4),
        _goal(f"minutes for {COHORT}, computed", "under 25", f"{minutes:.0f}", minutes < 25),
        _goal("peak memory, GB", "under 1", f"{gigabytes:.2f}", gigabytes < 1),
        _goal("seconds of predict, one DICOM file", "under 15", f"{predict_s:.1f}", predict_s < 15),
    ]


def share(n: int, of: int) -> str:
    """Return a share in words, with Wilson's 95 % interval."""
    if not of:
        return "none"
    low, high = wilson_interval(n, of)
    return f"{n} of {of} ({100 * n / of:.1f} %, {100 * low:.1f} to {100 * high:.1f})"


def worst_lines(found: Found, n: int = 10) -> list[str]:
    """Return the names of the least exact scans and of the refused ones, for a closer look."""
    worst = sorted(found.accepted, key=lambda each: -each.mean_error_mm)[:n]
    return [f"{each.name}: {each.mean_error_mm:.2f} mm" for each in worst] + [
        f"{each.name}: refused: {'; '.join(each.reasons)}" for each in found.refused
    ]


def _ratios(scan: PreparedScan) -> list[float]:
    return [scan.measures[f"{SBR}{name}"] for name in STRIATA]


def _goal(name: str, wanted: str, found: str, met: bool) -> Goal:
    return Goal(name, wanted, found, met, "the text below says what limits it.")


def _answer_goals(model: str, off: FloatArray) -> list[Goal]:
    median, apart = float(np.median(off)), float((off > MOST_DIFFERENT).mean())
    return [
        _goal(f"P(PD), model {model}, median difference", "under 0.02", f"{median:.3f}", median < 0.02),
        _goal(f"P(PD), model {model}, more than {MOST_DIFFERENT:g} apart", "under 3 %", _percent(apart), apart < 0.03),
    ]


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _error_rows(found: Found) -> list[list[str]]:
    by_point = np.array([each.error_mm for each in found.accepted])
    columns = {"mean of four": found.errors_mm}
    columns |= {name.replace("_", " "): by_point[:, k] for k, name in enumerate(STRIATA)}
    rows = [["", *_QUANTILES, f"under {NEAR_MM:g} mm", f"under {FAR_MM:g} mm"]]
    for name, errors in columns.items():
        quantiles = [f"{np.quantile(errors, q):.2f}" for q in _QUANTILES.values()]
        shares = [share(int((errors < limit).sum()), len(errors)) for limit in (NEAR_MM, FAR_MM)]
        rows.append([name, *quantiles, *shares])
    return rows


def _why(refused: Sequence[Outcome]) -> str:
    counts = Counter(reason for each in refused for reason in each.reasons).most_common()
    return f" ({'; '.join(f'{reason}: {n}' for reason, n in counts)})" if counts else ""


def _refusal_rows(refusals: Sequence[Refusal]) -> list[list[str]]:
    rows = [["kind", "refused", "of", "first reason, commonest"]]
    for kind in (*HOPELESS, *DOUBTFUL):
        of_kind = [each for each in refusals if each.kind == kind]
        first = Counter(each.reasons[0] for each in of_kind if each.reasons).most_common(1)
        name = kind.replace("_", " ") + (" (doubtful, not counted)" if kind in DOUBTFUL else "")
        said = first[0][0].partition(";")[0] if first else ""
        rows.append([name, str(sum(bool(each.reasons) for each in of_kind)), str(len(of_kind)), said])
    return rows


def _answer_rows(found: Found) -> list[list[str]]:
    rows = [["", "median", "95th percentile", f"more than {MOST_DIFFERENT:g} apart", "another class"]]
    for model, probabilities in found.probabilities.items():
        for column, side in enumerate(("as placed", "placed by the truth")):
            off = found.probability_off(model, column)
            changed = sum((each[column] >= 0.5) != (each[-1] >= 0.5) for each in probabilities)
            figures = [f"{np.median(off):.4f}", f"{np.quantile(off, 0.95):.3f}"]
            apart = share(int((off > MOST_DIFFERENT).sum()), len(off))
            rows.append([f"P(PD), model {model}, {side}", *figures, apart, share(changed, len(off))])
    for name, side in (("as placed", "native"), ("placed by the truth", "by_truth")):
        every = found.ratios_off(side)
        rows += [
            [f"{region.replace('_', ' ')}, {name}", *_spread(each)]
            for region, each in zip(STRIATA, every.T, strict=True)
        ]
    return rows


def _spread(differences: FloatArray) -> list[str]:
    return [f"{np.median(differences):.3f}", f"{np.quantile(differences, 0.95):.3f}", "", ""]


def _cost_line(found: Found) -> str:
    median, slow, cost = np.median(found.seconds), np.quantile(found.seconds, 0.95), found.cost
    return (
        f"Reading, registering and judging takes {median:.1f} s of one core in the median, {slow:.1f} s at the 95th "
        f"percentile. A program that does it with the largest scans, one after another, needs {cost.memory_mb} MB. "
        f"`datspect predict` of one DICOM file takes {cost.predict_seconds:.1f} s, start of the program included."
    )
