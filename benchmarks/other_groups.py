"""What a predictor makes of simulated groups that it was never taught: SWEDD, atypical and vascular.

    python benchmarks/other_groups.py [--n 60] [--predictor FOLDER] [--json FILE] [--into PAGE]

The groups of the phantom in params.yaml, answered as `datspect predict` would. A minute on two cores.
"""

from pathlib import Path

import pandas as pd

from datspect.cohort.kind import CohortKind
from datspect.evaluation.baselines import SBR
from datspect.evaluation.other_groups import answers_by_group
from datspect.imaging.volume import Volume, mni_affine
from datspect.io.scan_reading import ReadScan
from datspect.params.whole import load_params
from datspect.phantom.cohort import Laboratory, build_laboratory, simulate
from datspect.prediction.predictor import Answer, Predictor, PreparedScan
from datspect.reporting.answers import other_groups_table
from datspect.running.pool import unordered
from datspect.running.progress import progress
from measuring import page_parser, publish

GROUPS = ("swedd", "atypical", "vascular")
RATIOS = [f"{SBR}{nucleus}_{side}" for nucleus in ("caudate", "putamen") for side in ("left", "right")]


def main() -> None:
    parser = page_parser(__doc__)
    parser.add_argument("--n", type=int, default=60, help="phantoms of each group")
    parser.add_argument("--predictor", type=Path, default=Path("models/predictor"))
    arguments = parser.parse_args()
    n = 5 if arguments.quick else arguments.n
    predictor = Predictor.read(arguments.predictor)
    laboratory = build_laboratory(load_params(Path("params.yaml")).phantom)

    def prepared(number: int) -> tuple[int, PreparedScan]:
        return number, prepare(predictor, laboratory, GROUPS[number // n], number % n)

    numbers = range(n * len(GROUPS))
    scans = dict(progress(unordered(prepared, numbers), total=len(numbers), what="other groups", unit="scans"))
    answers = predictor.answers([scans[number] for number in numbers])
    groups = answers_by_group(
        pd.DataFrame([row(GROUPS[number // n], answer) for number, answer in zip(numbers, answers, strict=True)])
    )
    taught = CohortKind.of(predictor.parts.cohort_kind).short
    said = f"{n} of each, {CohortKind.PHANTOM.caption}, by a model of a {taught}:"
    publish(arguments, [said, other_groups_table({"groups": groups, "holdout": []})], {"groups": groups})


def prepare(predictor: Predictor, laboratory: Laboratory, label: str, index: int) -> PreparedScan:
    """Return a simulated scan as the network takes it."""
    volume = Volume(simulate(laboratory, label, index).data, mni_affine())
    return predictor.prepare(ReadScan(volume, placed_by="header", space="mni", scale=1.0))


def row(label: str, answer: Answer) -> dict[str, object]:
    """Return what `answers_by_group` needs of an answer."""
    return {
        "label": label,
        "prediction": answer.prediction,
        "probability": answer.probability,
        "inconclusive": int(answer.inconclusive),
        "withheld": "; ".join(answer.withheld),
        "unlike": " ".join(answer.unlike),
        **{name: answer.measures[name] for name in RATIOS},
    }


if __name__ == "__main__":
    main()
