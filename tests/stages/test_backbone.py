import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from datspect.errors import WeightsError
from datspect.modeling.backbone import build_backbone, model_digest
from datspect.modeling.model_files import read_weights
from datspect.stages import backbone as stage

REPOSITORY = Path(__file__).parents[2]


def write_params(path: Path, **backbone: Any) -> Path:
    yaml = YAML()
    params = yaml.load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    params["backbone"] |= {"architecture": "MobileNetV2", "weights": None, "precision": "float32"} | backbone
    yaml.dump(params, path)
    return path


def test_weights_lie_beside_where_they_came_from(tmp_path: Path) -> None:
    stage.main(tmp_path / "backbone", write_params(tmp_path / "params.yaml", seed=4))
    record = json.loads((tmp_path / "backbone" / "backbone.json").read_text(encoding="utf-8"))
    again = build_backbone("MobileNetV2", (80, 80))  # the weights serve any image size
    read_weights(tmp_path / "backbone" / "backbone.weights.h5", again)
    assert record == {
        "architecture": "MobileNetV2",
        "source": "random, seed 4",
        "tensor_digest": model_digest(again),
        "file_sha256": None,
        "wheel_sha256": None,
        "equals_known_imagenet": None,
    }


def test_what_it_wrote_can_be_the_weights_of_another_run(tmp_path: Path) -> None:
    stage.main(tmp_path / "first", write_params(tmp_path / "params.yaml"))
    weights = str(tmp_path / "first" / "backbone.weights.h5")
    stage.main(tmp_path / "second", write_params(tmp_path / "params.yaml", weights=weights))
    first, second = (
        json.loads((tmp_path / name / "backbone.json").read_text(encoding="utf-8")) for name in ("first", "second")
    )
    assert second["tensor_digest"] == first["tensor_digest"]
    assert second["source"] == "file backbone.weights.h5"
    assert str(tmp_path) not in json.dumps(second)


def test_nothing_is_written_without_weights(tmp_path: Path) -> None:
    params = write_params(tmp_path / "params.yaml", weights=str(tmp_path / "missing.h5"))
    with pytest.raises(WeightsError, match=r"missing\.h5: no such file"):
        stage.main(tmp_path / "backbone", params)
    assert not (tmp_path / "backbone").exists()
