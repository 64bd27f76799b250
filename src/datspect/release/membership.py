"""Whom a version was trained on and tested on, told without saying who: salted digests of pseudonyms."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable

_DIGEST_CHARACTERS = 16
_SALT_BYTES = 16


def new_salt() -> str:
    """A salt for one registered model; with it two of its versions can be compared, and nothing else."""
    return secrets.token_hex(_SALT_BYTES)


def subject_digests(subject_ids: Iterable[str], salt: str) -> list[str]:
    """A digest a subject, in order of the digests: equal for the same subject under the same salt."""
    return sorted(subject_digest(subject_id, salt) for subject_id in subject_ids)


def subject_digest(subject_id: str, salt: str) -> str:
    """Hexadecimal, of one subject."""
    return hmac.new(bytes.fromhex(salt), subject_id.encode(), hashlib.sha256).hexdigest()[:_DIGEST_CHARACTERS]


def set_digest(digests: Iterable[str]) -> str:
    """Names a set of subjects, whatever their order."""
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()[:_DIGEST_CHARACTERS]
