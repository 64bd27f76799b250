"""What docs/json.md and docs/exit-codes.md say, so that tests hold the programs against it."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def json_keys(command: str) -> set[str]:
    """The keys of the first table of a command's part."""
    part = re.split(r"^## ", (DOCS / "json.md").read_text("utf-8"), flags=re.MULTILINE)
    (text,) = [each for each in part if each.startswith(f"{command}\n")]
    table = text[text.index("| --- |") :].split("\n\n")[0]
    return {row.split("|")[1].strip() for row in table.splitlines()[1:]}


def commands_with_json() -> set[str]:
    return set(re.findall(r"^## (\S+)$", (DOCS / "json.md").read_text("utf-8"), re.MULTILINE))


def codes_of_commands() -> dict[str, set[int]]:
    """The exit codes of each command, without those of signals and servers."""
    rows = re.findall(r"^\| `([^`]+)` \|.*\| ([^|]+) \|$", (DOCS / "exit-codes.md").read_text("utf-8"), re.MULTILINE)
    return {name: {0, 1, *(int(code) for code in others.split(", ") if code.isdecimal())} for name, others in rows}
