"""Volumes, grids, slices, intensities and regions; nothing here opens a file."""
