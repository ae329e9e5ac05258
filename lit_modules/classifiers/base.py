from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from litzoo.datamodules.batch import UNKNOWN, Batch
from litzoo.lit_modules.base import LitModule, Stage
from litzoo.lit_modules.metrics import EpochMeans, classification_scores, detailed_classification_scores
from litzoo.lit_modules.mixing import BatchMix
from litzoo.lit_modules.semi_supervised import PseudoLabels
from litzoo.lit_modules.semi_supervised.base import require_pool, with_unlabeled
from litzoo.lit_modules.test_time import TTA, mean_over_flips, require_tta

CLASS_STATISTICS = ("class_counts", "class_weights")


class Classifier(LitModule):
    """Predicts one of K classes. Concrete classifiers add the network.

    Args:
        net: The network, from inputs `[B, ...]` to logits `[B, K]`.
        num_classes: K.
        class_names: K names, kept with the checkpoint; the numbers when left out.
        loss: Training objective `loss(logits, target)`; cross-entropy when left out. Validation and test always
            report plain cross-entropy, so that runs with different losses can be compared. One whose `forward` names
            `class_counts` or `class_weights` is given those of the training set, float32 `[K]`.
        mix: Mixes labeled training samples with one another, `MixUp` or `CutMix`; the loss is taken for both targets.
        pseudo_labels: How unlabeled samples are learned from, one of `lit_modules.pseudo_labels`; then the datamodule
            has to serve them, `data.unlabeled_batch_size`.
        posthoc_tau: τ of post-hoc logit adjustment (Menon et al. 2021): outside training, τ · log(class fractions of the
            training set) is taken from the logits, so that rare classes are not outvoted. It can be given to a model
            that was trained without it: the class counts are kept with every checkpoint.
        tta: Test-time augmentation: `flip` averages the logits of each image and its mirror image in tests and
            predictions, which doubles their time. Validation and training go without.
        **options: See `LitModule`.

    Raises:
        ValueError: If there are not as many names as classes, τ is negative, or the loss remembers samples that
            would be mixed.

    Attributes:
        keeps_features: Whether evaluation and prediction return `features` `[B, D]` too; a callback may ask for it.
    """

    train_scores: tuple[str, ...] = ("acc",)
    kept_outputs = ("logits", "target")
    loss_extras = ("index", "epoch", *CLASS_STATISTICS)
    class_counts: Tensor

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
        **options: Any,
    ) -> None:
        super().__init__(net, nn.CrossEntropyLoss() if loss is None else loss, **options)
        if not 0 <= posthoc_tau < float("inf"):
            raise ValueError(f"posthoc_tau: {posthoc_tau} is not at least 0; 1 is usual, 0 adjusts nothing")
        if mix is not None and self.remembers_samples:
            raise ValueError(
                f"mix: {type(mix).__name__} trains every image with two labels, but {type(self.loss).__name__} "
                "remembers what it has seen of single ones: choose one of the two"
            )
        require_tta(tta)
        self.mix, self.posthoc_tau, self.tta = mix, posthoc_tau, tta
        self.pseudo_labels, self.semi_supervised = pseudo_labels, pseudo_labels is not None
        if self.semi_supervised:
            self.train_scores = (*self.train_scores, "labeled_loss", "unlabeled_loss")
            self.train_means = EpochMeans("loss", *self.train_scores)
        self.keeps_features = False
        self.class_names = list(class_names or map(str, range(num_classes)))
        if len(self.class_names) != num_classes:
            raise ValueError(f"class_names: {len(self.class_names)} names for {num_classes} classes")
        # Whole numbers, which half precision leaves alone; 0 while they are not known.
        self.register_buffer("class_counts", torch.zeros(num_classes, dtype=torch.int64))
        if "class_weights" in self.asked_extras:
            self.register_buffer("class_weights", torch.ones(num_classes))

    @property
    def remembers_samples(self) -> bool:
        """Whether the loss has to see every sample once, as it is."""
        return "index" in self.asked_extras or getattr(self.loss, "remembers", False)

    def setup(self, stage: str) -> None:
        """Takes over the class statistics of the training set; they stay with the checkpoint.

        They are known once the data have been read and split, which is too late for an argument of the constructor.

        Raises:
            ValueError: If the datamodule does not know one that is needed.
        """
        super().setup(stage)
        datamodule = self.trainer.datamodule  # type: ignore[attr-defined]
        if stage == "fit" and self.pseudo_labels is not None:
            require_pool(self.pseudo_labels, datamodule)
        for name in CLASS_STATISTICS if stage == "fit" else ():
            if hasattr(self, name) and hasattr(datamodule, name):
                getattr(self, name).copy_(torch.as_tensor(getattr(datamodule, name)))
            elif asking := self._asks_for(name):
                owner = "a plain loader" if datamodule is None else type(datamodule).__name__
                raise ValueError(
                    f"{asking} needs {name} of the training set, which {owner} does not tell: leave it "
                    "out, or choose a datamodule with classes"
                )

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Passes over what was kept of a pool, where nothing is learned of one any more, or not yet."""
        if self.pseudo_labels is None:
            checkpoint["state_dict"].pop("pseudo_labels._extra_state", None)
        else:
            checkpoint["state_dict"].setdefault("pseudo_labels._extra_state", {})

    def extra(self, name: str, batch: Batch) -> Any:
        """Returns one of `loss_extras`."""
        return getattr(self, name).float() if name in CLASS_STATISTICS else super().extra(name, batch)

    def step(self, batch: Any, stage: Stage) -> dict[str, Tensor]:
        """Returns `loss`, `logits` `[B, K]`, `target` and `index`, and in training `acc`.

        Of a semi-supervised batch they are those of the labeled samples, but for the loss, which has both terms; what
        has become of the others comes beside.
        """
        labeled: Batch = batch.get("labeled", batch)
        target = labeled["target"]
        if stage == "train":
            logits, loss = self.trained(labeled)
        else:
            features, logits = self.answer(labeled["input"])
        outputs = {"logits": logits.detach().float(), "target": target, "index": labeled["index"]}
        if stage == "train":
            outputs["loss"] = loss
            outputs["acc"] = (outputs["logits"].argmax(dim=1) == target).float().mean()
            if self.pseudo_labels is not None:
                outputs |= with_unlabeled(self, self.pseudo_labels, batch, loss)
        else:
            outputs["loss"] = F.cross_entropy(outputs["logits"], target, ignore_index=UNKNOWN)
            outputs |= features
        return outputs

    def answer(self, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Returns what evaluation goes by: `features` `[B, D]` if they are to be kept, and adjusted logits `[B, K]`."""
        trainer = self._trainer
        fitting = trainer is not None and (trainer.training or trainer.validating or trainer.sanity_checking)
        return self._answer(x) if self.tta == "none" or fitting else mean_over_flips(self._answer, x)

    def _answer(self, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        if not self.keeps_features:
            return {}, self.adjusted(self(x))
        net: Any = self.net
        features = net.features(self.prepared(x))
        return {"features": features.detach().float()}, self.adjusted(net.head(features))

    def trained(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Returns logits `[B, K]` and the objective of a training batch."""
        target = batch["target"]
        if self.mix is None:
            logits = self(batch["input"])
            return logits, self.objective(logits, batch, target)
        inputs, partner, fraction = self.mix(batch["input"])
        logits = self(inputs)
        own, other = self.objective(logits, batch, target), self.objective(logits, batch, target[partner])
        return logits, fraction * own + (1 - fraction) * other

    def adjusted(self, logits: Tensor) -> Tensor:
        """Returns logits after post-hoc adjustment.

        Raises:
            ValueError: If the class counts are not known.
        """
        if not self.posthoc_tau:
            return logits
        if not self.class_counts.any():
            raise ValueError(
                "posthoc_tau: the class counts of the training are not known, since the model was not trained on a "
                "datamodule with classes; leave it out"
            )
        fractions = self.class_counts.float() / self.class_counts.sum()
        return logits - self.posthoc_tau * fractions.log()

    def scores(self, outputs: dict[str, Tensor], stage: Stage) -> dict[str, Tensor]:
        """Returns loss and accuracy; for a test also macro F1, calibration error and the accuracy of each class.

        Samples of unknown classes have no right answer and are left out; where there are no others, nothing is scored.
        """
        known = outputs["target"] != UNKNOWN
        if not known.any():
            return {}
        logits, target = outputs["logits"][known], outputs["target"][known]
        scores = classification_scores(logits, target)
        if stage == "test":
            scores |= detailed_classification_scores(logits, target, self.class_names)
        return scores

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Returns `index`, `logits`, the `prediction` (a class) and its `confidence` (its softmax value)."""
        features, logits = self.answer(batch["input"])
        confidence, prediction = logits.float().softmax(dim=1).max(dim=1)
        outputs = {
            "index": batch["index"],
            "logits": logits.float(),
            "prediction": prediction,
            "confidence": confidence,
        }
        return outputs | features

    def _asks_for(self, statistic: str) -> str | None:
        """Names what cannot do without a class statistic."""
        if statistic in self.asked_extras:
            return type(self.loss).__name__
        if statistic == "class_counts" and self.posthoc_tau:
            return "posthoc_tau"
        if statistic == "class_counts" and self.pseudo_labels is not None and self.pseudo_labels.align:
            return "pseudo_labels.align"
        return None
