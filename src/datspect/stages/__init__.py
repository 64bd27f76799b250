"""The DVC stages, one file per stage of the same name: read, call, write."""
