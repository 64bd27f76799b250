"""Measure how native phantoms are brought to MNI space: error, refusals, answers, time and memory.

    python benchmarks/registration.py [--n 500] [--hopeless 100] [--kept FOLDER] [--model models/predictor ...]
                                      [--into docs/hospital.md] [--pictures docs/images] [--worst FOLDER]

Simulated scans stay in `--kept`, so that a second run costs no simulation. The limits of the verdict
(normalisation/verdict.py) were set on phantoms of seed 991 and looked at on hopeless ones of 993: take other seeds.
659 and 100 scans with two models took 53 minutes on two cores.
"""

import argparse
from pathlib import Path

from datspect.prediction.predictor import Predictor
from measuring import goals_part, page_parser, publish
from registration_parts import pictures
from registration_parts.measured import answered, cost, place_hopeless, place_ordinary
from registration_parts.scans import hopeless_names, largest, ordinary_names, simulate
from registration_parts.tables import Found, goals, parts, worst_lines

QUICK = (6, 15)
N_LARGEST = 3


def main() -> None:
    arguments = _parser().parse_args()
    n, n_hopeless = QUICK if arguments.quick else (arguments.n, arguments.hopeless)
    names, bad = ordinary_names(n, arguments.seed), hopeless_names(n_hopeless, arguments.hopeless_seed)
    if arguments.pictures is not None:
        simulate(pictures.names(), arguments.kept, arguments.workers)
        print(*pictures.draw(arguments.kept, arguments.pictures), sep="\n")
        return
    simulate([*bad, *names], arguments.kept, arguments.workers)
    found = _found(arguments, names, bad)
    aims = goals(found)
    result = {
        "n": n,
        "seeds": [arguments.seed, arguments.hopeless_seed],
        "errors_mm": {each.name: each.error_mm for each in found.accepted},
        "refused": {each.name: each.reasons for each in (*found.refused, *found.refusals)},
        "probabilities": {model: [list(each) for each in rows] for model, rows in found.probabilities.items()},
    }
    publish(arguments, [*parts(found), goals_part(aims)], result)
    print("", "Worst and refused:", *worst_lines(found), sep="\n")
    if arguments.worst is not None:
        pictures.draw_worst(arguments.kept, found, arguments.worst)


def _found(arguments: argparse.Namespace, names: list[str], bad: list[str]) -> Found:
    predictors = [Predictor.read(folder) for folder in arguments.model]
    outcomes = place_ordinary(arguments.kept, names, predictors, arguments.workers)
    refusals = place_hopeless(arguments.kept, bad, arguments.workers)
    paths = [path for path, _ in zip(largest(arguments.kept, names), range(N_LARGEST), strict=False)]
    answers = dict(zip([each.parts.model for each in predictors], answered(outcomes, predictors), strict=True))
    return Found(outcomes, refusals, answers, cost(paths, arguments.kept, arguments.model[0]), arguments.workers)


def _parser() -> argparse.ArgumentParser:
    parser = page_parser(__doc__)
    parser.add_argument("--n", type=int, default=500, help="ordinary scans")
    parser.add_argument("--hopeless", type=int, default=100, help="scans that must be refused")
    parser.add_argument("--seed", type=int, default=2026, help="of the ordinary ones")
    parser.add_argument("--hopeless-seed", type=int, default=2027, help="of the hopeless ones")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--kept", type=Path, default=Path("tmp/registration"), help="folder of the simulated scans")
    parser.add_argument(
        "--model", type=Path, nargs="+", default=[Path("models/predictor")], help="predictors, one of each model"
    )
    parser.add_argument("--pictures", type=Path, help="draw the pictures of docs/hospital.md here, and nothing else")
    parser.add_argument("--worst", type=Path, help="draw the least exact and the refused scans into this folder")
    return parser


if __name__ == "__main__":
    main()
