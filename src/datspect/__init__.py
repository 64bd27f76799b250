"""Experiment tracking around DaTscan SPECT classification for Parkinson's disease."""

from datspect.running.quiet import quiet_tensorflow

__version__ = "0.1.0"

# The one effect of an import. It stands here since TensorFlow is loaded by imports of our modules: of a stage's before
# its `main` is called, and in a worker or a served model before any function of ours.
quiet_tensorflow()
