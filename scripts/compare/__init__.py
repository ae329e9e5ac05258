"""The sub-command `litzoo compare`."""
