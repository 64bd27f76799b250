"""Command `tune`: search for better values of the model in use, on the development folds."""

from pathlib import Path
from typing import Annotated

import typer

from datspect.commands.completion import studies
from datspect.commands.exits import WrongUseError
from datspect.commands.forms import Form, as_json


def tune(
    nested: Annotated[
        bool, typer.Option("--nested", help="Search in three outer folds and judge outside of them.")
    ] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Write the winner into params.yaml; do not search.")] = False,
    vary: Annotated[list[str] | None, typer.Option(help="Vary only this; you can give it several times.")] = None,
    study: Annotated[
        str | None, typer.Option(help="Use the study of this name instead of tune.study.", autocompletion=studies)
    ] = None,
    params: Annotated[Path, typer.Option(help="Read the space and all settings here.")] = Path("params.yaml"),
    images: Annotated[Path, typer.Option(help="Read what stage preprocess wrote here.")] = Path("data/images"),
    features: Annotated[Path, typer.Option(help="Read what stage features wrote here.")] = Path("data/features"),
    splits: Annotated[Path, typer.Option(help="Read what stage split wrote here.")] = Path("data/splits.csv"),
    reports: Annotated[Path, typer.Option(help="Make a folder for each study here.")] = Path("reports/tune"),
    form: Form = "table",
) -> None:
    """Search for better values of the model in use, on the development folds alone.

    Section `tune` of params.yaml holds the space and the settings. A search that was stopped or killed goes on when you
    start it again; if you start it several times at once, the processes share the study. The best score of a search is
    optimistic; --nested says by how much.
    """
    # Here, so that `datspect --help` does not wait for Optuna.
    from datspect.io.records import read_json
    from datspect.io.writable import check_writable_file, check_writable_folder

    if nested and apply:
        raise WrongUseError("--nested and --apply: one at a time; the nested search has no winner of its own")
    if apply and form == "json":
        raise WrongUseError(
            "--apply and --format json: JSON is the summary of a search; git diff shows what was applied"
        )
    if apply:
        check_writable_file(params, "--params")
    else:
        check_writable_folder(reports, "--reports")
    from datspect.params.whole import load_params
    from datspect.training.data import TrainingInputs
    from datspect.tuning import whole_study

    inputs = TrainingInputs.within(images, features, splits)
    chosen = whole_study.choose(load_params(params), inputs, reports, name=study, vary=vary or None)
    if apply:
        print(whole_study.apply_winner(chosen, params))
        return
    said = whole_study.nested_search(chosen) if nested else whole_study.search(chosen)
    if form == "json":
        print(as_json(read_json(chosen.folder / ("nested.json" if nested else "study.json"))))
    else:
        print(said)
