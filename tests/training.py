"""Short trainings in this process."""

from typing import Any

from lightning.pytorch import Trainer


def cpu_trainer(**options: Any) -> Trainer:
    """Returns a quiet trainer that writes nothing but what a test asks for, into the test's own folder."""
    quiet = {
        "accelerator": "cpu",
        "devices": 1,
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "default_root_dir": "run",
        "max_epochs": 1,
    }
    return Trainer(**(quiet | options))
