"""Say on which platform a version was made, as far as its run tells, and on which it is asked again."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from datspect.tracking.provenance import machine, releases

_PACKAGES = {
    "tensorflow": ("tensorflow", "tensorflow-cpu", "keras", "numpy"),
    "jax": ("jax", "keras", "numpy"),
    "numpy": ("numpy",),
}
"""By backend, the packages that last digits depend on."""
_DRIVER = Path("/proc/driver/nvidia/gpus")
_GPU_METRICS = "system/gpu"  # MLflow samples them where there is a GPU


def platform_of(record: Mapping[str, Any], metrics: Iterable[str] = ()) -> str:
    """Return the platform of a run by its run.json and the names of its metrics in MLflow.

    >>> platform_of({"machine": {"system": "Linux", "processor": "A"}, "releases": {"python": "3.11.9"}})
    'A, Linux, Python 3.11.9'
    """
    gpu = "a GPU" if any(name.startswith(_GPU_METRICS) for name in metrics) else ""
    backend = record.get("tags", {}).get("datspect.backend", "")
    return _text(record.get("machine", {}), gpu, record.get("releases", {}), backend)


def platform_here(model: str) -> str:
    """Return the platform of this process; the striatum's model is answered by NumPy, without a backend."""
    if model == "striatum":
        return _text(machine(), "", releases(), "numpy")
    import keras

    from datspect.modeling.compilation import on_accelerator

    gpu = (gpu_names() or "a GPU or TPU") if on_accelerator() else ""
    return _text(machine(), gpu, releases(), keras.backend.backend())


def gpu_names(driver: Path = _DRIVER) -> str:
    """Return the models of the NVIDIA GPUs that the driver names, "" if there are none."""
    lines = [line for path in sorted(driver.glob("*/information")) for line in path.read_text("utf-8").splitlines()]
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
    return ", ".join(dict.fromkeys(models))


def _text(about: Mapping[str, Any], gpu: str, installed: Mapping[str, str], backend: str) -> str:
    packages = _PACKAGES.get(backend) or dict.fromkeys(name for names in _PACKAGES.values() for name in names)
    processor = str(about.get("processor", "unknown processor"))
    parts = [
        f"{processor} and {gpu}" if gpu else processor,
        f"{about.get('system', 'unknown system')} {about.get('architecture', '')}".strip(),
        f"Python {installed['python']}" if "python" in installed else "",
        *(f"{name} {installed[name]}" for name in packages if name in installed),
    ]
    return ", ".join(part for part in parts if part)
