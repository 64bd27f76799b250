"""Commands `promote` and `rollback`: make a version the champion by rules, or bring the previous champion back."""

from typing import TYPE_CHECKING, Annotated

import typer

from datspect.cohort.scope import Scope
from datspect.commands.completion import versions
from datspect.commands.exits import FOUND, WrongUseError
from datspect.commands.forms import Form, as_json

if TYPE_CHECKING:
    from datspect.release.promoting import Wish
    from datspect.release.rules import Decision

Reason = Annotated[str, typer.Option(help="Say why; the registry keeps it with the version.")]


def promote(
    version: Annotated[
        str, typer.Argument(help="Number or alias of the version.", autocompletion=versions)
    ] = "challenger",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Ask the rules and move nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Promote it even if rules failed; needs --reason.")] = False,
    new_lineage: Annotated[
        bool, typer.Option("--new-lineage", help="Do not compare it with the champion; needs --reason.")
    ] = False,
    reason: Reason = "",
    form: Form = "table",
) -> None:
    """Make a version the champion if it passes the rules of section `promotion` in params.yaml.

    The command prints every rule with its figures and writes them to reports/promotions. It ends with exit code 1 if
    the version was not promoted.
    """
    # Here, so that `datspect --help` does not wait for MLflow and TensorFlow.
    from datspect.io.writable import check_writable_folder
    from datspect.release import promoting, registry
    from datspect.release.manifest import MANIFEST_TAG

    if (force or new_lineage) and not reason.strip():
        raise WrongUseError("--force and --new-lineage need --reason: say why, it is kept with the version")
    wish = promoting.Wish(dry_run=dry_run, force=force, new_lineage=new_lineage, reason=reason.strip())
    with registry.opened() as (opened, root, params):
        check_writable_folder(root / promoting.PROMOTIONS, "the protocol goes to")  # before a look, and before it moves
        wanted, current = opened.named(version), opened.version(registry.CHAMPION)
        if current is not None and current.number == wanted.number:
            said = f"version {wanted.number} is the champion already"
            record = {"version": int(wanted.number), "champion": int(wanted.number), "passed": None, "moved": False}
            print(as_json({**record, "conclusion": said, "rules": [], "protocol": None}) if form == "json" else said)
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
    conclusion, protocol = _conclusion(decision, wish, moved, wanted.number), path.relative_to(root)
    if form == "json":
        now = int(current.number) if current else None
        record = {"version": int(wanted.number), "champion": now, "passed": decision.passed, "moved": moved}
        print(as_json({**record, "conclusion": conclusion, "rules": decision.rules, "protocol": protocol}))
    else:
        typer.echo(f"version {wanted.number} ({of}) against the champion ({against})\n")
        _print_rules(decision)
        advice = "; commit it: git then holds why, and the digest to serve by (docs/security.md)" if moved else ""
        typer.echo(f"\n{conclusion}\nwritten to {protocol}{advice}")
    if not (moved or (dry_run and decision.passed)):
        raise typer.Exit(FOUND)


def rollback(reason: Reason = "", form: Form = "table") -> None:
    """Make the previous champion the champion again; the two change places."""
    from datspect.release import promoting, registry

    if not reason.strip():
        raise WrongUseError("rollback needs --reason: say why, it is kept with the version")
    with registry.opened() as opened:
        now, before = promoting.roll_back(opened.registry, reason.strip())
    said = f"version {now.number} is the champion again; version {before.number} is the previous one"
    record = {"champion": int(now.number), "previous": int(before.number)}
    print(as_json(record) if form == "json" else said)


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
