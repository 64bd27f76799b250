"""Write a comparison as a page, a picture and a record, and send it to MLflow: no file shows a single subject."""

import re
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from matplotlib.figure import Figure

from datspect.evaluation.curves import roc_points
from datspect.figures.comparison import PairedSet, difference_figure
from datspect.io.atomic import write_text
from datspect.io.png import write_figure
from datspect.io.records import write_json
from datspect.release.comparing import Contender, Pairs
from datspect.release.stage_results import JudgedSet
from datspect.reporting.comparison import Comparison, as_markdown
from datspect.tracking import Times, open_late_run, required_connection
from datspect.tracking.provenance import git_state

COMPARISONS = Path("reports/comparisons")
PAGE_NAME, PICTURE_NAME, RECORD_NAME = "comparison.md", "comparison.png", "comparison.json"
_NAME_LENGTH = 40


def default_folder(root: Path, first: str, second: str) -> Path:
    """Return the folder of a comparison, given what the user called A and B."""
    return root / COMPARISONS / f"{_plain(first)}-vs-{_plain(second)}"


def write_comparison(
    folder: Path, names: tuple[str, str], comparison: Comparison, pairs: Mapping[JudgedSet, Pairs]
) -> list[Path]:
    """Write the page, the record and, if anything was paired, the picture; return their paths.

    A picture of an earlier comparison in the folder is removed where there is none now.
    """
    picture = folder / PICTURE_NAME
    if pairs:
        write_figure(picture, _figure(names, comparison, pairs))
    else:
        picture.unlink(missing_ok=True)
    write_text(folder / PAGE_NAME, as_markdown(comparison, PICTURE_NAME if pairs else None))
    write_json(folder / RECORD_NAME, asdict(comparison))
    return [folder / PAGE_NAME, folder / RECORD_NAME, *([picture] if pairs else [])]


def log_comparison(
    experiment: str, contenders: tuple[Contender, Contender], comparison: Comparison, files: list[Path]
) -> str:
    """Send a comparison to MLflow as a run of stage `compare`, and return the run's id.

    Raises
    ------
    TrackingError : the store cannot be reached, or fails.
    """
    first, second = contenders
    now = int(time.time() * 1000)
    tags = {
        "datspect.compared_a": first.title,
        "datspect.compared_b": second.title,
        "datspect.results_a": first.result_ids,
        "datspect.results_b": second.result_ids,
        "datspect.cohort_kind": str(comparison.kind),
        "mlflow.note.content": "\n\n".join([comparison.kind.caption, f"A: {first.called}", f"B: {second.called}"]),
    }
    params = {"a": first.name, "b": second.name}
    with (
        required_connection(experiment) as connection,
        open_late_run(
            f"{first.name} vs {second.name}", connection=connection, stage="compare", params=params, tags=tags,
            git=git_state(), times=Times(now, now),
        ) as run,
    ):  # fmt: skip
        run.log_metrics(_differences(comparison))
        run.log_files(files, "comparison")
        return str(run.run_id)


def _differences(comparison: Comparison) -> dict[str, float]:
    return {
        f"{compared.name}/{name}": float(value)
        for compared in comparison.sets
        for name, value in (compared.differences or {}).items()
    }


def _figure(names: tuple[str, str], comparison: Comparison, pairs: Mapping[JudgedSet, Pairs]) -> Figure:
    by_name = {compared.name: compared for compared in comparison.sets}
    sets = [
        PairedSet(
            judged_set.title,
            len(found.labels),
            by_name[judged_set.name].differences or {},
            (roc_points(found.labels, found.first.scores), roc_points(found.labels, found.second.scores)),
        )
        for judged_set, found in pairs.items()
    ]
    return difference_figure(sets, names, f"A compared with B, {comparison.kind.caption}")


def _plain(name: str) -> str:
    return re.sub(r"[^\w.@-]+", "-", name).strip("-.")[:_NAME_LENGTH] or "unnamed"
