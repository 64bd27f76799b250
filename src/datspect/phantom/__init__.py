"""The simulator: people, heads, cameras, and the cohort of scans made of them."""
