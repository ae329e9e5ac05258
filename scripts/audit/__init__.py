"""The sub-command `litzoo audit`."""
