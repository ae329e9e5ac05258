"""Image files in folders: which there are, how they are read, which part each is in, and what a checkpoint records."""
