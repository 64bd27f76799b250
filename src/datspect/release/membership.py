"""Tell whom a version was trained and tested on without naming anybody: by salted digests of pseudonyms."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable

_DIGEST_CHARACTERS = 16
_SALT_BYTES = 16


def new_salt() -> str:
    """Return a salt for one registered model, under which two of its versions can be compared and nothing else."""
    return secrets.token_hex(_SALT_BYTES)


def subject_digests(subject_ids: Iterable[str], salt: str) -> list[str]:
    """Return one digest per subject, sorted by digest, so that their order says nothing of the subjects'."""
    return sorted(subject_digest(subject_id, salt) for subject_id in subject_ids)


def subject_digest(subject_id: str, salt: str) -> str:
    """Return a hexadecimal digest of one subject, equal for the same subject under the same salt."""
    return hmac.new(bytes.fromhex(salt), subject_id.encode(), hashlib.sha256).hexdigest()[:_DIGEST_CHARACTERS]


def set_digest(digests: Iterable[str]) -> str:
    """Return a hexadecimal name of a set of subjects; their order does not matter."""
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()[:_DIGEST_CHARACTERS]
