"""Part 1: what the device is, and what a large matrix product reaches on it in float32, tf32 and bfloat16."""

import subprocess
from typing import Any

import jax

from finetune import matrix_gflops
from measuring import benchmark_parser, machine, versions, write_result

QUERY = "name,driver_version,memory.total,clocks.max.sm,clocks.max.mem,power.limit,compute_mode,mig.mode.current"


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--matrix-size", type=int, help="rows and columns; by default what fills the device")
    arguments = parser.parse_args()
    result: dict[str, Any] = {"machine": machine(), "versions": versions(), "device": device()}
    write_result(arguments.json, result)  # known even if a product below ends the process
    result["peak_gflops"] = peaks(arguments.matrix_size)
    for name, gflops in result["peak_gflops"].items():
        print(f"{name:<10} {gflops / 1e3:8.2f} TFLOP/s")
    write_result(arguments.json, result)


def device() -> dict[str, Any]:
    """What JAX sees, and what the driver says of it."""
    first = jax.devices()[0]
    return {
        "kind": first.device_kind,
        "platform": first.platform,
        "n": jax.device_count(),
        "compute_capability": getattr(first, "compute_capability", None),
        "jax": jax.__version__,
        "memory": first.memory_stats(),
        "driver": driver(),
    }


def driver() -> dict[str, str] | None:
    """Name, memory, clocks and limits by nvidia-smi; None without it."""
    command = ["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if answer.returncode:
        return {"error": answer.stderr.strip() or answer.stdout.strip()}
    return dict(zip(QUERY.split(","), (text.strip() for text in answer.stdout.splitlines()[0].split(",")), strict=True))


def peaks(size: int | None) -> dict[str, float]:
    """GFLOP/s by format; where a device has no tf32, as a processor, it computes in float32 instead."""
    found = {}
    for name, precision in (("float32", "float32"), ("tf32", "tensorfloat32")):
        # What JAX takes for a float32 product unless it is told: tf32 on NVIDIA's cards since Ampere.
        with jax.default_matmul_precision(precision):
            found[name] = matrix_gflops("float32", size)
    found["bfloat16"] = matrix_gflops("bfloat16", size)
    return found


if __name__ == "__main__":
    main()
