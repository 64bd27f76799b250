"""A folder that measures and trains on a GPU machine without a package index; `docs/gpu.md` says how it is used."""
