"""The command line: LightningCLI with the run folder, default callbacks and error messages."""
