"""Parts of the benchmark `striatum.py`, each of which can be run by itself."""
