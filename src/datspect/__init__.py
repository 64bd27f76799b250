"""Experiment tracking around DaTscan SPECT classification for Parkinson's disease."""

from datspect.running.arithmetic import hold_instruction_set
from datspect.running.quiet import quiet_tensorflow

__version__ = "0.1.0"

# The only effects of an import. They stand here since NumPy and TensorFlow are loaded by imports of our modules: of a
# stage's before its `main` is called, and in a worker or a served model before any function of ours.
hold_instruction_set()
quiet_tensorflow()
