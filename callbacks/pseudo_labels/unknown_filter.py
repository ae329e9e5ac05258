from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from litzoo.callbacks.evaluation import ServesParts, evaluated_part
from litzoo.callbacks.pseudo_labels.curriculum import CurriculumLabels, check_rounds, round_at, warn_if_never
from litzoo.callbacks.pseudo_labels.pool import by_position, require_pool_learner
from litzoo.callbacks.unknown._evidence import evidence_of, known_evidence, require_features
from litzoo.callbacks.unknown.calibration import acceptance_threshold
from litzoo.callbacks.unknown.scores import UnknownScore


class UnknownPoolFilter(Callback):
    """Keeps samples of the unlabeled pool from being learned that look as if they were of no known class.

    At the start of an epoch, scores that need it are fitted on the labeled training samples, the threshold is set on
    validation samples as `UnknownClassDetector` does it, and pool samples with a score above it are barred. Whatever
    method learns pseudo-labels leaves these out. It logs every epoch `train/pool/barred`, the fraction of the pool.

    Validation samples are of known classes: how many unknown ones are accepted, nobody promises.

    Args:
        score: How much a sample looks unknown.
        acceptance: Fraction of the known samples to be accepted, in (0, 1).
        start_epoch: Epoch, counted from 0, at whose start the pool is filtered first; before, nothing is barred.
        every_epochs: Epochs from one time to the next.

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
        self._fraction, self._at_work = 0.0, False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuses what the pool cannot be filtered with.

        Raises:
            TypeError: If module or datamodule are none of the zoo's, or the score looks at features that there are not.
            ValueError: If the module has no pseudo-labels, there is nothing, or too little, to calibrate on, or
                samples would be counted before they are barred.
        """
        if stage != "fit":
            return
        require_pool_learner(self, trainer, pl_module)
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
            acceptance_threshold(torch.zeros(len(datamodule.val_set)), self.acceptance)  # refuses too few
        order = [type(each) for each in trainer.callbacks]  # type: ignore[attr-defined]
        if CurriculumLabels in order[: order.index(type(self))]:
            raise ValueError(
                "UnknownPoolFilter: list it before CurriculumLabels, which would count the samples that it bars"
            )
        self._fraction = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lets everything in again that an earlier training of the same module has barred."""
        self._at_work = True
        if trainer.current_epoch < self.start_epoch:
            self._let_in(trainer, pl_module)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leaves nothing barred for a training without the filter; the checkpoints have what was."""
        self._let_in(trainer, pl_module)
        self._at_work = False

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Does so too when the training is interrupted."""
        if self._at_work:
            self.on_fit_end(trainer, pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Filters the pool, if it is time, and logs how much of it is barred."""
        if round_at(trainer.current_epoch, self.start_epoch, self.every_epochs):
            index, barred = self._filter(trainer, pl_module)
            require_pool_learner(self, trainer, pl_module).bar(by_position(trainer, index, barred))
            self._fraction = float(barred.double().mean())
        # Every process has computed the same value; `sync_dist` only tells Lightning that this is known.
        pl_module.log("train/pool/barred", self._fraction, on_step=False, on_epoch=True, batch_size=1, sync_dist=True)

    def state_dict(self) -> dict[str, Any]:
        """Returns the fraction, for the epochs until it is time again; who is barred is part of the module's own state."""
        return {"fraction": self._fraction}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores it."""
        self._fraction = state_dict["fraction"]

    def _let_in(self, trainer: Trainer, pl_module: LightningModule) -> None:
        nobody = torch.zeros(0, dtype=torch.int64)
        require_pool_learner(self, trainer, pl_module).bar(by_position(trainer, nobody, nobody.bool()))

    def _filter(self, trainer: Trainer, pl_module: LightningModule) -> tuple[Tensor, Tensor]:
        """Returns the positions of the pool samples `[U]`, and which of them look unknown."""
        features = self.score.uses_features
        if self.score.fits:
            head = getattr(getattr(pl_module, "net", None), "head", None)
            known, target = known_evidence(trainer, pl_module, "train", features)
            self.score.fit(known, target, head if isinstance(head, nn.Linear) else None)
        known, _ = known_evidence(trainer, pl_module, "val", features)
        threshold = acceptance_threshold(self.score(known).cpu(), self.acceptance)
        pool = evaluated_part(trainer, pl_module, "unlabeled", features=features)
        accepted = self.score(evidence_of(pool)).cpu() <= threshold  # a score that is no number is not
        return pool["index"].cpu(), ~accepted
