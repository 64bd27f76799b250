"""Commands `promote` and `rollback`: a version becomes champion by rules, or the earlier champion comes back."""

from typing import TYPE_CHECKING, Annotated

import typer

from datspect.cohort.kind import CohortKind
from datspect.errors import PromotionError

if TYPE_CHECKING:
    from datspect.release.promoting import Wish
    from datspect.release.rules import Decision

Reason = Annotated[str, typer.Option(help="why; kept with the version")]


def promote(
    version: Annotated[str, typer.Argument(help="number or alias of the version")] = "challenger",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="ask the rules and move nothing")] = False,
    force: Annotated[bool, typer.Option("--force", help="move even if rules failed; needs --reason")] = False,
    new_lineage: Annotated[
        bool, typer.Option("--new-lineage", help="begin a line without comparison; needs --reason")
    ] = False,
    reason: Reason = "",
) -> None:
    """Make a version the champion if it passes the rules of section `promotion` in params.yaml.

    Every rule is printed with its figures and written to reports/promotions. Exit code 1: it was not promoted.
    """
    # Here, so that `datspect --help` does not wait for MLflow and TensorFlow.
    from datspect.params.whole import load_params
    from datspect.release import promoting, registry
    from datspect.running.addresses import repository_root

    if (force or new_lineage) and not reason.strip():
        raise PromotionError("--force and --new-lineage need --reason: say why, it is kept with the version")
    root = repository_root()
    params = load_params(root / "params.yaml")
    wish = promoting.Wish(dry_run=dry_run, force=force, new_lineage=new_lineage, reason=reason.strip())
    with registry.opened(params.tracking.experiment) as opened:
        wanted, current = opened.version(version), opened.version(registry.CHAMPION)
        if wanted is None:
            raise PromotionError(f"{registry.NAME} has no version {version}; run datspect register first")
        if current is not None and current.number == wanted.number:
            typer.echo(f"version {wanted.number} is the champion already")
            return
        challenger = promoting.Side(opened, wanted)
        champion = promoting.Side(opened, current) if current else None
        decision = promoting.decide(opened, challenger, champion, root, params, wish)
        moved = promoting.promote(opened, challenger, champion, decision, wish)
        numbers = {"challenger": wanted.number, "champion": current.number if current else None}
        path = promoting.write_protocol(root, decision, moved, wish, numbers)
    kind = CohortKind.of(challenger.tag("cohort_kind")).short
    against = f"version {current.number}" if current else "none"
    typer.echo(f"version {wanted.number} ({kind}) against the champion ({against})\n")
    _print_rules(decision)
    typer.echo(f"\n{_conclusion(decision, wish, moved, wanted.number)}\nwritten to {path.relative_to(root)}")
    if not (moved or (dry_run and decision.passed)):
        raise typer.Exit(1)


def rollback(reason: Reason = "") -> None:
    """Make the previous champion the champion again; the two change places."""
    from datspect.params.whole import load_params
    from datspect.release import promoting, registry
    from datspect.running.addresses import repository_root

    if not reason.strip():
        raise PromotionError("rollback needs --reason: say why, it is kept with the version")
    with registry.opened(load_params(repository_root() / "params.yaml").tracking.experiment) as opened:
        now, before = promoting.roll_back(opened, reason.strip())
    typer.echo(f"version {now.number} is the champion again; version {before.number} is the previous one")


def _print_rules(decision: "Decision") -> None:
    width = max(len(rule.name) for rule in decision.rules)
    for rule in decision.rules:
        typer.echo(f"  {rule.outcome:<12} {rule.name:<{width}}  {rule.finding}")


def _conclusion(decision: "Decision", wish: "Wish", moved: bool, number: str) -> str:
    if moved:
        forced = f", by force: {wish.reason}" if decision.failed else ""
        return f"version {number} is the champion now{forced}"
    if decision.refused:
        return f"REFUSED, and --force would not help: {'; '.join(rule.name for rule in decision.refused)}"
    if decision.failed:
        return f"NOT promoted: {'; '.join(rule.name for rule in decision.failed)}"
    return "all rules passed; nothing was moved (--dry-run)"
