"""Commands `promote` and `rollback`: make a version the champion by rules, or bring the previous champion back."""

from typing import TYPE_CHECKING, Annotated

import typer

from datspect.cohort.scope import Scope
from datspect.errors import PromotionError

if TYPE_CHECKING:
    from datspect.release.promoting import Wish
    from datspect.release.rules import Decision

Reason = Annotated[str, typer.Option(help="Say why; the registry keeps it with the version.")]


def promote(
    version: Annotated[str, typer.Argument(help="Number or alias of the version.")] = "challenger",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Ask the rules and move nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Promote it even if rules failed; needs --reason.")] = False,
    new_lineage: Annotated[
        bool, typer.Option("--new-lineage", help="Do not compare it with the champion; needs --reason.")
    ] = False,
    reason: Reason = "",
) -> None:
    """Make a version the champion if it passes the rules of section `promotion` in params.yaml.

    The command prints every rule with its figures and writes them to reports/promotions. It ends with exit code 1 if
    the version was not promoted.
    """
    # Here, so that `datspect --help` does not wait for MLflow and TensorFlow.
    from datspect.release import promoting, registry
    from datspect.release.manifest import MANIFEST_TAG

    if (force or new_lineage) and not reason.strip():
        raise PromotionError("--force and --new-lineage need --reason: say why, it is kept with the version")
    wish = promoting.Wish(dry_run=dry_run, force=force, new_lineage=new_lineage, reason=reason.strip())
    with registry.opened() as (opened, root, params):
        wanted, current = opened.named(version), opened.version(registry.CHAMPION)
        if current is not None and current.number == wanted.number:
            typer.echo(f"version {wanted.number} is the champion already")
            return
        challenger = promoting.Side(opened, wanted)
        champion = promoting.Side(opened, current) if current else None
        decision = promoting.decide(opened, challenger, champion, root, params, wish)
        moved = promoting.promote(opened, challenger, champion, decision, wish)
        numbers = {
            "challenger": wanted.number,
            "champion": current.number if current else None,
            "manifest_sha256": wanted.tags.get(MANIFEST_TAG),
        }
        path = promoting.write_protocol(root, decision, moved, wish, numbers)
    of = Scope.of_tags(wanted.tags).short
    against = f"version {current.number}" if current else "none"
    typer.echo(f"version {wanted.number} ({of}) against the champion ({against})\n")
    _print_rules(decision)
    typer.echo(f"\n{_conclusion(decision, wish, moved, wanted.number)}\nwritten to {path.relative_to(root)}")
    if not (moved or (dry_run and decision.passed)):
        raise typer.Exit(1)


def rollback(reason: Reason = "") -> None:
    """Make the previous champion the champion again; the two change places."""
    from datspect.release import promoting, registry

    if not reason.strip():
        raise PromotionError("rollback needs --reason: say why, it is kept with the version")
    with registry.opened() as opened:
        now, before = promoting.roll_back(opened.registry, reason.strip())
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
