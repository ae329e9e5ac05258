"""The sub-command `litzoo show-data`."""
