"""A params.yaml for a stage to read."""

from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
WriteParams = Callable[..., Path]


@pytest.fixture
def write_params(tmp_path: Path) -> WriteParams:
    """Write the project's params.yaml with some sections changed, for a cohort that is not the phantom."""

    def write(**sections: dict[str, object]) -> Path:
        params = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        params["cohort"]["path"] = "data/other"
        for section, changes in sections.items():
            params[section] |= changes
        path = tmp_path / "params.yaml"
        YAML().dump(params, path)
        return path

    return write
