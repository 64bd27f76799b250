"""Command `tables`: print this working tree's tables beside the paper's, and the baselines."""

from pathlib import Path
from typing import Annotated

import typer

from datspect.commands.exits import WrongUseError
from datspect.commands.forms import Form, as_json
from datspect.errors import CohortError, DatspectError

BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"

_READ = ("cv/table1.csv", "cv/metrics.json", "final/metrics.json", "baselines/metrics.json")


def tables(
    reports: Annotated[Path, typer.Option(help="Read the reports of the stages in this folder.")] = Path("reports"),
    into: Annotated[
        Path | None, typer.Option(help="Replace the marked part of this Markdown file instead of printing.")
    ] = None,
    holdout: Annotated[
        bool, typer.Option("--holdout", help="Show Table 2 too: one more look at the test set, which is counted.")
    ] = False,
    brief: Annotated[bool, typer.Option("--brief", help="Show one small table, without folds and holdout.")] = False,
    form: Form = "table",
) -> None:
    """Print Table 1 beside the paper's, and the baselines; with --holdout Table 2 too."""
    # Here, so that `datspect --help` does not wait for pandas.
    from datspect.io.records import read_json
    from datspect.io.tables import read_table
    from datspect.release.dvc_lock import remark_on
    from datspect.reporting.printed import printed_tables, table_in_brief
    from datspect.running.addresses import repository_root

    _check_use(brief=brief, holdout=holdout, into=into, form=form)
    document = None if into is None else _document(into)  # before a report is read or a look is counted
    if remark := remark_on(repository_root(), [reports / name for name in _READ]):
        typer.echo(remark, err=True)
    table = read_table(reports / "cv" / "table1.csv")
    cv, final, baselines = (read_json(reports / name) for name in _READ[1:])
    text = table_in_brief(cv, baselines) if brief else printed_tables(table, cv, final, baselines, holdout=holdout)
    if holdout:  # counted before anybody sees it
        typer.echo(_look(reports), err=True)
    if form == "json":
        print(as_json({**cv, "table_1": table.to_dict("records"), "baselines": baselines["out_of_fold"],
                       "holdout": final["holdout"] if holdout else None}))  # fmt: skip
    elif into is None or document is None:
        print(text)
    else:
        _put(into, _replaced(document, text, into), text)


def _check_use(*, brief: bool, holdout: bool, into: Path | None, form: str) -> None:
    if brief and (holdout or form == "json"):
        raise WrongUseError(
            "--brief is one small table without the holdout: leave it out, or --holdout and --format json"
        )
    if into is not None and form == "json":
        raise WrongUseError("--into and --format json: one at a time; a Markdown file holds tables")


def _document(path: Path) -> str:
    """Return the text of the document that the tables go into.

    Raises
    ------
    CohortError : it cannot be read or lacks the marks.
    DatspectError : it cannot be written.
    """
    from datspect.io.writable import check_writable_file

    try:
        document = path.read_bytes().decode("utf-8")  # as bytes: line ends of another system stay
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no text in UTF-8"
        raise CohortError(f"--into {path}: cannot be read ({reason}); name a Markdown file with the marks") from None
    _replaced(document, "", path)
    check_writable_file(path, "--into")
    return document


def _put(path: Path, document: str, text: str) -> None:
    """Write the document; if that fails, print the tables, which may have cost a look at the test set."""
    from datspect.io.atomic import write_text

    try:
        write_text(path, document)
    except OSError as error:
        print(text)
        raise DatspectError(f"--into {path}: cannot be written ({error.strerror}); the tables are above") from None


def _look(reports: Path) -> str:
    """Count a look at the test set of these reports, and return what to say of it."""
    from datspect.io.tables import read_table
    from datspect.release import looks, registry

    subjects = read_table(reports / "final" / "predictions.csv", ["subject_id"])["subject_id"]
    with registry.opened() as (opened, _, _):
        return looks.said(looks.count_look(opened, looks.name_of_test_set(opened, subjects)))


def _replaced(document: str, text: str, path: Path) -> str:
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise CohortError(f"{path}: the marks {BEGIN} and {END} were not found; add them where the tables belong")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"
