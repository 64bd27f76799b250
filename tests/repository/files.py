"""Where the repository's files are, and what its Makefile can make."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def tracked() -> set[str]:
    """All files of the repository that git knows or would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\n")
    return {name for name in listed if name and (ROOT / name).exists()}


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def problems_of_line(line: str) -> list[str]:
    """What a line of a shell names that is not in the repository: targets of make, scripts."""
    made = re.findall(r"(?:^|[;&|] *)make ([a-z][a-z-]*)", line)
    found = [f"make {name}" for name in made if name not in make_targets()]
    named = re.findall(r"(?<![\w/.])((?:scripts|\.ci)/[\w.-]+)", line)
    return found + [name for name in named if not (ROOT / name).is_file()]
