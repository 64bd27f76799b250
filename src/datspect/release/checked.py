"""Use a registered version only if every file of it is as it was registered; what runs its code gets a copy of its own.

A version carries this package as code, which whoever loads it runs. Its manifest covers that code with all the rest.
"""

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

from datspect.errors import PromotionError
from datspect.prediction.files import FOLDER_NAME
from datspect.release.manifest import MANIFEST_TAG, MLFLOWS_NOTE, differences
from datspect.release.reading import readable
from datspect.release.registry import NAME, Registry, Version, made_by

_SHOWN = 20
_REMEDY = "datspect register --again makes a version that has one"

log = logging.getLogger("datspect.release")


def has_manifest(version: Version) -> bool:
    """Tell whether the version was registered with a manifest."""
    return MANIFEST_TAG in version.tags


def without_manifest(version: Version) -> str:
    """Return what is to be said of a version that was registered before there were manifests."""
    return (
        f"version {version.number} of {NAME} has no manifest: an earlier release registered it, and nothing tells "
        f"whether the code that it carries is still what was registered; {_REMEDY}"
    )


def changes(registry: Registry, version: Version) -> list[str]:
    """Return a line for each file in which the stored version differs from its manifest; none without a manifest."""
    if not has_manifest(version):
        return []
    folder = registry.folder(version)
    return ["all of its files are gone"] if folder is None else differences(folder, version.tags[MANIFEST_TAG])


def in_words(found: Sequence[str]) -> str:
    """Return changes as one line."""
    more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return "; ".join(found[:_SHOWN]) + more


def model_folder(model: str) -> Path:
    """Return the predictor's folder of a version, given its alias or number; download it from a store elsewhere.

    Raises
    ------
    PromotionError : there is no such version, or a file of it is not as it was registered.
    """
    with readable() as registry:
        version = registry.version(model)
        if version is None:
            raise PromotionError(
                f"the registered model {NAME} has no version or alias {model}; name a folder, or run {made_by(model)}"
            )
        refuse_changed(registry, version)
        return registry.artifact(version, FOLDER_NAME)


def refuse_changed(registry: Registry, version: Version) -> None:
    """Stop at a version with changed files; say it of one that has no manifest.

    Raises
    ------
    PromotionError : a file is not as it was registered.
    """
    if not has_manifest(version):
        log.warning("%s", without_manifest(version))
    elif found := changes(registry, version):
        raise _changed(version, found)


def copy_checked(
    registry: Registry, version: Version, folder: Path, *, unverified: bool = False, expected: str = ""
) -> None:
    """Copy a version's files to `folder`, which does not exist yet, and check the copy; nothing of it is imported.

    Parameters
    ----------
    unverified : whether a version without manifest will do
    expected : digest that the manifest must have, kept by somebody outside of the registry; "" for that in the tag

    Raises
    ------
    PromotionError : a file is not as it was registered, there is no manifest, or it is not the expected one.
    """
    tagged = version.tags.get(MANIFEST_TAG, "")
    if not tagged and (expected or not unverified):
        raise PromotionError(f"{without_manifest(version)}, and --unverified serves it as it is")
    if expected and expected.lower() != tagged:
        raise PromotionError(
            f"version {version.number} of {NAME}: its manifest has digest {tagged}, not {expected}; it is not the "
            "version that you mean, or the registry was changed"
        )
    stored = registry.folder(version)
    if stored is None:
        raise _changed(version, ["all of its files are gone"])
    try:
        shutil.copytree(stored, folder, symlinks=True)
        (folder / MLFLOWS_NOTE).unlink(missing_ok=True)
    except OSError as error:  # a device among the files, or no space for them
        raise PromotionError(
            f"version {version.number} of {NAME}: its files cannot be copied ({error}); nothing of it was run"
        ) from error
    if tagged and (found := differences(folder, tagged)):
        raise _changed(version, found)


def _changed(version: Version, found: Sequence[str]) -> PromotionError:
    return PromotionError(
        f"version {version.number} of {NAME} is not as it was registered, and nothing of it was run: "
        f"{in_words(found)}; restore {version.source}, or register the model again (datspect register --again)"
    )
