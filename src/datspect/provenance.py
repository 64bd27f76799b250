"""Where a result comes from: digests of code, parameters and data, and the id made of them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import BaseModel

from datspect.digests import file_digest


@dataclass(frozen=True)
class Provenance:
    """Digests of what a result was made from; equal digests, equal result on one machine."""

    code_sha256: str
    params_sha256: str
    data_sha256: str

    @property
    def result_id(self) -> str:
        """One id for the three."""
        return _digest(json.dumps(asdict(self), sort_keys=True).encode())[:16]


def provenance(stage: str, sections: Mapping[str, BaseModel], inputs: Sequence[Path]) -> Provenance:
    """Digests of this package's source, of the stage's name and parameter sections, and of its input files."""
    params = {name: section.model_dump(mode="json") for name, section in sections.items()}
    return Provenance(
        code_sha256=_files_digest(sorted(Path(__file__).parent.rglob("*.py"))),
        params_sha256=_digest(json.dumps({"stage": stage, "params": params}, sort_keys=True).encode()),
        data_sha256=_files_digest(inputs),
    )


def _files_digest(paths: Sequence[Path]) -> str:
    return _digest("".join(file_digest(path) for path in paths).encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
