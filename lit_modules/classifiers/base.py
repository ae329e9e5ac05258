"""Classifier: the task of single-label classification, without the network."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from litzoo.datamodules.batch import UNKNOWN, Batch
from litzoo.lit_modules.base import LitModule, Stage
from litzoo.lit_modules.classifiers._temperature import (
    Calibrate,
    calibrated,
    load_temperature,
    register_calibration,
    require_calibrate,
    warn_if_unfitted,
)
from litzoo.lit_modules.metrics import (
    AdaptiveCalibrationError,
    BalancedAccuracy,
    CalibrationError,
    ClassRecall,
    CrossEntropy,
    EpochMeans,
    TwoClassRanking,
)
from litzoo.lit_modules.metrics.two_classes import ranked_class
from litzoo.lit_modules.mixing import BatchMix
from litzoo.lit_modules.semi_supervised import PseudoLabels
from litzoo.lit_modules.semi_supervised.base import add_unlabeled_loss, require_pool
from litzoo.lit_modules.test_time import TTA, mean_over_flips, require_tta

CLASS_STATISTICS = ("class_counts", "class_weights")


class Classifier(LitModule):
    """Predicts one of K classes. Subclasses add the network.

    Args:
        net: The network, from inputs `[B, ...]` to logits `[B, K]`.
        num_classes: K.
        class_names: K names, saved in checkpoints; `0`, `1`, ... by default.
        loss: Training objective `loss(logits, target)`; cross-entropy by default. Validation and test always report
            cross-entropy, so that runs with different losses can be compared. A loss whose `forward` has a parameter
            `class_counts` or `class_weights` gets those of the training set, float32 `[K]`.
        mix: Mixes pairs of labeled training samples, `MixUp` or `CutMix`; the loss is computed for both targets.
        pseudo_labels: How to learn from unlabeled samples, one of `litzoo.lit_modules.semi_supervised`; the datamodule
            must then provide them, `data.unlabeled_batch_size`.
        posthoc_tau: τ of post-hoc logit adjustment (Menon et al. 2021): outside training, τ · log(class fractions of
            the training set) is subtracted from the logits, which favours rare classes. It also works for a model
            trained without it, since every checkpoint contains the class counts.
        tta: Test-time augmentation: `flip` averages the logits of each image and its mirror image in tests and
            predictions, which doubles their time. Training and validation do without.
        calibrate: `temperature` divides the logits of tests and predictions by a temperature, so that the predicted
            probabilities are calibrated. The callback `TemperatureScaling`, which the command adds, fits it at the end
            of training on validation samples. `temperature_and_bias` adds a bias for each class, which repairs what
            class weights, balanced sampling and losses for imbalance shift, and changes predicted classes.
        **options: See `LitModule`.

    Raises:
        ValueError: If the number of names differs from the number of classes, τ is negative, or `mix` is combined with
            a loss that keeps a state for each sample.

    Attributes:
        keeps_features: Whether evaluation and prediction also return `features` `[B, D]`; set by callbacks.
        temperature: The temperature, with the option `calibrate`; 1 until it is fitted.
        class_bias: The bias of each class, float32 `[K]`, with `temperature_and_bias`; 0 until it is fitted.
        fits_temperature: Whether a callback fits it; set by the callback.
        takes_known_classes: Whether the datamodule has an option for the order of the classes; set by `setup`.
    """

    train_metrics: tuple[str, ...] = ("acc",)
    primary_metric = "acc"
    loss_extras = ("index", "epoch", *CLASS_STATISTICS)
    class_counts: Tensor
    temperature: Tensor
    class_bias: Tensor
    _counts_known = False

    def __init__(
        self,
        net: nn.Module,
        num_classes: int,
        class_names: Sequence[str] | None = None,
        loss: nn.Module | None = None,
        mix: BatchMix | None = None,
        pseudo_labels: PseudoLabels | None = None,
        posthoc_tau: float = 0.0,
        tta: TTA = "none",
        calibrate: Calibrate = "none",
        **options: Any,
    ) -> None:
        super().__init__(net, nn.CrossEntropyLoss() if loss is None else loss, **options)
        if not 0 <= posthoc_tau < float("inf"):
            raise ValueError(f"posthoc_tau: {posthoc_tau} is not at least 0; 1 is usual, 0 turns adjustment off")
        if mix is not None and self.remembers_samples:
            raise ValueError(
                f"mix: {type(mix).__name__} trains every image with two labels, but {type(self.loss).__name__} "
                "remembers predictions for single samples: use one of the two"
            )
        require_tta(tta)
        require_calibrate(calibrate, posthoc_tau)
        self.mix, self.posthoc_tau, self.tta, self.calibrate = mix, posthoc_tau, tta, calibrate
        self.pseudo_labels, self.semi_supervised = pseudo_labels, pseudo_labels is not None
        if self.semi_supervised:
            self.train_metrics = (*self.train_metrics, "labeled_loss", "unlabeled_loss")
            self.train_means = EpochMeans("loss", *self.train_metrics)
        self.keeps_features = False
        self.class_names = list(class_names or map(str, range(num_classes)))
        if len(self.class_names) != num_classes:
            raise ValueError(f"class_names: {len(self.class_names)} names for {num_classes} classes")
        # int64, which half-precision training does not convert; 0 until known.
        self.register_buffer("class_counts", torch.zeros(num_classes, dtype=torch.int64))
        self.fits_temperature = self.takes_known_classes = False
        register_calibration(self, num_classes)
        if "class_weights" in self.requested_extras:
            self.register_buffer("class_weights", torch.ones(num_classes))

    @property
    def remarks(self) -> list[str]:
        """What the summary of a test says below its metrics."""
        if len(self.class_names) != 2:
            return []
        return [ranked_class(self.class_names, self.class_counts.tolist(), self.takes_known_classes)]

    @property
    def remembers_samples(self) -> bool:
        """Whether the loss keeps a state for each sample, so that it must see every sample once and unmixed."""
        return "index" in self.requested_extras or getattr(self.loss, "remembers", False)

    def step(self, batch: Any, stage: Stage) -> dict[str, Any]:
        """Returns `loss`, `logits` `[B, K]`, `target` and `index`, and in training `acc`.

        For a semi-supervised batch these are of the labeled samples, except the loss, which includes the unlabeled
        term; the keys of `add_unlabeled_loss` are added.
        """
        labeled: Batch = batch.get("labeled", batch)
        target = labeled["target"]
        if stage == "train":
            logits, loss = self.training_loss(labeled)
        else:
            features, logits = self.features_and_logits(labeled["input"], test_time=stage == "test")
        outputs = {"logits": logits.detach().float(), "target": target, "index": labeled["index"]}
        if stage == "train":
            outputs["loss"] = loss
            outputs["acc"] = (outputs["logits"].argmax(dim=1) == target).float().mean()
            if self.pseudo_labels is not None:
                outputs |= add_unlabeled_loss(self, self.pseudo_labels, batch, loss)
        else:
            outputs["loss"] = F.cross_entropy(outputs["logits"], target, ignore_index=UNKNOWN)
            outputs |= features
        return outputs

    def training_loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Returns logits `[B, K]` and the objective of a labeled training batch."""
        target = batch["target"]
        if self.mix is None:
            logits = self(batch["input"])
            return logits, self.objective(logits, batch, target)
        inputs, partner, fraction = self.mix(batch["input"])
        logits = self(inputs)
        own, other = self.objective(logits, batch, target), self.objective(logits, batch, target[partner])
        return logits, fraction * own + (1 - fraction) * other

    def features_and_logits(self, x: Tensor, test_time: bool = False) -> tuple[dict[str, Tensor], Tensor]:
        """Returns `{"features": [B, D]}` if `keeps_features`, else `{}`, and the adjusted logits `[B, K]`.

        Args:
            x: Inputs `[B, ...]`.
            test_time: Whether test-time augmentation and calibration are used, as in tests and predictions.
        """
        if test_time:
            predict = self.features_and_logits
            extra, logits = mean_over_flips(predict, x) if self.tta == "flip" else predict(x)
            return extra, calibrated(self, logits)
        if not self.keeps_features:
            return {}, self.adjust_logits(self(x))
        net: Any = self.net
        features = net.features(self.prepare_input(x))
        return {"features": features.detach().float()}, self.adjust_logits(net.head(features))

    def adjust_logits(self, logits: Tensor) -> Tensor:
        """Applies post-hoc logit adjustment.

        Raises:
            ValueError: If the class counts are not known.
        """
        if not self.posthoc_tau:
            return logits
        self._counts_known = self._counts_known or bool(self.class_counts.any())  # waits for the device only once
        if not self._counts_known:
            raise ValueError(
                "posthoc_tau: the class counts of the training set are not known, since the model was not trained with "
                "a datamodule that has class_counts; leave it out"
            )
        fractions = self.class_counts.float() / self.class_counts.sum()
        return logits - self.posthoc_tau * fractions.log()

    @torch.no_grad()
    def probabilities(self, x: Tensor) -> Tensor:
        """Returns the predicted probabilities `[B, K]`: those of tests and predictions, in evaluation mode.

        Unlike `forward`, this includes the options `posthoc_tau`, `tta` and `calibrate`. A threshold has to be chosen
        on these, since they are what `predict_step` and `Predictor` return.

        Args:
            x: Inputs `[B, ...]`, prepared as in training.
        """
        modes = {module: module.training for module in self.modules()}
        self.eval()
        try:
            return self.features_and_logits(x.to(self.device), test_time=True)[1].float().softmax(dim=1)
        finally:
            for module, training in modes.items():  # `train()` would also change what callbacks keep frozen
                module.training = training

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Returns `index`, `logits`, the `prediction` (a class) and its `confidence` (its softmax value)."""
        features, logits = self.features_and_logits(batch["input"], test_time=True)
        confidence, prediction = logits.float().softmax(dim=1).max(dim=1)
        outputs = {
            "index": batch["index"],
            "logits": logits.float(),
            "prediction": prediction,
            "confidence": confidence,
        }
        return outputs | features

    def metrics(self, stage: Stage) -> dict[str, Metric]:
        """Returns loss and accuracy; for a test also macro F1, calibration errors and the accuracy of each class.

        For two classes there are also average precision and AUROC of the second one.
        """
        classes = len(self.class_names)
        metrics: dict[str, Metric] = {
            "loss": CrossEntropy(),
            "acc": MulticlassAccuracy(classes, average="micro", validate_args=False),
        }
        if stage == "test":
            metrics |= {
                "balanced_acc": BalancedAccuracy(self.class_names),
                "f1": MulticlassF1Score(classes, average="macro", validate_args=False),
                "ece": CalibrationError(),
                "adaptive_ece": AdaptiveCalibrationError(),
                "class_recall": ClassRecall(self.class_names),
            }
        if classes == 2:
            metrics["ranking"] = TwoClassRanking()
        return metrics

    def update_metrics(self, metrics: MetricCollection, outputs: dict[str, Any]) -> None:
        """Updates the metrics with the samples of known classes; the others have no correct prediction."""
        known = outputs["target"] != UNKNOWN
        if known.any():
            metrics.update(preds=outputs["logits"][known], target=outputs["target"][known])

    def default_callbacks(self, datamodule: Any) -> list[str]:
        """Names the baseline of a test, reports on temperature and pseudo-labels, and figures of images or a table."""
        names = [*([] if self.calibrate == "none" else ["TemperatureScaling"]), "Baseline"]
        names += ["PseudoLabelReport"] if self.semi_supervised else []
        if hasattr(type(datamodule), "feature_groups"):
            return [*names, "ConfusionMatrixFigure", "PermutationImportance", "Projector"]
        if hasattr(datamodule, "test_images"):
            return [*names, "PredictionGrid", "ConfusionMatrixFigure", "Projector"]
        return names

    def setup(self, stage: str) -> None:
        """Copies the class statistics of the training set, which are only known once the data are read and split.

        They are saved in checkpoints.

        Raises:
            ValueError: If the datamodule lacks one that is needed, or no callback fits the temperature.
        """
        super().setup(stage)
        if stage == "fit" and self.calibrate != "none" and not self.fits_temperature:
            raise ValueError(
                "calibrate: nothing fits the temperature; add the callback litzoo.callbacks.TemperatureScaling() to "
                "the trainer, or leave calibrate out"
            )
        datamodule = self.trainer.datamodule  # type: ignore[attr-defined]
        self.takes_known_classes = hasattr(datamodule, "known_classes")
        if stage == "fit" and self.pseudo_labels is not None:
            require_pool(self.pseudo_labels, datamodule)
        for name in CLASS_STATISTICS if stage == "fit" else ():
            if hasattr(self, name) and hasattr(datamodule, name):
                getattr(self, name).copy_(torch.as_tensor(getattr(datamodule, name)))
            elif user := self._user_of(name):
                source = "a plain data loader" if datamodule is None else type(datamodule).__name__
                raise ValueError(
                    f"{user} needs {name} of the training set, which {source} does not provide: leave it out, or use a "
                    "datamodule with classes"
                )

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Makes pseudo-labels and temperature optional, so that they can be added to or removed from a checkpoint."""
        super().on_load_checkpoint(checkpoint)
        load_temperature(self, checkpoint)
        if self.pseudo_labels is None:
            checkpoint["state_dict"].pop("pseudo_labels._extra_state", None)
        else:
            checkpoint["state_dict"].setdefault("pseudo_labels._extra_state", {})

    def on_test_start(self) -> None:
        """Warns if the temperature was not fitted."""
        warn_if_unfitted(self)

    on_predict_start = on_test_start

    def loss_extra(self, name: str, batch: Batch) -> Any:
        """Returns the value of one of `loss_extras`."""
        return getattr(self, name).float() if name in CLASS_STATISTICS else super().loss_extra(name, batch)

    def _user_of(self, statistic: str) -> str | None:
        """Returns the name of the option that needs a class statistic, if one does."""
        if statistic in self.requested_extras:
            return type(self.loss).__name__
        if statistic == "class_counts" and self.posthoc_tau:
            return "posthoc_tau"
        if statistic == "class_counts" and self.pseudo_labels is not None and self.pseudo_labels.align:
            return "pseudo_labels.align"
        return None
