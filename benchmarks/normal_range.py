"""How many controls lie within the 95 % range that the binding ratios of a scan are held against.

    python benchmarks/normal_range.py [--root .] [--json FILE] [--into PAGE]

Needs the results of stages preprocess and split. Each control of the training role is held against the others of that
role, each of the test set against all of them: by age and sex, and as a person of whom neither is known. Seconds.
"""

from pathlib import Path

import pandas as pd

from datspect.cohort.kind import CohortKind
from datspect.evaluation.intervals import wilson_interval
from datspect.evaluation.normal_range import NOBODY, Person, fit_controls
from datspect.io.records import read_json
from datspect.io.tables import read_table
from datspect.prediction.judging import RATIOS
from datspect.reporting.markdown import markdown_table
from measuring import page_parser, publish


def main() -> None:
    parser = page_parser(__doc__)
    parser.add_argument("--root", type=Path, default=Path(), help="working tree with data/")
    arguments = parser.parse_args()
    found = coverage(controls(arguments.root / "data"))
    rows = [["% within the range (95 % interval)", *(f"{name}, n = {len(within)}" for name, within in found.items())]]
    rows += [[ratio, *(share(within[ratio]) for within in found.values())] for ratio in RATIOS]
    caption = CohortKind.of(read_json(arguments.root / "data/images/cohort.json")["kind"]).caption
    head = f"Controls whose ratio lies within the range that is to hold 95 of 100, {caption}:"
    result = {name: within.mean().to_dict() for name, within in found.items()}
    publish(arguments, [head, markdown_table(rows)], result)


def controls(data: Path) -> pd.DataFrame:
    """Return role, age, sex and binding ratios of every control."""
    table = read_table(data / "splits.csv", ["scan_id", "label", "role"])[["scan_id", "label", "role"]]
    for name, columns in (("subjects", ["scan_id", "age", "sex"]), ("quality", ["scan_id", *RATIOS])):
        table = table.merge(read_table(data / f"images/{name}.csv", columns)[columns], on="scan_id")
    return table[table["label"] == "control"].reset_index(drop=True)


def coverage(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return which ratios of which controls lie within their range, by role and by what is known of a person."""
    is_train = table["role"] == "train"
    found = {}
    for role, rows in (("training role, each left out", table[is_train]), ("test set", table[~is_train])):
        for known in ("age and sex", "neither"):
            within = [_within(table[is_train].drop(row, errors="ignore"), table.loc[row], known) for row in rows.index]
            found[f"{role}: {known}"] = pd.DataFrame(within)
    return found


def _within(others: pd.DataFrame, control: pd.Series, known: str) -> dict[str, bool]:
    fitted = fit_controls(others, others, RATIOS)
    if fitted is None:
        raise SystemExit(f"{len(others)} controls in the training role are too few for a normal range")
    person = NOBODY if known == "neither" else Person(control["age"], control["sex"])
    held = fitted.against({name: control[name] for name in RATIOS}, person).ratios
    return {name: held[name].low <= control[name] <= held[name].high for name in RATIOS}


def share(within: pd.Series) -> str:
    """Return a share in percent with its 95 % interval.

    >>> share(pd.Series([True] * 9 + [False]))
    '90.0 (59.6 to 98.2)'
    """
    low, high = wilson_interval(int(within.sum()), len(within))
    return f"{100 * within.mean():.1f} ({100 * low:.1f} to {100 * high:.1f})"


if __name__ == "__main__":
    main()
