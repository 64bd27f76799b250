"""Look for texts in everything that a folder holds."""

import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of every file below a folder; of zips, which Keras saves models as, also the members."""
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            yield path.relative_to(folder).as_posix(), content
            if zipfile.is_zipfile(io.BytesIO(content)):
                with zipfile.ZipFile(io.BytesIO(content)) as archive:
                    yield from ((f"{path.name}:{name}", archive.read(name)) for name in archive.namelist())


def texts_in(content: bytes, texts: Iterable[str]) -> Iterator[str]:
    """Those that stand in `content`; looked for where it is printable, since most of it are weights and images.

    Digits alone count where no other digit is beside them: among thousands of decimals any six are found.
    """
    printable = b"\n".join(re.findall(rb"[\x20-\x7e]{6,}", content))
    for text in texts:
        place = printable if text.isascii() and len(text) >= 6 else content
        looked_for = rf"(?<!\d){text}(?!\d)" if text.isdigit() else re.escape(text)
        if re.search(looked_for.encode(), place):
            yield text
