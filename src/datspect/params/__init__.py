"""params.yaml, typed: every key known, every value checked once, before any work starts. A module a kind of reader."""
