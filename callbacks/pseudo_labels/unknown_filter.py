"""Callback that excludes samples of unknown classes from the unlabeled pool."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from litzoo.callbacks.contracts import ServesParts
from litzoo.callbacks.pseudo_labels.curriculum import CurriculumLabels, check_rounds, round_at, warn_if_never
from litzoo.callbacks.pseudo_labels.pool import require_pool, scatter_by_position
from litzoo.callbacks.unknown._evidence import linear_head_of, part_evidence, require_features
from litzoo.callbacks.unknown.calibration import acceptance_threshold, require_samples
from litzoo.callbacks.unknown.scores import UnknownScore


class UnknownPoolFilter(Callback):
    """Excludes samples of the unlabeled pool that are probably of unknown classes (out of distribution).

    At the start of an epoch, the score is fitted on the labeled training samples if it needs to be, the threshold is
    calibrated on validation samples as in `UnknownClassDetector`, and pool samples with a higher score are barred: no
    pseudo-label method learns from them. Logs `train/pool/barred`, the barred fraction of the pool, every epoch.

    The calibration controls how many known samples are accepted; there is no guarantee for unknown ones.

    Args:
        score: The unknown-class score.
        acceptance: Fraction of the known samples to accept, in (0, 1).
        start_epoch: Epoch, counted from 0, at whose start the pool is first filtered; before, no sample is barred.
        every_epochs: Epochs between rounds of filtering.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self, score: UnknownScore, acceptance: float = 0.95, start_epoch: int = 1, every_epochs: int = 1
    ) -> None:
        if not 0 < acceptance < 1:
            raise ValueError(f"UnknownPoolFilter.acceptance: {acceptance} is outside (0, 1); 0.95 is usual")
        check_rounds("UnknownPoolFilter", start_epoch, every_epochs)
        self.score, self.acceptance = score, acceptance
        self.start_epoch, self.every_epochs = start_epoch, every_epochs
        self._fraction, self._active = 0.0, False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Checks module, data and callbacks.

        Raises:
            TypeError: If the module cannot predict logits, or features that the score reads, or the datamodule cannot
                serve the pool.
            ValueError: If the module has no pseudo-labels, there are no or too few validation samples to calibrate on,
                or `CurriculumLabels` comes before this callback.
        """
        if stage != "fit":
            return
        require_pool(self, trainer, pl_module)
        warn_if_never("UnknownPoolFilter", self.start_epoch, trainer.max_epochs)
        if self.score.uses_features:
            require_features(self, pl_module)
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(datamodule, ServesParts)
        if not datamodule.validates:
            raise ValueError(
                "UnknownPoolFilter calibrates its threshold on validation samples, but data.val_size is 0: set it, or "
                "remove the callback"
            )
        if datamodule.val_set is not None:
            require_samples("UnknownPoolFilter", len(datamodule.val_set), self.acceptance)
        order = [type(each) for each in trainer.callbacks]  # type: ignore[attr-defined]
        if CurriculumLabels in order[: order.index(type(self))]:
            raise ValueError(
                "UnknownPoolFilter: list it before CurriculumLabels, which otherwise counts samples that it bars"
            )
        self._fraction = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Resets the samples barred in an earlier training of the same module."""
        self._active = True
        if trainer.current_epoch < self.start_epoch:
            self._unbar_all(trainer, pl_module)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Resets the barred samples, for a later training without the filter; the checkpoints keep them."""
        self._unbar_all(trainer, pl_module)
        self._active = False

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Resets the barred samples after an interrupted training too."""
        if self._active:
            self.on_fit_end(trainer, pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Filters the pool, if there is a round at this epoch, and logs the barred fraction."""
        if round_at(trainer.current_epoch, self.start_epoch, self.every_epochs):
            index, barred = self._filter(trainer, pl_module)
            require_pool(self, trainer, pl_module).bar(scatter_by_position(trainer, index, barred))
            self._fraction = float(barred.double().mean())
        # Every process has the same value; `sync_dist` only avoids Lightning's warning.
        pl_module.log("train/pool/barred", self._fraction, on_step=False, on_epoch=True, batch_size=1, sync_dist=True)

    def state_dict(self) -> dict[str, Any]:
        """Returns the barred fraction, logged until the next round; the module's state has the barred samples."""
        return {"fraction": self._fraction}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the barred fraction."""
        self._fraction = state_dict["fraction"]

    def _unbar_all(self, trainer: Trainer, pl_module: LightningModule) -> None:
        none = torch.zeros(0, dtype=torch.int64)
        require_pool(self, trainer, pl_module).bar(scatter_by_position(trainer, none, none.bool()))

    def _filter(self, trainer: Trainer, pl_module: LightningModule) -> tuple[Tensor, Tensor]:
        """Returns the positions of the pool samples, int64 `[U]`, and which of them to bar, bool `[U]`."""
        if self.score.fits:
            known, outputs = part_evidence(trainer, pl_module, "train", [self.score])
            self.score.fit(known, outputs["target"], linear_head_of(pl_module))
        known, _ = part_evidence(trainer, pl_module, "val", [self.score])
        threshold = acceptance_threshold(self.score(known).cpu(), self.acceptance)
        evidence, pool = part_evidence(trainer, pl_module, "unlabeled", [self.score])
        accepted = self.score(evidence).cpu() <= threshold  # NaN is not accepted
        return pool["index"].cpu(), ~accepted
