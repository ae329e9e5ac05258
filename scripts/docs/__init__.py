"""Writes the tables and figures of the docs; not in the wheel."""
