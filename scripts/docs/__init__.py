"""Scripts that write the tables and figures of the docs from results; not in the wheel."""
