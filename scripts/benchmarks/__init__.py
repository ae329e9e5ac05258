"""Speed and memory; not in the wheel."""
