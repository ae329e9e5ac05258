"""The sub-command `litzoo sweep`."""
