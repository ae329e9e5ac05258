from abc import ABC, abstractmethod
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from litzoo.datamodules.dataset import IndexedDataset
from litzoo.datamodules.splits.core import Split, fingerprint, shown


class SplitRecord(LightningDataModule, ABC):
    """Tells which split of the data was trained on, and refuses checkpoints that were trained on another one.

    Attributes:
        split_by: Names of the options that decide what is in which part.
        seed: Of the split.
        split: Positions in the full training set, part by part.
        targets: Of the full training set, as the model is given them.
        test_set: What a test serves.
    """

    split_by: tuple[str, ...] = ("val_size", "train_size", "seed")
    seed: int
    split: Split | None = None
    targets: Tensor | None = None
    test_set: IndexedDataset | None = None

    @abstractmethod
    def find_split(self) -> None:
        """Draws `split`, and sets `targets`, unless that is done; reads no more than it takes."""

    def fingerprint(self) -> str:
        """Returns a hash of the split and its targets: the same wherever and whenever the same is trained on."""
        assert self.targets is not None
        parts = self.parts()
        targets = {f"{name}_targets": self.targets[part] for name, part in parts.items()}
        return fingerprint(**parts, **targets, **self.identity())

    def identity(self) -> dict[str, Tensor]:
        """Returns what else the fingerprint covers, where positions and targets alone do not say which data it is."""
        return {}

    def split_options(self) -> dict[str, str]:
        """Returns what was asked of the split, option -> its value in words."""
        return {name: shown(getattr(self, name)) for name in self.split_by}

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Any, weights_only: bool = True, **options: Any) -> Any:  # type: ignore[override]
        """Returns a datamodule with what a checkpoint keeps of the data; its options are not among that.

        Args:
            checkpoint_path: A path, or a file that is open for reading.
            weights_only: Is always true.
            **options: Of the datamodule.
        """
        datamodule = cls(**options)
        content = torch.load(checkpoint_path, map_location="cpu", weights_only=True)
        datamodule.load_state_dict(content.get(cls.__qualname__, {}))
        return datamodule

    def state_dict(self) -> dict[str, Any]:
        """Returns what a checkpoint keeps of the data: the split's fingerprint, and what was asked of it."""
        return {} if self.split is None else {"fingerprint": self.fingerprint(), "options": self.split_options()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Refuses a checkpoint that was trained on another split.

        Raises:
            ValueError: If the fingerprints differ; the message names the options that do.
        """
        if "fingerprint" not in state_dict:
            return
        try:
            self.find_split()
        except FileNotFoundError as error:
            rank_zero_warn(f"Not checked whether the checkpoint was trained on this split of the data: {error}")
            return
        if state_dict["fingerprint"] == self.fingerprint():
            return
        before, now = state_dict.get("options", {}), self.split_options()
        changed = [
            f"data.{name} was {before.get(name)}, is {now[name]}" for name in now if now[name] != before.get(name)
        ]
        raise ValueError(
            f"the checkpoint was trained on another split of the data (fingerprint {state_dict['fingerprint']}, here "
            f"{self.fingerprint()}): {'; '.join(changed) or 'no option, but the files have changed'}. Repeat the data "
            "options that it was trained with, or use the config.yaml beside it"
        )

    def split_report(self) -> dict[str, Any]:
        """Returns what `splits.json` holds: the seed, and as far as they have been read the sizes and fingerprint."""
        report: dict[str, Any] = {"seed": self.seed, "sizes": {}}
        if self.split is not None:
            report["fingerprint"] = self.fingerprint()
            report["sizes"] = {name: len(indices) for name, indices in self.parts().items()}
        if self.test_set is not None:
            report["sizes"]["test"] = len(self.test_set)
        return report

    def parts(self) -> dict[str, Tensor]:
        """Returns the parts of the split, name -> positions; without an unlabeled one where there is none."""
        assert self.split is not None
        return {name: part for name, part in self.split._asdict().items() if name != "unlabeled" or len(part)}
