"""On which platform a version was made and is checked, as far as anything says so."""

import platform
from pathlib import Path

import keras
import pytest

from datspect.release import platforms
from datspect.release.platforms import gpu_names, platform_here, platform_of
from datspect.tracking.provenance import machine, releases

MACHINE = {"system": "Linux", "architecture": "x86_64", "processor": "Xeon", "cores": 8, "instructions": ["avx2"]}


@pytest.mark.parametrize(
    ("record", "metrics", "said"),
    [
        ({}, (), "unknown processor, unknown system"),
        ({"machine": MACHINE}, (), "Xeon, Linux x86_64"),
        ({"machine": MACHINE}, ("system/cpu_utilization_percentage", "cv/accuracy"), "Xeon, Linux x86_64"),
        ({"machine": MACHINE}, ("system/gpu_0_utilization_percentage",), "Xeon and a GPU, Linux x86_64"),
        (
            {"machine": MACHINE, "releases": {"python": "3.11.7", "tensorflow": "2.21.0", "mlflow": "3.17.2"}},
            (),
            "Xeon, Linux x86_64, Python 3.11.7, tensorflow 2.21.0",
        ),
        (
            {
                "machine": MACHINE,
                "releases": {"jax": "0.7.1", "tensorflow-cpu": "2.21.0", "keras": "3.15.1"},
                "tags": {"datspect.backend": "jax"},
            },
            (),
            "Xeon, Linux x86_64, jax 0.7.1, keras 3.15.1",
        ),
    ],
)
def test_a_run_says_what_it_holds_and_no_more(record: dict[str, object], metrics: tuple[str, ...], said: str) -> None:
    assert platform_of(record, metrics) == said


@pytest.mark.parametrize("model", ["paper", "striatum"])
def test_a_version_that_was_made_here_was_made_on_this_platform(model: str) -> None:
    backend = "numpy" if model == "striatum" else keras.backend.backend()
    here = {"machine": machine(), "releases": releases(), "tags": {"datspect.backend": backend}}
    assert platform_here(model) == platform_of(here)
    assert f"Python {platform.python_version()}" in platform_here(model)


@pytest.mark.parametrize(("names", "said"), [("NVIDIA H200", "NVIDIA H200"), ("", "a GPU or TPU")])
def test_the_accelerator_that_computes_here_is_named_if_its_driver_names_it(
    monkeypatch: pytest.MonkeyPatch, names: str, said: str
) -> None:
    monkeypatch.setattr("datspect.modeling.compilation.on_accelerator", lambda: True)
    monkeypatch.setattr(platforms, "gpu_names", lambda: names)
    assert f" and {said}, " in platform_here("paper")
    assert said not in platform_here("striatum")  # which NumPy answers


def test_gpus_are_named_once_each_by_what_the_driver_writes(tmp_path: Path) -> None:
    assert gpu_names(tmp_path) == ""
    for k, model in enumerate(("NVIDIA H200", "NVIDIA H200", "NVIDIA T4")):
        (tmp_path / f"0000:0{k}:00.0").mkdir()
        (tmp_path / f"0000:0{k}:00.0/information").write_text(f"Model: \t\t {model}\nIRQ:   24\nGPU UUID: GPU-1-2\n")
    assert gpu_names(tmp_path) == "NVIDIA H200, NVIDIA T4"
