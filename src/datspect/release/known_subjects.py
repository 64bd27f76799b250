"""Tell which subjects of a cohort a model has met already, as far as it can be known without naming anybody."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from datspect.io.records import read_json
from datspect.io.tables import read_table
from datspect.prediction.files import FOLDER_NAME
from datspect.release.dvc_lock import LOCK_NAME, content_md5, locked_stages
from datspect.release.looks import SALT_TAG
from datspect.release.membership import subject_digest
from datspect.release.reading import readable
from datspect.release.registering import LINEAGE_ARTIFACT

ROLES = {"train": "trained on", "test": "in its test set"}
"""Roles of subjects, and what a role says of a model and a subject."""

SPLITS, PREDICTOR = "data/splits.csv", f"models/{FOLDER_NAME}"


@dataclass(frozen=True)
class KnownSubjects:
    """Whom a model has met: by role their pseudonyms, or with a `salt` the digests of these."""

    roles: Mapping[str, frozenset[str]]
    salt: str = ""

    def role_of(self, subject_id: str) -> str:
        """Return the role that a subject had for the model, "" if the model has not met it under this pseudonym."""
        named = subject_digest(subject_id, self.salt) if self.salt else subject_id
        return next((role for role, subjects in self.roles.items() if named in subjects), "")

    def roles_of(self, subject_ids: Iterable[str]) -> list[str]:
        """Return the role of every subject, in order."""
        return [self.role_of(subject_id) for subject_id in subject_ids]


def known_subjects(model: str) -> KnownSubjects | None:
    """Return whom a model has met, given its folder, or its alias or number; None if nothing says so.

    A folder says so where the graph left it, beside the data/splits.csv from which dvc.lock says that it was made; a
    version carries digests.

    Raises
    ------
    PromotionError : there is no such version.
    """
    folder = Path(model)
    if folder.is_dir():
        return _of_project(folder.resolve())
    with readable() as registry:
        version, salt = registry.named(model), registry.model_tags().get(SALT_TAG)
        if salt is None:
            return None
        who = read_json(registry.artifact(version, LINEAGE_ARTIFACT))
        return KnownSubjects({role: frozenset(who[role]) for role in ROLES}, salt)


def why_unknown(model: str) -> str:
    """Return why nothing says whom a model has met, one of which `known_subjects` is None."""
    folder = Path(model)
    if not folder.is_dir():
        return "the registry has no digests of its subjects"
    root = _project_of(folder.resolve())
    if root is None or not (root / LOCK_NAME).is_file():
        return "a folder on its own does not say it, a version of the registry does"
    return f"by {LOCK_NAME}, {SPLITS} is not that of this model; run dvc repro in its project"


def _of_project(folder: Path) -> KnownSubjects | None:
    root = _project_of(folder)
    if root is None or not _is_of_these_splits(root):
        return None
    table = read_table(root / SPLITS, ["subject_id", "role"])
    return KnownSubjects({role: frozenset(table["subject_id"][table["role"] == role].astype(str)) for role in ROLES})


def _project_of(folder: Path) -> Path | None:
    """Return the folder of the project whose graph writes its predictor to `folder`; None if that is no such place."""
    models, root = folder.parent, folder.parent.parent
    return root if folder == root / "models" / FOLDER_NAME and models != root else None


def _is_of_these_splits(root: Path) -> bool:
    """Return whether splits and predictor on disk are those that dvc.lock names for one run of the predictor's stage.

    After a dvc repro that stopped, the splits may be of another cohort than the model.
    """
    if not (root / LOCK_NAME).is_file() or not (root / SPLITS).is_file():
        return False
    for stage in locked_stages(root / LOCK_NAME).values():
        made, read = ({each["path"]: each["md5"] for each in stage.get(kind, [])} for kind in ("outs", "deps"))
        if PREDICTOR in made:
            there = (content_md5(root / SPLITS), content_md5(root / PREDICTOR))
            return (read.get(SPLITS), made[PREDICTOR]) == there
    return False
