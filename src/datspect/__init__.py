"""Experiment tracking around DaTscan SPECT classification for Parkinson's disease."""

import os

__version__ = "0.1.0"

# TensorFlow reads this when it is first imported, which any module may do: its notices on the processor are not for
# the user. What the environment says comes first.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
