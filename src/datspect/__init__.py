"""Experiment tracking around DaTscan SPECT classification for Parkinson's disease."""

__version__ = "0.1.0"
