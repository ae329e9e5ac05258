from collections.abc import Sequence
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import nn

from litzoo.callbacks.checkpoints.atomic_io import complete_checkpoints
from litzoo.callbacks.evaluation import Answers
from litzoo.callbacks.unknown._evidence import (
    ServesKnown,
    evidence_names,
    evidence_of,
    known_evidence,
    require_known_and_unknown,
)
from litzoo.callbacks.unknown._figures import TestedSamples, log_open_set_metrics, publish_open_set_figures
from litzoo.callbacks.unknown.calibration import accepted_fraction
from litzoo.callbacks.unknown.detection import UnknownDetection
from litzoo.callbacks.unknown.scores import UnknownScore
from litzoo.datamodules.batch import UNKNOWN
from litzoo.lit_modules.metrics import EpochOutputs


class UnknownClassDetector(Callback):
    """Answers "unknown" where a score says that a sample is of none of the classes that the model has learned.

    The threshold comes from known validation samples alone, at the end of training; no unknown sample is looked at
    before the test. It stays with the checkpoint, and so does what the scores have learned from training samples.

    It logs in training how the first score that needs no fitting develops, `val/known/accepted` (calibrated on every
    second validation sample, tried on the others) and `val/known/score_std`; in a test the metrics of
    `open_set_scores`, `test/unknown/threshold`, and `test/unknown/auroc/<score>` of each score if there are several. It
    makes `UNKNOWN` of predictions, and adds the score to them.

    Args:
        score: Decides: a sample with a score above the threshold is unknown.
        acceptance: Fraction of the known samples to be accepted, in (0, 1). By split conformal prediction a further known
            sample is accepted with at least this probability, if validation samples choose nothing else; that they
            choose the epoch makes little of a difference.
        threshold: A fixed one, in the units of the score, and the acceptance has no say; of `MaxSoftmax`, 0.2 is
            "below 0.8".
        report: Further scores that are reported beside.
        count: Images in each row of the gallery.

    Raises:
        ValueError: If the acceptance is outside (0, 1), the count below 1, or two scores are of the same class.
    """

    def __init__(
        self,
        score: UnknownScore,
        acceptance: float = 0.95,
        threshold: float | None = None,
        report: Sequence[UnknownScore] = (),
        count: int = 10,
    ) -> None:
        self.detection = UnknownDetection(score, acceptance, threshold, report)
        if count < 1:
            raise ValueError(f"UnknownClassDetector.count: {count} images; give at least 1")
        self.count = count
        self._validated, self._tested = EpochOutputs("logits"), EpochOutputs("target", "logits")
        self._tau = 0.0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuses what it cannot work with, and asks the module for features if a score looks at them.

        Raises:
            TypeError: If the module does not classify, or the datamodule has no classes.
            ValueError: If no class is unknown, there is nothing, or too little, to calibrate on, or predictions would
                be written before they are final.
        """
        require_known_and_unknown(self, self.detection, trainer, pl_module, stage)
        assert isinstance(pl_module, Answers)
        pl_module.keeps_features = self.detection.uses_features
        self._tested = EpochOutputs("target", *evidence_names(pl_module))

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Forgets what was fitted to other weights, also where the checkpoint has nothing to put in its place."""
        self.detection.load_state_dict({})

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forgets what was fitted to weights that change from here on."""
        self.detection.load_state_dict({})

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begins anew, whatever an interrupted validation has left."""
        self._validated.reset()

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keeps what the step returned, if it will be looked at."""
        if self.detection.unfitted and not trainer.sanity_checking:
            self._validated.update(outputs)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs how the scores of known samples develop."""
        if trainer.sanity_checking or (score := self.detection.unfitted) is None:
            return
        scores = score(evidence_of(self._validated.to(pl_module.device).gather())).cpu()
        # As a number: several GPUs could not average what is on the CPU.
        pl_module.log("val/known/score_std", float(scores.std(correction=0)), sync_dist=True)
        fixed = self.detection.fixed if score is self.detection.score else None
        accepted = accepted_fraction(scores, self.detection.acceptance, fixed)
        if accepted is not None:
            pl_module.log("val/known/accepted", accepted, sync_dist=True)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Fits scores and threshold to the weights of each checkpoint, and puts them into it."""
        if not trainer.fast_dev_run and trainer.global_step:  # type: ignore[attr-defined]
            complete_checkpoints(self, trainer, pl_module, lambda: self._fit(trainer, pl_module))

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuses to begin without what the checkpoint should have, and tells what is left out of the report.

        Raises:
            ValueError: If what decides is missing, or was calibrated with another `posthoc_tau`.
        """
        missing = self.detection.missing()
        if missing and trainer.fast_dev_run:  # type: ignore[attr-defined]
            return  # a rehearsal has fitted nothing, and reports nothing
        if missing:
            raise ValueError(
                f"UnknownClassDetector: the checkpoint lacks {' and '.join(missing)}, fitted at the end of a training "
                "with this callback and these parameters; after a finished one, `litzoo fit --ckpt_path last` adds them"
            )
        if self.detection.learned and self._tau != (tau := tau_of(pl_module)):
            raise ValueError(
                f"UnknownClassDetector: fitted with posthoc_tau {self._tau:g}, but {tau:g} is asked for, which changes "
                "all scores; `litzoo fit --ckpt_path last` with that value fits anew"
            )
        if left_out := ", ".join(name for name in self.detection.scores if name not in self.detection.usable):
            rank_zero_warn(
                f"UnknownClassDetector: {left_out} not reported, since the checkpoint has no statistics of it"
            )
        self.detection.to(pl_module.device)

    on_predict_start = on_test_start

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keeps what the step returned."""
        self._tested.update(outputs)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gathers from all processes, logs the metrics and draws on the first one."""
        found = self._tested.to(pl_module.device).gather()
        if self.detection.missing():
            return
        known, target = evidence_of(found), found["target"].cpu()
        if not 0 < (unknown := int((target == UNKNOWN).sum())) < len(target):
            rank_zero_warn(f"{unknown} of {len(target)} test samples are unknown: nothing to compare")
            return
        tested = TestedSamples(
            {name: score(known).cpu() for name, score in self.detection.usable.items()},
            known.logits.argmax(dim=1).cpu(),
            target,
            found["index"].cpu(),
        )
        log_open_set_metrics(trainer, pl_module, self.detection, tested)
        publish_open_set_figures(trainer, pl_module, self.detection, tested, self.count)

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Adds `unknown_score` to what the predict step returned, and predicts `UNKNOWN` where it is too high."""
        if self.detection.missing():
            return
        scores = self.detection.score(evidence_of(outputs))
        accepted = scores <= self.detection.threshold  # a score that is no number is not
        outputs["unknown_score"] = scores.float()
        outputs["prediction"] = outputs["prediction"].masked_fill(~accepted, UNKNOWN)

    def state_dict(self) -> dict[str, Any]:
        """Returns what was fitted."""
        learned = self.detection.state_dict()
        return {**learned, "posthoc_tau": self._tau} if learned else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores it."""
        self.detection.load_state_dict(state_dict)
        self._tau = state_dict.get("posthoc_tau", 0.0)

    def _fit(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Fits to the module as it is."""
        self._tau = tau_of(pl_module)
        if self.detection.fits:
            head = getattr(getattr(pl_module, "net", None), "head", None)
            known, target = known_evidence(trainer, pl_module, "train", self.detection.uses_features)
            self.detection.fit(known, target, head if isinstance(head, nn.Linear) else None)
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(datamodule, ServesKnown)
        if datamodule.validates:
            self.detection.calibrate(known_evidence(trainer, pl_module, "val", self.detection.uses_features)[0])


def tau_of(module: LightningModule) -> float:
    """Returns the strength of a module's post-hoc logit adjustment."""
    return float(getattr(module, "posthoc_tau", 0.0))
