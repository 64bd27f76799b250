"""Look at Keras' backend and at the GPU: a program of its own loads the backend, and what it saw is explained."""

import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from datspect.doctor.check import Check, Place
from datspect.doctor.packages import installed_releases
from datspect.release.platforms import gpu_names
from datspect.running.programs import TOO_SLOW, Said, said_by

KNOWN = ("tensorflow", "jax")
_NVIDIA, _DISPLAY = "0x10de", ("0x0300", "0x0302")
"""Vendor of cards, and the first digits of the classes of PCI devices that compute."""
_PROBE = [sys.executable, "-m", "datspect.doctor.backend_probe"]


@dataclass(frozen=True)
class Gpu:
    """What this machine has: models that the driver names, whether there is a driver, a card, and a device file."""

    names: str
    has_driver: bool
    has_card: bool
    has_device: bool

    @classmethod
    def here(cls) -> "Gpu":
        """Look at this machine."""
        names = gpu_names()
        has_driver = bool(names) or Path("/proc/driver/nvidia/version").exists() or bool(shutil.which("nvidia-smi"))
        has_device = Path("/dev/nvidia0").exists() or Path("/dev/dxg").exists()
        return cls(names, has_driver, _has_card(Path("/sys/bus/pci/devices")), has_device)


def _has_card(devices: Path) -> bool:
    for vendor in devices.glob("*/vendor"):
        kind = vendor.with_name("class")
        if vendor.read_text("ascii").strip() == _NVIDIA and kind.read_text("ascii").startswith(_DISPLAY):
            return True
    return False


def checks(place: Place) -> list[Check]:
    """Load the backend and look for a GPU."""
    said = said_by(_PROBE, seconds=place.seconds, environment={"TF_CPP_MIN_LOG_LEVEL": "0"})
    installed = installed_releases()
    backend = backend_check(said, installed)
    if said.code:
        asked = os.environ.get("KERAS_BACKEND", "tensorflow")
        return [backend, gpu_check(asked, None, Gpu.here(), installed, os.environ)]
    found = json.loads(said.out.splitlines()[-1])
    name, seen = str(found["backend"]), bool(found["on_accelerator"])
    return [backend, gpu_check(name, seen, Gpu.here(), installed, os.environ, said.err)]


def backend_check(said: Said, installed: Mapping[str, str]) -> Check:
    """Say which backend Keras loads, or why it does not."""
    asked = os.environ.get("KERAS_BACKEND")
    variable = f"KERAS_BACKEND={asked}" if asked else "KERAS_BACKEND is not set"
    if said.code == TOO_SLOW:
        return Check("backend", "warning", f"it did not load in time ({variable})", "ask again with --seconds 60")
    if said.code:
        remedy = "make setup, or for JAX: make setup GROUP=jax"
        return Check("backend", "problem", f"it cannot be loaded ({variable}): {said.last_line}", remedy)
    found = json.loads(said.out.splitlines()[-1])
    name = found["backend"]
    release = next((installed[each] for each in (name, f"{name}-cpu") if each in installed), "of an unknown release")
    finding = f"{name} {release}, Keras {found['keras']} ({variable})"
    if name not in KNOWN:
        return Check("backend", "problem", finding, "export KERAS_BACKEND=tensorflow (or jax)")
    return Check("backend", "ok", finding)


def gpu_check(
    backend: str,
    seen: bool | None,
    gpu: Gpu,
    installed: Mapping[str, str],
    environment: Mapping[str, str],
    noise: str = "",
) -> Check:
    """Say whether the backend sees a GPU, and why not.

    Parameters
    ----------
    seen : whether the backend computes on an accelerator; None if it could not be loaded
    noise : what the backend wrote while it was loaded
    """
    if seen:
        return Check("GPU", "ok", f"{backend} computes on {gpu.names or 'an accelerator'}")
    builds = gpu_build(backend, installed)
    hidden = environment.get("CUDA_VISIBLE_DEVICES")
    if not gpu.has_driver and not gpu.has_card:
        return Check("GPU", "ok", f"none in this machine{'' if builds else ', and the CPU build is installed'}")
    model = gpu.names or "an NVIDIA card"
    if not gpu.has_driver:
        return Check("GPU", "warning", f"{model} is here, but no NVIDIA driver", "install the driver; docs/gpu.md")
    if hidden is not None and hidden.strip() in ("", "-1"):
        return Check("GPU", "warning", f"{model} is hidden by CUDA_VISIBLE_DEVICES={hidden}", "unset it")
    if not gpu.has_device:
        remedy = "start the container with GPUs (--gpus all, or --device nvidia.com/gpu=all)"
        return Check("GPU", "warning", f"{model}: the driver is loaded, but this process is given no device", remedy)
    if not builds:
        remedy = "make setup GROUP=gpu" if backend == "tensorflow" else 'pip install "jax[cuda12]"'
        return Check("GPU", "warning", f"{model} is here, but the CPU build of {backend} is installed", remedy)
    if seen is None:
        return Check("GPU", "warning", f"{model} is here; {backend} did not load, so nobody knows", "ask again")
    return Check(
        "GPU", "warning", f"{model} and the GPU build are here, but {backend} does not see it{_complaint(noise)}",
        "compare the driver with what the build needs (nvidia-smi); docs/gpu.md",
    )  # fmt: skip


def gpu_build(backend: str, installed: Mapping[str, str]) -> bool:
    """Return whether the installed backend can compute on a GPU.

    >>> gpu_build("tensorflow", {"tensorflow-cpu": "2.21.0"}), gpu_build("jax", {"jax": "1", "jax-cuda12-plugin": "1"})
    (False, True)
    """
    if backend == "jax":
        return any(name.startswith(("jax-cuda", "jax-rocm")) for name in installed)
    return "tensorflow" in installed and any(name.startswith("nvidia-cudnn") for name in installed)


def _complaint(noise: str) -> str:
    lines = [line for line in noise.splitlines() if "GPU" in line or "cuda" in line.lower()]
    return f": {lines[-1].rpartition('] ')[2][:200]}" if lines else ""
