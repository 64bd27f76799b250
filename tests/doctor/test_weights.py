"""Where the backbone's weights are, or come from. No test asks the network."""

from pathlib import Path

import pytest

from datspect.doctor import weights
from datspect.doctor.weights import MADE, reachable_check, weights_check
from datspect.params.network import BackboneParams
from datspect.params.whole import load_params
from datspect.running.programs import Said
from datspect.weights.sources import PACKAGE_VERSION, keras_file

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def nothing_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(weights, "out_of_reach", lambda *_: "no route")
    monkeypatch.setattr(weights, "said_by", lambda *_, **__: Said(1, ""))


def asked(**changes: object) -> BackboneParams:
    return load_params(ROOT / "params.yaml").backbone.model_copy(update=changes)


def test_weights_that_were_made_need_no_source(tmp_path: Path) -> None:
    (tmp_path / MADE).parent.mkdir(parents=True)
    (tmp_path / MADE).touch()
    (tmp_path / MADE).with_name("backbone.json").write_text('{"architecture": "InceptionV3"}', "utf-8")
    assert "which stage backbone wrote" in weights_check(asked(), tmp_path, 1).finding


def test_weights_of_another_network_do_not_count(tmp_path: Path) -> None:
    (tmp_path / MADE).parent.mkdir(parents=True)
    (tmp_path / MADE).touch()
    (tmp_path / MADE).with_name("backbone.json").write_text('{"architecture": "InceptionV3"}', "utf-8")
    assert "which stage" not in weights_check(asked(architecture="Xception"), tmp_path, 1).finding


def test_those_in_the_cache_neither(tmp_path: Path) -> None:
    path = keras_file("InceptionV3").in_cache
    path.parent.mkdir(parents=True)
    path.touch()
    assert "Keras' cache" in weights_check(asked(), tmp_path, 1).finding


def test_no_source_is_a_problem_with_what_to_do(tmp_path: Path) -> None:
    check = weights_check(asked(), tmp_path, 1)
    assert check.outcome == "problem"
    assert "Keras' host does not answer; the package index does not answer" in check.finding
    assert "backbone.weights" in check.remedy


def test_one_source_is_enough_and_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "said_by", lambda *_, **__: Said(0, f'{{"versions": ["{PACKAGE_VERSION}"]}}'))
    check = weights_check(asked(), tmp_path, 1)
    assert check.outcome == "ok"
    assert "the package index answers; Keras' host does not answer" in check.finding


def test_other_networks_are_with_keras_alone(tmp_path: Path) -> None:
    assert "package index" not in weights_check(asked(architecture="Xception"), tmp_path, 1).finding
    assert reachable_check({"Keras' host": True}, "Xception").outcome == "ok"


def test_a_file_must_be_there_and_chance_needs_nothing(tmp_path: Path) -> None:
    assert weights_check(asked(weights="mine.h5"), tmp_path, 1).outcome == "problem"
    (tmp_path / "mine.h5").touch()
    assert weights_check(asked(weights="mine.h5"), tmp_path, 1).outcome == "ok"
    assert weights_check(asked(weights=None), tmp_path, 1).finding.startswith("random")
