"""Reading and downloading files."""
