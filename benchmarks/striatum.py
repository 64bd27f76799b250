"""Measure the model of the whole striatum on phantoms: several seeds, ablations, learning curve, unlike disease, cost.

    python benchmarks/striatum.py PART [PART ...] [--scratch FOLDER] [--graph TREE] [--quick] [--into docs/striatum.md]

Parts are seeds, ablations, learning, unlike, cost and pictures. What a part has found stays in the scratch folder as
small JSON files: a part that is started again goes on from there. `--into` writes what it found between the marks of
the page. `--graph` names a tree in which `make repro` has run the paper's recipe: its phantom, ImageNet weights,
answers and predictor are used. All parts together take about an hour on two cores.
"""

import argparse
import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from measuring import goals_part, put
from striatum_parts import ablations, cost, learning, pictures, seeds, unlike
from striatum_parts.workplace import SEEDS, Workplace

_FOLDERS = re.compile(r" --(scratch|graph) [^\s`]+")

Part = Callable[[argparse.Namespace, Workplace], list[str]]


def main() -> None:
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("datspect").setLevel(logging.INFO)
    place = Workplace(arguments.scratch.resolve(), arguments.graph.resolve())
    for name in arguments.parts:
        text = "\n\n".join(PARTS[name](arguments, place))
        print(text)
        if arguments.into is not None and name != "pictures":
            put(arguments.into, f"striatum-{name}", text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--scratch", type=Path, default=Path("tmp/striatum"), help="folder for all that is made")
    parser.add_argument("--graph", type=Path, default=Path(), help="tree with the results of make repro")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS), help="of the phantom")
    parser.add_argument("--without-paper", action="store_true", help="seeds, cost: leave out the paper's recipe")
    parser.add_argument("--without-many", action="store_true", help="learning: leave out the 2,000 phantoms")
    parser.add_argument("--known", action="store_true", help="run nothing, but for pictures; tell what is known")
    parser.add_argument("--only", nargs="+", choices=list(ablations.VARIANTS), metavar="NAME", help="ablations: these")
    parser.add_argument("--workers", type=int, default=2, help="ablations and learning: processes of one thread")
    parser.add_argument("--each", type=int, default=200, help="unlike: scans of each kind of loss")
    parser.add_argument("--quick", action="store_true", help="a short run that shows that it works")
    parser.add_argument("--into", type=Path, help="page whose marked parts are replaced: docs/striatum.md")
    return parser


def _seeds(arguments: argparse.Namespace, place: Workplace) -> list[str]:
    asked = [seed for seed in arguments.seeds if not arguments.known or place.known(f"seed-{seed}")]
    records = seeds.measure(place, asked, with_paper=not (arguments.known or arguments.without_paper))
    return [_measured(records), *seeds.parts(records), goals_part(seeds.goals(records))]


def _ablations(arguments: argparse.Namespace, place: Workplace) -> list[str]:
    names = [] if arguments.known else arguments.only or list(ablations.VARIANTS)
    records = ablations.measure(place, names, arguments.workers)
    return [_measured(list(records.values())), *ablations.parts(records, place)]


def _learning(arguments: argparse.Namespace, place: Workplace) -> list[str]:
    names = [] if arguments.known else learning.NAMES[: -1 if arguments.without_many else None]
    records = learning.measure(place, names, arguments.workers)
    return [_measured(list(records.values())), *learning.parts(records)]


def _unlike(arguments: argparse.Namespace, place: Workplace) -> list[str]:
    record = unlike.measure(place, 10 if arguments.quick else arguments.each)
    return [_measured([record]), *unlike.parts(record), goals_part(unlike.goals(record))]


def _cost(arguments: argparse.Namespace, place: Workplace) -> list[str]:
    if not arguments.known:
        cost.measure(place, with_paper=not arguments.without_paper)
    records = cost.found(place)
    return [_measured(list(records.values())), *cost.parts(records, place), goals_part(cost.goals(records))]


def _pictures(_arguments: argparse.Namespace, place: Workplace) -> list[str]:
    return [str(path) for path in pictures.draw(place, Path("docs/images"))]


def _measured(records: Sequence[dict[str, object]]) -> str:
    """Return how the records were measured: each command as it last ran, without folders of this machine."""
    how = [_FOLDERS.sub("", str(record["measured_by"])).partition("; ") for record in records]
    last = {run.partition("`, ")[0]: run for run, _, _ in how}
    return "  \n".join([*last.values(), how[0][2]])


PARTS: dict[str, Part] = {
    "seeds": _seeds,
    "ablations": _ablations,
    "learning": _learning,
    "unlike": _unlike,
    "cost": _cost,
    "pictures": _pictures,
}

if __name__ == "__main__":
    main()
