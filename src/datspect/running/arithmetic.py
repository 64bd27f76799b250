"""One instruction set for all x86 processors, so that results have the same last bits on each of them.

NumPy, OpenBLAS, oneDNN and XLA choose other routines where a processor has AVX-512, and these add in another order. All
processors of the last ten years have AVX2. docs/decisions/0004 has what that costs, and how it was found.
"""

import os
import platform
import sys
import warnings
from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")

_CONVOLUTIONS = "TF_ENABLE_ONEDNN_OPTS"
_SETTINGS = {
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    _CONVOLUTIONS: "1",  # TensorFlow takes other routines where it thinks that oneDNN does not pay
    "OPENBLAS_CORETYPE": "Haswell",
    "OPENBLAS_NUM_THREADS": "1",  # more threads add in another order
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
}
_XLA_FLAG = "--xla_cpu_max_isa"


def hold_instruction_set() -> None:
    """Let the libraries that are loaded later use AVX2 and nothing above it; what the environment says stays.

    This concerns Linux on x86 with AVX2. Elsewhere nothing is set, and last digits may differ. A TensorFlow that is
    loaded already has chosen its convolutions, and a warning says so.
    """
    if not _has_avx2():
        return
    if "tensorflow" in sys.modules and _CONVOLUTIONS not in os.environ:
        warnings.warn(
            "TensorFlow was imported before datspect, and chose its convolutions by the processor: they may be slower "
            "here, and answers may differ in their last digits from those of other machines; import datspect first, or "
            f"set {_CONVOLUTIONS}=1",
            RuntimeWarning,
            stacklevel=3,  # where datspect is imported
        )
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    flags = os.environ.get("XLA_FLAGS", "")
    if _XLA_FLAG not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {_XLA_FLAG}=AVX2".strip()


def release_convolutions() -> None:
    """Let oneDNN use all that the processor can, where no other machine will repeat the result: in fine-tuning.

    It has an effect before oneDNN's first computation only, in this process and in those that it starts.
    """
    if os.environ.get("ONEDNN_MAX_CPU_ISA") == _SETTINGS["ONEDNN_MAX_CPU_ISA"]:
        os.environ["ONEDNN_MAX_CPU_ISA"] = "DEFAULT"


def _has_avx2() -> bool:
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        return False
    try:
        return "avx2" in _CPU_INFO.read_text(encoding="utf-8").split()
    except OSError:
        return False
