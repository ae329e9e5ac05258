from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from callbacks.beginning import begins_anew


class MovableCheckpoint(ModelCheckpoint):
    """Knows its files again after the folder of the run was moved or copied; base of the zoo's checkpoint callbacks.

    Lightning notes their full paths in the checkpoints: a resumed run would begin to look for the best epoch anew, and
    test the checkpoint of the folder that it was copied from. A second training with the same callback has files of its
    own; Lightning would go on with those of the first.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Knows nothing of an earlier training; what a checkpoint knows is restored later."""
        if begins_anew(trainer, stage):
            self.dirpath = self.current_score = self.best_model_score = None
            self.best_k_models = {}
            self.kth_value = torch.tensor(torch.inf if self.mode == "min" else -torch.inf)
            self.best_model_path = self.kth_best_model_path = self.last_model_path = self._last_checkpoint_saved = ""
            self._last_global_step_saved = 0
        super().setup(trainer, pl_module, stage)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the paths and scores, in the folder where the files are now."""
        folder = Path(str(self.dirpath))
        if state_dict.get("dirpath") != self.dirpath and (folder / Path(state_dict["best_model_path"]).name).is_file():

            def here(path: str) -> str:
                return str(folder / Path(path).name) if path else path

            paths = ("best_model_path", "kth_best_model_path", "last_model_path")
            best = {here(path): score for path, score in state_dict.get("best_k_models", {}).items()}
            state_dict = {
                **state_dict,
                **{name: here(state_dict.get(name, "")) for name in paths},
                "best_k_models": best,
                "dirpath": self.dirpath,
            }
        super().load_state_dict(state_dict)
        self.current_score = state_dict.get("current_score")  # Lightning leaves it out
