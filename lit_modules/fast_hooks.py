from typing import Any

from lightning.pytorch import LightningModule


class FastHooks(LightningModule):
    """Spares a small model a tenth of the framework's time: Lightning notes the running hook's name 40 times a step."""

    def __setattr__(self, name: str, value: Any) -> None:
        """Sets an attribute, the name of the running hook without torch's search for parameters."""
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)
