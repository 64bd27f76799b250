"""Make pseudonyms: names that stand for people, scans and files, and lead back to them only with a secret key.

They are HMAC-SHA256 under the key: nobody without it can find a pseudonym by trying every subject id, and whoever has
it gives the same person the same pseudonym again.
"""

import base64
import contextlib
import hmac
import logging
import os
import re
import secrets
import shlex
import unicodedata
from pathlib import Path
from typing import NoReturn

from datspect.errors import ImportingError

KEY_VARIABLE = "DATSPECT_KEY_FILE"
_KEY_BYTES = 32
_KEY_TEXT = re.compile(rf"[0-9a-f]{{{2 * _KEY_BYTES}}}")
_LENGTH = 10
"""Base32 characters, 50 bits: two of 10,000 subjects share a pseudonym under one of 20 million keys."""
_SITE_LENGTH = 6
_PSEUDONYM = re.compile(rf"\b[PSF]-[A-Z2-7]{{{_LENGTH}}}\b")
_REPOSITORY_MARKS = (".git", ".dvc")
_OTHERS_RIGHTS = 0o077

log = logging.getLogger("datspect.pseudonyms")


class Pseudonyms:
    """Pseudonyms under one key. What each stands for is remembered in memory and nowhere else."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._originals: dict[str, str] = {}

    def subject(self, original: str) -> str:
        """Return `P-` and ten characters for a person."""
        return self._remembered("P-" + self._code("subject", original, _LENGTH), original)

    def scan(self, original: str) -> str:
        """Return `S-` and ten characters for one acquisition."""
        return self._remembered("S-" + self._code("scan", original, _LENGTH), original)

    def file(self, original: str) -> str:
        """Return `F-` and ten characters for a file of the download."""
        return self._remembered("F-" + self._code("file", original, _LENGTH), original)

    def site(self, original: str) -> str:
        """Return `site-` and six characters for a hospital, whose name may tell where a patient lives."""
        return "site-" + self._code("site", original, _SITE_LENGTH)

    def seal(self, text: str) -> str:
        """Return a code that is equal for equal text and tells nothing else about it."""
        return self._code("seal", text, 2 * _LENGTH)

    @property
    def fingerprint(self) -> str:
        """A name of the key that does not give it away."""
        return "K-" + self._code("fingerprint", "", _LENGTH)

    def revealed(self, text: str) -> list[tuple[str, str]]:
        """Return every pseudonym in `text` with its meaning: for the person at the keyboard, never for a file."""
        found = dict.fromkeys(_PSEUDONYM.findall(text))
        return [(pseudonym, self._originals[pseudonym]) for pseudonym in found if pseudonym in self._originals]

    def _remembered(self, pseudonym: str, original: str) -> str:
        self._originals[pseudonym] = original
        return pseudonym

    def _code(self, purpose: str, original: str, length: int) -> str:
        # The purpose stands in front: nobody may see that subject 323662 and image 323662 have the same number.
        same = unicodedata.normalize("NFC", original.strip())
        digest = hmac.digest(self._key, f"{purpose}\0{same}".encode("utf-8", "surrogatepass"), "sha256")
        return base64.b32encode(digest).decode("ascii")[:length]

    def __repr__(self) -> str:
        return f"Pseudonyms({self.fingerprint})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("pseudonyms and their key stay in the process that read the key")


def key_path() -> Path:
    """Return the path of the key: the environment's DATSPECT_KEY_FILE, else `~/.config/datspect/pseudonym.key`."""
    place = os.environ.get(KEY_VARIABLE)
    return Path(place).expanduser() if place else Path.home() / ".config" / "datspect" / "pseudonym.key"


def read_or_create_key(path: Path) -> Pseudonyms:
    """Return pseudonyms under the key in `path`; without a file put a new random key there, for its owner only.

    Raises
    ------
    ImportingError : the file lies in a git or DVC repository, others may read it, or it holds no key.
    """
    _refuse_repository(path)
    try:
        if not path.exists():
            _create_key(path)
        _refuse_others(path)
        text = path.read_text(encoding="ascii", errors="replace").strip()
    except OSError as error:
        raise ImportingError(
            f"{path}: the pseudonym key can be neither read nor made ({error.strerror}); set {KEY_VARIABLE} to a file "
            "that only you may read, on a disk that knows hard links"
        ) from None
    if not _KEY_TEXT.fullmatch(text):
        raise ImportingError(
            f"{path}: expected a pseudonym key, {2 * _KEY_BYTES} hexadecimal digits; put back your copy of the key, or "
            f"set {KEY_VARIABLE} to where it is"
        )
    return Pseudonyms(bytes.fromhex(text))


def _create_key(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        # The file has its final rights from the start, so that others can read it at no moment.
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_hex(_KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        # A link, unlike a rename, replaces nothing: one of two first uses wins, and both read its key.
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(unfinished)
            log.info(
                "a new pseudonym key lies in %s; keep a copy in a safe place: without it the same person gets another "
                "pseudonym, and whoever has it can tell whose a pseudonym is",
                path,
            )
    finally:
        unfinished.unlink(missing_ok=True)


def _refuse_repository(path: Path) -> None:
    for place in (path.absolute(), path.resolve()):
        if any((folder / mark).exists() for folder in place.parents for mark in _REPOSITORY_MARKS):
            raise ImportingError(
                f"{path}: the pseudonym key must not lie in a git or DVC repository, which could be shared together "
                f"with the pseudonyms; set {KEY_VARIABLE} to a file elsewhere"
            )


def _refuse_others(path: Path) -> None:
    if os.name == "posix" and path.stat().st_mode & _OTHERS_RIGHTS:
        raise ImportingError(
            f"{path}: others may read the pseudonym key; if it may have been seen, start over with a new one, else: "
            f"chmod 600 {shlex.quote(str(path))}"
        )
