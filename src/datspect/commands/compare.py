"""Command `compare`: show how two experiments differ in parameters and results, with paired intervals."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from datspect.commands.completion import contenders
from datspect.commands.exits import FOUND
from datspect.commands.forms import Form, as_json, plain
from datspect.errors import DatspectError

if TYPE_CHECKING:
    from datspect.release.comparing import Contender
    from datspect.release.registry import Registry

_WHAT = (
    "A run id, a version (3, champion, version:NAME), a DVC experiment or git revision (NAME, rev:NAME), or workspace."
)


def compare(
    a: Annotated[str, typer.Argument(help=_WHAT, autocompletion=contenders)],
    b: Annotated[
        str, typer.Argument(help="What A is compared with; the same forms.", autocompletion=contenders)
    ] = "workspace",
    into: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="Write page, picture and record here; default reports/comparisons/A-vs-B."),
    ] = None,
    holdout: Annotated[
        bool, typer.Option("--holdout", help="Show the holdout too: one more look at the test set.")
    ] = False,
    log: Annotated[bool, typer.Option("--log", help="Send page, picture and record to MLflow as well.")] = False,
    form: Form = "table",
) -> None:
    """Compare A with B: parameters that differ, measures side by side, differences on subjects that both judged.

    Differences are A minus B. They are shown on subjects that neither had been trained on, and refused where pairing
    would be wrong; the exit code is 1 if nothing could be paired. docs/comparing-runs.md says when that is.
    """
    # Here, so that `datspect --help` does not wait for pandas and MLflow.
    from datspect.io.writable import check_writable_folder
    from datspect.params.whole import load_params
    from datspect.release import comparing, comparison_files
    from datspect.release.contenders import Named, read_contender
    from datspect.release.dvc_lock import remark_on
    from datspect.release.stage_results import HOLDOUT, results_in
    from datspect.reporting.comparison import as_text
    from datspect.running.addresses import repository_root

    root = repository_root()
    folder = into or comparison_files.default_folder(root, a, b)
    check_writable_folder(folder, "--into")  # before anything is read, or a look is counted
    if "workspace" in (a, b) and (remark := remark_on(root, results_in(root))):
        typer.echo(remark, err=True)
    first, second = (read_contender(Named.parse(name), root) for name in (a, b))
    comparison, pairs = comparing.compare(first, second, holdout=holdout)
    if any(compared.name == HOLDOUT.name for compared in comparison.sets):  # counted before anybody sees it
        comparison = replace(comparison, remarks=(*comparison.remarks, *_looks(first, second)))
    shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    in_json = form == "json"
    print(as_json({**plain(comparison), "folder": shown}) if in_json else as_text(comparison))
    try:
        files = comparison_files.write_comparison(folder, (a, b), comparison, pairs)
    except OSError as error:
        raise DatspectError(
            f"--into {folder}: cannot be written ({error.strerror}); the comparison is above, page and picture are not"
        ) from None
    typer.echo(f"\nwritten to {shown}: {', '.join(file.name for file in files)}", err=in_json)
    if log:
        experiment = load_params(root / "params.yaml").tracking.experiment
        run_id = comparison_files.log_comparison(experiment, (first, second), comparison, files)
        typer.echo(f"sent to MLflow as run {run_id}", err=in_json)
    if not pairs:
        raise typer.Exit(FOUND)


def _looks(*contenders: "Contender") -> list[str]:
    """Count a look at each test set that is shown, and say it."""
    from datspect.release import looks, registry

    with registry.opened() as (opened, _, _):
        named = [_test_set(one, opened) for one in contenders]
        counts = [looks.count_look(opened, test_set) for test_set in dict.fromkeys(filter(None, named))]
    if not counts:
        return ["This is one more look at the test set; it is not counted, since its subjects are not known here."]
    return [looks.said(count) for count in counts]


def _test_set(contender: "Contender", registry: "Registry") -> str | None:
    from datspect.release.looks import name_of_test_set
    from datspect.release.stage_results import HOLDOUT

    table = contender.judged[HOLDOUT].table
    if contender.test_set or table is None:
        return contender.test_set
    return name_of_test_set(registry, table["subject_id"])
