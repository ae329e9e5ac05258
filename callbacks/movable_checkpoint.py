from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import ModelCheckpoint


class MovableCheckpoint(ModelCheckpoint):
    """Knows its files again after the folder of the run was moved or copied; base of the zoo's checkpoint callbacks.

    Lightning notes their full paths in the checkpoints: a resumed run would begin to look for the best epoch anew, and
    test the checkpoint of the folder that it was copied from.
    """

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
