import hashlib
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from datspect.errors import CohortError, ParamsError, WeightsError
from datspect.io.arrays import write_array
from datspect.modeling.features import BATCH_SIZE
from datspect.stages import backbone as backbone_stage
from datspect.stages import features as stage
from datspect.training.bank import read_bank

REPOSITORY = Path(__file__).parents[2]
N_SUBJECTS = 6


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images, params and a small random backbone, to copy."""
    folder = tmp_path_factory.mktemp("made-up")
    yaml = YAML()
    params = yaml.load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    params["backbone"] |= {"architecture": "MobileNetV2", "weights": None, "precision": "float32"}
    params["augment"]["draws"] = 2
    yaml.dump(params, folder / "params.yaml")
    images = np.random.default_rng(7).random((N_SUBJECTS, 36, 32, 3)).astype(np.float32)
    write_array(folder / "images.npy", images)
    backbone_stage.main(folder / "backbone", folder / "params.yaml")
    return folder


@pytest.fixture
def folder(made_up: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made_up, tmp_path, dirs_exist_ok=True))


def run(folder: Path, into: str = "features") -> Any:
    stage.main(folder, folder / "backbone", folder / into, folder / "params.yaml")
    return read_bank(folder / into / "bank.npy")


def test_the_bank_has_every_draw_of_every_subject(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "datspect"):
        bank = run(folder)
    assert bank.shape == (3, N_SUBJECTS, 1280)
    assert bank.dtype == np.float16
    assert not np.array_equal(bank[1], bank[2])
    assert "images/s" in caplog.text
    record = json.loads((folder / "features" / "features.json").read_text(encoding="utf-8"))
    origin = json.loads((folder / "backbone" / "backbone.json").read_text(encoding="utf-8"))
    assert record == {
        "architecture": "MobileNetV2",
        "backbone_source": "random, seed 2019",
        "backbone_tensor_digest": origin["tensor_digest"],
        "precision": "float32",
        "draws": 2,
        "n_subjects": N_SUBJECTS,
        "n_features": 1280,
        "sha256_by_draw": [hashlib.sha256(draw.tobytes()).hexdigest() for draw in bank],
    }


def test_two_runs_leave_the_same_bytes(folder: Path) -> None:
    run(folder, "a")
    run(folder, "b")
    for name in ("bank.npy", "features.json"):
        assert (folder / "a" / name).read_bytes() == (folder / "b" / name).read_bytes()


def test_the_order_of_subjects_is_that_of_the_images(folder: Path) -> None:
    clean = run(folder)[0].astype(float)
    images = np.load(folder / "images.npy")
    write_array(folder / "images.npy", images[::-1])
    reversed_clean = run(folder, "reversed")[0].astype(float)
    np.testing.assert_allclose(reversed_clean[::-1], clean, atol=2e-3 * clean.max())
    assert N_SUBJECTS * 3 < BATCH_SIZE  # one padded batch


def test_weights_that_are_not_those_of_the_record_are_refused(folder: Path) -> None:
    record = folder / "backbone" / "backbone.json"
    origin = json.loads(record.read_text(encoding="utf-8"))
    record.write_text(json.dumps(origin | {"tensor_digest": "0" * 64}), encoding="utf-8")
    with pytest.raises(WeightsError, match=r"not those of backbone\.json"):
        run(folder)
    assert not (folder / "features").exists()


def test_missing_images_name_the_way_out(folder: Path) -> None:
    (folder / "images.npy").unlink()
    with pytest.raises(CohortError, match=r"images\.npy: not found; run the stage"):
        run(folder)


@pytest.fixture
def wrong_in_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that computes another network in bfloat16."""
    real = stage._in_precision

    def in_precision(precision: str, *arguments: Any) -> Any:
        extractor = real(precision, *arguments)
        if precision == "bfloat16":
            extractor.set_weights([weight[..., ::-1] for weight in extractor.get_weights()])
        return extractor

    monkeypatch.setattr(stage, "_in_precision", in_precision)


def set_precision(folder: Path, precision: str) -> None:
    yaml = YAML()
    params = yaml.load((folder / "params.yaml").read_text(encoding="utf-8"))
    params["backbone"]["precision"] = precision
    yaml.dump(params, folder / "params.yaml")


@pytest.mark.own_process
@pytest.mark.usefixtures("wrong_in_bfloat16")
def test_a_processor_that_is_wrong_in_bfloat16_is_found_out(folder: Path) -> None:
    set_precision(folder, "bfloat16")
    with pytest.raises(ParamsError, match=r"backbone\.precision = bfloat16: .* choose float32"):
        run(folder, "asked")
    assert not (folder / "asked").exists()
