"""Read and write records as JSON: text that repeats byte for byte and gives every number back."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from datspect.errors import CohortError
from datspect.io.atomic import write_text


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    CohortError : the file is missing or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CohortError(f"{path}: not found; run the stage that writes it (dvc repro)") from None
    except (ValueError, RecursionError) as error:
        raise CohortError(f"{path}: not readable JSON ({error})") from error


def write_json(path: Path, record: Any) -> None:
    """Write a JSON file with sorted keys; NumPy scalars and arrays are allowed, NaN and infinity are not.

    Raises
    ------
    ValueError : the record holds NaN or infinity, which JSON does not know.
    """
    text = json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False, default=_plain)
    write_text(path, text + "\n")


def _plain(value: object) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} does not fit into JSON")
