"""Lightning callback for unknown-class detection; it runs the `UnknownDetection` of `detection.py`."""

from collections.abc import Mapping, Sequence
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from litzoo.callbacks.calibration.part import (
    calibration_part,
    plain_sample_count,
    require_fraction,
    require_same_options,
    reserve_calibration,
)
from litzoo.callbacks.checkpoints.atomic_io import add_state_to_checkpoints
from litzoo.callbacks.collecting import CollectsTestOutputs
from litzoo.callbacks.contracts import PredictsLogits
from litzoo.callbacks.evaluation import options_at_test_time
from litzoo.callbacks.plain_modules import collect, parts_of, reading
from litzoo.callbacks.unknown._evidence import (
    evidence_from,
    extra_keys,
    linear_head_of,
    observed_in_test,
    part_evidence,
    require_open_set,
)
from litzoo.callbacks.unknown._results import OpenSetResults, log_open_set_metrics, publish_open_set_figures
from litzoo.callbacks.unknown.calibration import accepted_fraction, require_samples
from litzoo.callbacks.unknown.detection import UnknownDetection
from litzoo.callbacks.unknown.scores import UnknownScore
from litzoo.datamodules.batch import UNKNOWN
from litzoo.lit_modules.metrics import EpochOutputs

_PLAIN: dict[str, Any] = {"posthoc_tau": 0.0, "tta": "none", "temperature": 1.0}
"""Options at test time of a module without any, as in earlier checkpoints."""


class UnknownClassDetector(CollectsTestOutputs):
    """Classifies samples as unknown whose score exceeds a threshold: out-of-distribution (OOD) detection.

    At the end of training, scores that need it are fitted on training samples, and the threshold is calibrated on known
    validation samples; no unknown sample is used before the test. Both are stored in the checkpoints.

    Logs during training, for the first score that needs no fitting: `val/known/accepted` (calibrated on every second
    validation sample, evaluated on the others) and `val/known/score_std`. Logs in a test: the metrics of
    `open_set_scores`, `test/unknown/threshold` and, if there are several scores, `test/unknown/auroc/<score>` of each.
    Where no test sample is of an unknown class, it logs `test/known/accepted`, `test/known/acc` and the threshold only.
    Replaces the prediction of samples above the threshold by `UNKNOWN`, and adds `unknown_score` to the predictions.

    Args:
        score: The decision score: a sample with a score above the threshold is unknown.
        acceptance: Fraction of the known samples to accept, in (0, 1). By split conformal prediction, a new known
            sample is accepted with at least this probability, provided that the calibration samples are used for
            nothing else.
        threshold: A fixed threshold, in the units of the score, instead of a calibrated one; 0.2 with `MaxSoftmax`
            means "unknown if the confidence is below 0.8".
        report: Further scores to compare in the test; they do not affect the decision.
        count: Images in each row of the gallery.
        calibration_fraction: Fraction of the validation samples that only calibrate the threshold and do not take part
            in `val/...` metrics, so that they do not choose the epoch either; 0 calibrates on all validation samples.
            By default a half from 1,000 validation samples on, else 0.

    Raises:
        ValueError: If the acceptance is outside (0, 1), the threshold is not finite, the count is below 1, the fraction
            is outside [0, 1), or two scores are of the same class.

    Attributes:
        remarks: What the summary of a test says below its metrics.
        test_scores: The decision scores of the newest test `[N]`, in order of `index`, for `Projector`.
    """

    def __init__(
        self,
        score: UnknownScore,
        acceptance: float = 0.95,
        threshold: float | None = None,
        report: Sequence[UnknownScore] = (),
        count: int = 10,
        calibration_fraction: float | None = None,
    ) -> None:
        super().__init__("target", "logits")
        self.detection = UnknownDetection(score, acceptance, threshold, report)
        if count < 1:
            raise ValueError(f"UnknownClassDetector.count: {count} images; give at least 1")
        require_fraction("UnknownClassDetector", calibration_fraction)
        self.count, self.calibration_fraction = count, calibration_fraction
        self.remarks: list[str] = []
        self.test_scores: Tensor | None = None
        self._validated = EpochOutputs("logits")
        self._fitted_with = dict(_PLAIN)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Checks module, data and callbacks, and makes the module return features if a score reads them.

        Raises:
            TypeError: If the module is not a classifier, or the datamodule has no classes.
            ValueError: If there are no or too few validation samples to calibrate on, or `PredictionsCSV` comes before
                this callback.
        """
        datamodule = parts_of(trainer)
        if stage in ("fit", "validate") and datamodule.validates and self.calibrates:
            reserve_calibration("UnknownClassDetector", datamodule, self.calibration_fraction)
        require_open_set(self, self.detection, trainer, pl_module, stage)
        if isinstance(pl_module, PredictsLogits):
            pl_module.keeps_features = self.detection.uses_features
        features = ["features"] if self.detection.uses_features else []
        self.tested = EpochOutputs("target", "logits", *features, *extra_keys(self.detection.scores.values()))

    @property
    def calibrates(self) -> bool:
        """Whether the threshold is calibrated on the module's outputs."""
        return self.detection.fixed_threshold is None

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Resets what was fitted to other weights, also if the checkpoint has no state of this callback."""
        self.detection.load_state_dict({})

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Resets what was fitted to weights that change from now on.

        Raises:
            ValueError: If a plain loader has too few validation samples to calibrate on.
        """
        self.detection.load_state_dict({})
        if self.calibrates and (count := plain_sample_count(trainer)) is not None:
            require_samples("UnknownClassDetector", count, self.detection.acceptance)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Discards the outputs of an interrupted validation."""
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
        """Collects the outputs of the step, if a score is logged."""
        if self.detection.unfitted_score and not trainer.sanity_checking:
            collect(
                self._validated, trainer, reading(self, pl_module, "validation_step"), outputs, batch, dataloader_idx
            )

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs accepted fraction and spread of the scores of the validation samples."""
        if trainer.sanity_checking or (score := self.detection.unfitted_score) is None:
            return
        scores = score(evidence_from(self._validated.to(pl_module.device).gather())).cpu()
        # As a float: a tensor on the CPU cannot be averaged over several GPUs.
        pl_module.log("val/known/score_std", float(scores.std(correction=0)), sync_dist=True)
        threshold = self.detection.fixed_threshold if score is self.detection.score else None
        accepted = accepted_fraction(scores, self.detection.acceptance, threshold)
        if accepted is not None:
            pl_module.log("val/known/accepted", accepted, sync_dist=True)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Fits scores and threshold for the weights of each checkpoint, and adds them to its file."""
        add_state_to_checkpoints(self, trainer, pl_module, lambda _: self._fit(trainer, pl_module))

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Checks that everything was fitted, and warns of reported scores that were not.

        Raises:
            ValueError: If the decision score or the threshold is missing, or was fitted with another `posthoc_tau`,
                `tta` or temperature.
        """
        missing = self.detection.missing()
        if missing and trainer.fast_dev_run:  # type: ignore[attr-defined]
            return  # nothing was fitted, and nothing is reported
        if missing:
            raise ValueError(
                f"UnknownClassDetector: the checkpoint lacks {' and '.join(missing)}, which a training with this "
                "callback and these parameters adds at its end; `litzoo fit --ckpt_path last` adds them to the "
                "checkpoints of a finished training"
            )
        if self.detection.has_fitted_state:
            require_same_options(self, self._fitted_with, pl_module)
        if unfitted := ", ".join(name for name in self.detection.scores if name not in self.detection.usable):
            rank_zero_warn(
                f"UnknownClassDetector.report: {unfitted} left out, because the checkpoint has no statistics of it"
            )
        self.detection.to(pl_module.device)

    on_predict_start = on_test_start

    def collected(
        self, trainer: Trainer, pl_module: LightningModule, outputs: dict[str, Tensor], batch: Any
    ) -> dict[str, Tensor]:
        """Returns the outputs of the step, and what scores observe beside them."""
        if not isinstance(outputs, Mapping):
            return outputs  # is refused
        return {**outputs, **observed_in_test(self.detection.scores.values(), trainer, pl_module, batch)}

    def evaluate_test(self, trainer: Trainer, pl_module: LightningModule, outputs: dict[str, Tensor]) -> None:
        """Logs the metrics and draws the figures."""
        self.test_scores = None
        if self.detection.missing():
            return
        evidence, target = evidence_from(outputs), outputs["target"].cpu()
        if len(target) and bool((target == UNKNOWN).all()):
            rank_zero_warn(
                f"UnknownClassDetector: all {len(target)} test samples are of unknown classes; its metrics need known "
                "samples and are left out"
            )
            return
        results = OpenSetResults(
            {name: score(evidence).cpu() for name, score in self.detection.usable.items()},
            evidence.logits.argmax(dim=1).cpu(),
            target,
            outputs["index"].cpu(),
        )
        self.test_scores = results.scores[self.detection.score_name]
        self.remarks = log_open_set_metrics(trainer, pl_module, self.detection, results)
        publish_open_set_figures(trainer, pl_module, self.detection, results, self.count)

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Adds `unknown_score` to the outputs, and sets the prediction to `UNKNOWN` where it exceeds the threshold."""
        if self.detection.missing():
            return
        extras = observed_in_test([self.detection.score], trainer, pl_module, batch)
        evidence = evidence_from({**outputs, **extras})
        prediction = outputs.get("prediction", evidence.logits.argmax(dim=1))
        outputs["unknown_score"], outputs["prediction"] = self.detection.decide(evidence, prediction)

    def state_dict(self) -> dict[str, Any]:
        """Returns what was fitted, and the module's `posthoc_tau`, `tta` and temperature it was fitted with."""
        fitted = self.detection.state_dict()
        return {**fitted, **self._fitted_with} if fitted else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what was fitted."""
        self.detection.load_state_dict(state_dict)
        self._fitted_with = {name: state_dict.get(name, value) for name, value in _PLAIN.items()}
        if "class_bias" in state_dict:
            self._fitted_with["class_bias"] = state_dict["class_bias"]

    def _fit(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Fits scores and threshold for the current weights of the module."""
        self._fitted_with = options_at_test_time(pl_module)
        scores = list(self.detection.scores.values())
        if self.detection.fits:
            known, outputs = part_evidence(trainer, pl_module, "train", scores, test_time=True)
            self.detection.fit(known, outputs["target"], linear_head_of(pl_module))
        parts = parts_of(trainer)
        if parts.validates:
            part, _ = calibration_part(parts)
            known, _ = part_evidence(trainer, pl_module, part, scores, test_time=True)
            self.detection.calibrate(known)
