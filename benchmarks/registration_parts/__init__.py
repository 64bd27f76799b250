"""Parts of benchmarks/registration.py."""
