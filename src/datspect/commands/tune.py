"""Command `tune`: search for better values of the classifier and its learning rates, on the development folds."""

from pathlib import Path
from typing import Annotated

import typer


def tune(
    nested: Annotated[bool, typer.Option("--nested", help="search in three outer folds, judge outside")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="write the winner into params.yaml; search nothing")] = False,
    vary: Annotated[list[str] | None, typer.Option(help="vary only this; may be given several times")] = None,
    study: Annotated[str | None, typer.Option(help="name of the study, instead of tune.study")] = None,
    params: Annotated[Path, typer.Option(help="holds the space and all settings")] = Path("params.yaml"),
    images: Annotated[Path, typer.Option(help="what stage preprocess wrote")] = Path("data/images"),
    features: Annotated[Path, typer.Option(help="what stage features wrote")] = Path("data/features"),
    splits: Annotated[Path, typer.Option(help="what stage split wrote")] = Path("data/splits.csv"),
    reports: Annotated[Path, typer.Option(help="a folder for each study is made here")] = Path("reports/tune"),
) -> None:
    """Search for better values of dropout, width and the learning rates, on the development folds alone.

    Stopped or killed, it goes on where it was when started again; started several times, the processes share the
    study. Section `tune` of params.yaml holds the space and the settings. The best score of a search is optimistic;
    --nested says by how much.
    """
    # Here, so that `datspect --help` does not wait for Optuna.
    from datspect.errors import TuningError

    if nested and apply:
        raise TuningError("--nested and --apply: one at a time; the nested search has no winner of its own")
    from datspect.params.whole import load_params
    from datspect.training.data import TrainingInputs
    from datspect.tuning import whole_study

    inputs = TrainingInputs.within(images, features, splits)
    chosen = whole_study.choose(load_params(params), inputs, reports, name=study, vary=vary or None)
    if apply:
        print(whole_study.apply_winner(chosen, params))
    else:
        print(whole_study.nested_search(chosen) if nested else whole_study.search(chosen))
