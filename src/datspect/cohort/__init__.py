"""Read, screen and compare the scans of a cohort folder, in which every source of scans ends."""
