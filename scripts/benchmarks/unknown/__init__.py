"""Benchmarks of unknown-class detection: its cost, its scores, and what was tried."""
