"""Callback that reports coverage and accuracy of pseudo-labels."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from litzoo.callbacks.contracts import HasClassNames, HasTrainImages, require_class_names
from litzoo.callbacks.files import display_path, run_folder_of
from litzoo.callbacks.pseudo_labels._quality import (
    coverage_and_accuracy,
    draw_wrong_labels,
    most_confident_wrong,
    pool_rows,
    write_pseudo_labels,
)
from litzoo.callbacks.pseudo_labels.pool import PoolLabels, require_pseudo_labels
from litzoo.callbacks.reporting.figures import CARD_COLUMNS, CARD_IMAGES, publish_figure
from litzoo.callbacks.samples import file_column
from litzoo.lit_modules.semi_supervised import AssignedLabels, PseudoLabels

_NEEDED = ("pseudo_label", "pseudo_confidence", "pseudo_used", "pseudo_index")


class PseudoLabelReport(Callback):
    """Reports how many samples of an unlabeled pool are used, and how many of their pseudo-labels are correct.

    Logs every epoch, with the last label of each pool sample in the epoch: `train/pseudo/coverage`, the fraction of
    samples used; `train/pseudo/coverage/<class>`, by the true class or, if it is not known, by the pseudo-label;
    `train/pseudo/coverage/unknown`, of samples of unknown classes, whose labels count as wrong;
    `train/pseudo/accuracy`, the fraction of correct labels among those used, and `train/pseudo/accuracy/<class>`, by
    the pseudo-label; `train/pseudo/weight` and `train/pseudo/threshold`, of the last step. Warns if no label is used
    although the unlabeled loss has a weight.

    At the end of training it writes the newest label of each pool sample to `pseudo_labels.csv` in the run folder and,
    if the data are images, draws the most confident wrong labels that are used. For an interrupted run, the report
    covers its complete epochs.

    Args:
        count: Number of images to draw.

    Raises:
        ValueError: If `count` is below 1.

    Example:
        >>> PseudoLabelReport(count=12).count
        12
    """

    def __init__(self, count: int = 36) -> None:
        if count < 1:
            raise ValueError(f"PseudoLabelReport.count: {count} images; give at least 1")
        self.count = count
        self.labels = PoolLabels()
        self._warned = False
        self._run_folder: Path | None = None  # None when there is nothing to report

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Checks that the module has classes and pseudo-labels, and resets the labels of another training.

        Raises:
            TypeError: If the module has no `class_names`.
            ValueError: If the module has no pseudo-labels.
        """
        require_class_names(self, "reports pseudo-labels by class", pl_module)
        require_pseudo_labels(self, pl_module)
        if stage == "fit":
            self.labels, self._warned = PoolLabels(), False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gets the run folder, which needs all processes; after an interruption they may no longer respond."""
        self._run_folder = run_folder_of(trainer)
        self.labels.to(trainer.strategy.root_device)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Collects the pseudo-labels of the step, and the true labels if the batch has them.

        Raises:
            TypeError: If the step does not return pseudo-labels.
        """
        if batch_idx == 0:
            _check_outputs(outputs, pl_module)
        label, confidence, used, index = (outputs[name] for name in _NEEDED)
        self.labels.add(label, confidence, used, index, batch["unlabeled"].get("clean_target"))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Merges the labels of all processes, logs coverage and accuracy, and warns if no label was used."""
        epoch = self.labels.end_epoch(lambda values, how: trainer.strategy.reduce(values, reduce_op=how))
        rows, method = pool_rows(epoch), require_pseudo_labels(self, pl_module)
        assert isinstance(pl_module, HasClassNames)
        # Before labels are assigned, there are no rows.
        metrics = coverage_and_accuracy(rows, pl_module.class_names) if len(rows["index"]) else {"coverage": 0.0}
        metrics |= {"weight": float(method.weight), "threshold": method.current_threshold()}
        for old in [name for name in trainer.callback_metrics if name.startswith("train/pseudo/")]:
            del trainer.callback_metrics[old]  # it would stay in epochs without this fraction
        for name, value in metrics.items():
            # Every process has the same value; `sync_dist` only avoids Lightning's warning.
            pl_module.log(f"train/pseudo/{name}", value, batch_size=1, sync_dist=True)
        unused = method.weight > 0 and len(rows["index"]) > 0 and not rows["used"].any()
        if unused and not self._warned:
            rank_zero_warn(_no_label_used_message(rows, method, trainer.current_epoch))
        self._warned = unused

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the file, draws the figure and prints the summary."""
        self._report(trainer, pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Reports on the complete epochs of an interrupted training."""
        self._report(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        """Returns the newest label of each sample, so that a resumed run writes the same files."""
        return {"seen": {name: values.cpu() for name, values in self.labels.seen.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the labels."""
        self.labels.seen = dict(state_dict["seen"])

    def _report(self, trainer: Trainer, pl_module: LightningModule) -> None:
        folder, self._run_folder = self._run_folder, None
        rows = pool_rows(self.labels.seen)
        if folder is None or not trainer.is_global_zero or not len(rows["index"]):
            return
        assert isinstance(pl_module, HasClassNames)
        path, names = folder / "pseudo_labels.csv", pl_module.class_names
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        write_pseudo_labels(path, rows, names, file_column(datamodule, "train", rows["index"]))
        mistakes = most_confident_wrong(rows)
        if len(mistakes["index"]) and isinstance(datamodule, HasTrainImages):
            images = datamodule.train_images(mistakes["index"][: self.count])
            card = draw_wrong_labels(mistakes, images[:CARD_IMAGES], names, CARD_COLUMNS)
            publish_figure(trainer, "pseudo_labels_wrong", draw_wrong_labels(mistakes, images, names), folder, card)
        line = f"pseudo-labels: {int(rows['used'].sum()):,} of {len(rows['index']):,} pool samples used when last seen"
        if (accuracy := coverage_and_accuracy(rows, names).get("accuracy")) is not None:
            line += f", {100 * accuracy:.1f} % of them correct"
        print(f"{line}: {display_path(path)}")


def _no_label_used_message(rows: Mapping[str, Tensor], method: PseudoLabels, epoch: int) -> str:
    highest, threshold = float(rows["confidence"].max()), method.current_threshold()
    if highest >= threshold:
        remedy = "confident samples are excluded from the pool: check the callback that does so"
    elif isinstance(method, AssignedLabels):
        remedy = "lower TeacherLabels.threshold, or use a better teacher"
    elif "threshold" in method.schedulable:
        remedy = "lower model.pseudo_labels.threshold, or train longer on the labeled samples first"
    else:
        remedy = "train longer on the labeled samples first"
    return (
        f"no pseudo-label was used in epoch {epoch}: the highest confidence of {len(rows['index']):,} pool samples is "
        f"{highest:.4g}, the threshold is {threshold:.4g} (weight {method.weight:.4g}). Training continues with the "
        f"labeled samples; {remedy}"
    )


def _check_outputs(outputs: Any, pl_module: LightningModule) -> None:
    found = outputs if isinstance(outputs, dict) else {}
    if missing := [name for name in _NEEDED if name not in found]:
        raise TypeError(
            f"PseudoLabelReport needs training steps that return {', '.join(_NEEDED)}, [U] each; that of "
            f"{type(pl_module).__name__} returns no {', '.join(missing)}: return them, or remove the callback"
        )
