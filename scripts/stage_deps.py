#!/usr/bin/env python3
"""Writes what each stage imports among its deps, in dvc.yaml and data/phantom/dvc.yaml, between two comment lines.

    scripts/deps [--check]

A package that a stage uses as a whole is named as a folder, others file by file. --check changes nothing and fails when
something is to be changed.
"""

import re
import sys
import textwrap
from pathlib import Path

from datspect.tracking.provenance import imported_files

SOURCE = Path("src")
PIPELINES = (Path("dvc.yaml"), Path("data/phantom/dvc.yaml"))
BLOCK = re.compile(
    r"(?P<before>-m datspect\.stages\.(?P<stage>\w+) (?:(?!-m datspect\.stages).)*?# imports: begin[^\n]*\n)"
    r"(?P<files>.*?)(?P<after> *# imports: end\n)",
    re.DOTALL,
)


def main() -> None:
    """Renew both pipelines, or say which are to be renewed."""
    changed = [path for path in PIPELINES if renewed(path.read_text("utf-8")) != path.read_text("utf-8")]
    if "--check" in sys.argv[1:]:
        sys.exit(
            f"error: {', '.join(map(str, changed))}: the source files are not those imported; run make deps"
            if changed
            else 0
        )
    for path in changed:
        path.write_text(renewed(path.read_text("utf-8")), encoding="utf-8")


def renewed(pipeline: str) -> str:
    """Return the text of a dvc.yaml with the blocks of all its stages made anew."""
    return BLOCK.sub(lambda block: block["before"] + as_lines(sources(block["stage"])) + block["after"], pipeline)


def sources(stage: str) -> list[str]:
    """Return what the stage imports: folders of whole packages, and single files."""
    files = set(imported_files(f"datspect.stages.{stage}"))
    root = SOURCE.resolve()
    whole = {
        file.parent for file in files
        if file.parent.parent != root and set(file.parent.glob("[!_]*.py")) <= files
    }  # fmt: skip
    single = {file for file in files if file.parent not in whole}
    return sorted(path.relative_to(root.parent).as_posix() for path in whole | single)


def as_lines(paths: list[str]) -> str:
    """Return a flow sequence's entries, as many to a line as fit."""
    text = textwrap.fill(", ".join(paths), 119, break_long_words=False, break_on_hyphens=False)
    return textwrap.indent(text.rstrip(",") + ",\n", "      ").replace(" \n", "\n")


if __name__ == "__main__":
    main()
