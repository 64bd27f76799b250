"""Tell where a version comes from by its tags, and check that against what lies on this machine."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from datspect.cohort.scope import Scope
from datspect.errors import PromotionError, WeightsError
from datspect.prediction.files import FOLDER_NAME, predictor_digest
from datspect.release import checked, run_files
from datspect.release.checked import changes, has_manifest, without_manifest
from datspect.release.dvc_lock import LOCK_NAME, commit_of, has_commit, locked_outputs
from datspect.release.manifest import MANIFEST_TAG
from datspect.release.registry import DIGEST_TAG, Registry, Version
from datspect.release.reproduction import COMMIT_TAG, HEADLINE_TAG, reproduced_commit
from datspect.release.verifying import holding

_FACTS = {
    "model digest": DIGEST_TAG,
    "manifest": MANIFEST_TAG,
    "commit at training": "datspect.git_commit",
    "files changed then": "datspect.git_changed",
    "data": "datspect.data_sha256",
    "split": "datspect.splits_sha256",
    "code": "datspect.code_sha256",
    "parameters": "datspect.params_sha256",
    "parameters from": "datspect.parameters_from",
    "weights from": "datspect.weights_source",
    "weights": "datspect.weights_sha256",
    "result": "datspect.result_id",
    "reproduces": COMMIT_TAG,
    "how well": HEADLINE_TAG,
    "promoted": "datspect.promoted",
}
"""What is printed of a version, with the tag that holds it."""


@dataclass(frozen=True)
class Trace:
    """The way back from a version: facts by name, hashes of outputs by path, and the commands that rebuild it.

    `lock_commit` has its outputs in dvc.lock; where no commit has, `reproduces` has them but for last digits.
    """

    number: str
    scope: Scope
    facts: Mapping[str, str]
    outputs: Mapping[str, str]
    lock_commit: str | None
    reproduces: str | None
    commands: tuple[str, ...]
    version: Version


@dataclass(frozen=True)
class Link:
    """Whether one link holds; None if this machine does not have what would tell."""

    name: str
    holds: bool | None
    finding: str


def traced(version: Version, root: Path) -> Trace:
    """Return what the version's tags say, and the commit whose dvc.lock has its outputs."""
    tags, outputs = version.tags, version.outputs
    lock_commit = commit_of(root, outputs)
    reproduces = None if lock_commit else reproduced_commit(root, tags)
    facts = {name: tags[tag].replace("\n", ", ") or "none" for name, tag in _FACTS.items() if tag in tags}
    facts = {"MLflow run": version.run_id or "none", "commit of dvc.lock": lock_commit or "not found", **facts}
    return Trace(
        number=version.number,
        scope=Scope.of_tags(tags),
        facts=facts,
        outputs=outputs,
        lock_commit=lock_commit,
        reproduces=reproduces,
        commands=_commands(lock_commit or reproduces),
        version=version,
    )


def links(registry: Registry, trace: Trace, root: Path) -> list[Link]:
    """Check every link as far as this machine allows; what it holds of the outputs is hashed, file by file."""
    locked = locked_outputs(root) if (root / LOCK_NAME).is_file() else {}
    return [
        _model(registry, trace),
        _every_file(registry, trace.version),
        _run(registry, trace),
        _commit(trace, root),
        _in_git(trace),
        *(_output(path, md5, root, locked) for path, md5 in trace.outputs.items()),
    ]


def _in_git(trace: Trace) -> Link:
    if trace.reproduces:
        return Link("outputs in git", True, f"those of {trace.reproduces}, but for last digits")
    return Link("outputs in git", trace.lock_commit is not None, trace.lock_commit or "in no commit's dvc.lock")


def _commands(lock_commit: str | None) -> tuple[str, ...]:
    if lock_commit is None:
        return ("its dvc.lock was not found in git: nothing to check out",)
    return (
        f"git worktree add ../datspect-version {lock_commit} && cd ../datspect-version",
        "dvc pull              # if a remote of DVC has the outputs",
        "make repro            # otherwise: everything from the data on",
    )


def _model(registry: Registry, trace: Trace) -> Link:
    expected = trace.version.tags.get(DIGEST_TAG, "")
    try:
        found = predictor_digest(registry.artifact(trace.version, FOLDER_NAME))
    except (PromotionError, WeightsError) as error:
        return Link("model in the registry", False, str(error))
    finding = "its files have the digest" if found == expected else f"its files have the digest {found}"
    return Link("model in the registry", found == expected, finding)


def _every_file(registry: Registry, version: Version) -> Link:
    name = "every file of it"
    if not has_manifest(version):
        return Link(name, None, without_manifest(version))
    found = changes(registry, version)
    return Link(name, not found, checked.in_words(found) or f"as the manifest {version.tags[MANIFEST_TAG]} says")


def _run(registry: Registry, trace: Trace) -> Link:
    name = "run in MLflow"
    result_id = registry.run_tags(trace.version).get("datspect.result_id")
    if result_id is None:
        return Link(name, None, "there is no such run in this MLflow")
    if result_id != trace.version.tags.get("datspect.result_id"):
        return Link(name, False, f"result {result_id}")
    run_id = registry.run_with_files(trace.version)
    lost = run_files.lost_files(registry.connection, run_id, {}) if run_id else []
    but = f", but MLflow has lost of its files: {run_files.in_words(lost)}" if lost else ""
    return Link(name, not lost, f"result {result_id}{but}")


def _commit(trace: Trace, root: Path) -> Link:
    commit = trace.version.tags.get("datspect.git_commit", "none")
    there = commit != "none" and has_commit(root, commit)
    return Link("commit at training", there or None, commit if there else f"{commit} is not in this repository")


def _output(path: str, md5: str, root: Path, locked: Mapping[str, str]) -> Link:
    found = holding(root, path, md5, locked)
    return Link(path, found.whole, found.finding if found.whole is not False else f"{found.finding}; see make verify")
