#!/usr/bin/env python3
"""Checks what a wheel holds: the package and the files that it reads, nothing else, and less than a megabyte.

scripts/check_wheel.py WHEEL
"""

import sys
import zipfile
from pathlib import Path

NEEDED = (
    "datspect/__main__.py",
    "datspect/py.typed",
    "datspect/defaults/params.yaml",
    *(f"datspect/defaults/recipes/{recipe.name}" for recipe in sorted(Path("recipes").glob("*.yaml"))),
    *(
        f"datspect/reporting/templates/{each.name}"
        for each in sorted(Path("src/datspect/reporting/templates").iterdir())
    ),
)
MOST_BYTES = 1_000_000


def problems(wheel: Path) -> list[str]:
    """Return what is wrong with a wheel, in words."""
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
    found = [f"lacks {name}" for name in NEEDED if name not in names]
    sources = {f"datspect/{path.relative_to('src/datspect')}" for path in Path("src/datspect").rglob("*.py")}
    found += [f"lacks {name}" for name in sorted(sources - names)]
    about = f"{'-'.join(wheel.name.split('-')[:2])}.dist-info/"
    own = (about, "datspect/defaults/", "datspect/reporting/templates/")
    extra = {name for name in names - sources - {"datspect/py.typed"} if not name.startswith(own)}
    found += [f"holds {name}, which is not the package's" for name in sorted(extra)]
    if wheel.stat().st_size > MOST_BYTES:
        found.append(f"has {wheel.stat().st_size:,} bytes; expected at most {MOST_BYTES:,}")
    return found


if __name__ == "__main__":
    wrong = problems(Path(sys.argv[1]))
    sys.exit("\n  ".join([f"error: {sys.argv[1]}: {len(wrong)} problem(s)", *wrong]) if wrong else 0)
