"""What the gate's comparison on the robustness panel can see: how often equals and worse versions are refused.

    python benchmarks/panel_gate.py [--answers reports/robustness/predictions.csv] [--pairs 60] [--quick] [--into PAGE]

Both versions of a pair are made up from the answers of stage `robustness`: to their log odds normal numbers are added,
0.8 of their sd common to all rows of a scan and 0.6 of it each row's own. A worse challenger has its log odds moved
towards control in one row as well. About half a minute on one core.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit

from datspect.cohort.table import targets
from datspect.evaluation.calibration import log_odds
from datspect.io.tables import read_table
from datspect.params.base import Sections, read_params
from datspect.params.promotion import PromotionParams, RobustnessLimits
from datspect.release.panel_rules import panel_not_worse, wide_panel
from datspect.reporting.markdown import markdown_table
from measuring import page_parser, publish

SEED, QUICK_PAIRS = 2019, 2
SDS = (0.3, 0.6, 1.0)
"""Of what two trainings may differ by, in log odds."""
COMMON, OWN = 0.8, 0.6
WORSE = {"equal": 0.0, "one row moved by 1": 1.0, "one row moved by 2": 2.0, "one row moved by 3": 3.0}
"""How far the log odds of one row of the challenger are moved towards control."""
ROW = "unaltered"


class Read(Sections):
    """The section that the gate reads."""

    promotion: PromotionParams


def main() -> None:
    parser = page_parser(__doc__)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="file with the limits of the gate")
    parser.add_argument("--answers", type=Path, default=Path("reports/robustness/predictions.csv"))
    parser.add_argument("--pairs", type=int, default=60, help="made-up pairs of each kind")
    arguments = parser.parse_args()
    limits = read_params(Read, arguments.params).promotion.robustness
    answers = read_table(arguments.answers, ("row", "scan_id", "label", "probability"))
    panel = wide_panel(answers.assign(target=targets(answers["label"]))).rename(columns={"scan_id": "scan"})
    n_pairs = QUICK_PAIRS if arguments.quick else arguments.pairs
    found = {kind: [refused(panel, sd, moved, limits, n_pairs) for sd in SDS] for kind, moved in WORSE.items()}
    head = ["challenger", *(f"refused, sd {sd:g}" for sd in SDS)]
    text = f"Share of {n_pairs} made-up pairs that is refused, on {len(panel)} scans and {panel.shape[1] - 2} rows:"
    table = markdown_table([head, *([kind, *(f"{share:.2f}" for share in shares)] for kind, shares in found.items())])
    publish(arguments, [text, table], {"refused": found, "sds": SDS, "n_pairs": n_pairs})


def refused(panel: pd.DataFrame, sd: float, moved: float, limits: RobustnessLimits, n_pairs: int) -> float:
    """Return the share of pairs in which any row stops the challenger."""
    rng = np.random.default_rng(SEED)
    stopped = [
        panel_not_worse(made_up(panel, sd, moved, rng), made_up(panel, sd, 0.0, rng), limits)[0].outcome == "FAILED"
        for _ in range(n_pairs)
    ]
    return float(np.mean(stopped))


def made_up(panel: pd.DataFrame, sd: float, moved: float, rng: np.random.Generator) -> pd.DataFrame:
    """Return a version's answers: those of the panel, changed as another training changes them."""
    names: Sequence[str] = [name for name in panel.columns if name not in ("scan", "target")]
    logits = log_odds(panel[names].to_numpy(np.float32))
    logits = logits + sd * COMMON * rng.normal(size=(len(panel), 1)) + sd * OWN * rng.normal(size=logits.shape)
    version = panel.assign(**dict(zip(names, expit(logits).T, strict=True)))
    version[ROW] = expit(logits[:, names.index(ROW)] - moved)
    return version


if __name__ == "__main__":
    sys.exit(main())
