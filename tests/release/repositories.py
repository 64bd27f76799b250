"""A git repository of a test's own."""

import subprocess
from pathlib import Path


def run(folder: Path, *command: str) -> str:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def commit(folder: Path, message: str) -> str:
    run(folder, "git", "add", "--all")
    run(folder, "git", "-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-qm", message)
    return run(folder, "git", "rev-parse", "HEAD")


def commit_lock(folder: Path, outputs: dict[str, str]) -> str:
    """A new repository of a dvc.lock with `outputs`, path to MD5, and nothing else."""
    outs = "".join(f"    - path: {path}\n      md5: {md5}\n" for path, md5 in outputs.items())
    (folder / "dvc.lock").write_text(f"schema: '2.0'\nstages:\n  all:\n    outs:\n{outs}", encoding="utf-8")
    (folder / ".gitignore").write_text("*\n!dvc.lock\n", encoding="utf-8")
    run(folder, "git", "init", "--quiet")
    return commit(folder, "results")
