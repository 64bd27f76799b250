"""Metrics, intervals and figures."""
