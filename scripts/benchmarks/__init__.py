"""Benchmarks of speed, memory and resuming, which write the tables of docs/performance.md; not in the wheel."""
