from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from litzoo.callbacks.files import run_folder_of, shown
from litzoo.callbacks.label_issues.finder import ShowsTrainImages
from litzoo.callbacks.pseudo_labels._quality import (
    draw_wrong_labels,
    most_confident_wrong,
    pool_fractions,
    pool_rows,
    write_pseudo_labels,
)
from litzoo.callbacks.pseudo_labels.pool import LearnsPool, PoolLabels, TakesLabels, pool_learner
from litzoo.callbacks.reporting.classification import NamesClasses, require_class_names
from litzoo.callbacks.reporting.figures import publish_figure
from litzoo.callbacks.samples import file_column

NEEDED = ("pseudo_label", "pseudo_confidence", "pseudo_used", "pseudo_index")


class PseudoLabelReport(Callback):
    """Tells how much of an unlabeled pool is learned from, and where that can be known, how many labels are right.

    Every epoch it logs, each pool sample counted once as it was last seen in the epoch: `train/pseudo/coverage`, the fraction
    that was used; `train/pseudo/coverage/<class>`, by the true class, or where that is not known by the label given;
    `train/pseudo/coverage/unknown`, of the samples of unknown classes, whose labels count as wrong;
    `train/pseudo/accuracy`, the fraction of right labels among those used; `train/pseudo/accuracy/<class>`, by the label
    given; `train/pseudo/weight` and `train/pseudo/threshold`, those of the last step. It warns when nothing is used
    though it would count.

    At the end of training it writes the newest label of each pool sample to `pseudo_labels.csv` in the run folder, and
    draws the most confident wrong ones in use where the data are images. A run that is interrupted is reported on as
    of its last whole epoch.

    Args:
        count: How many images are drawn.

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
        self._run_folder: Path | None = None  # while there is something to report on

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuses a module without pseudo-labels.

        Raises:
            TypeError: If the module has no `class_names`.
            ValueError: If it does not learn from unlabeled samples.
        """
        require_class_names(self, "reports on labels of classes", pl_module)
        pool_learner(self, pl_module)
        if stage == "fit":
            self.labels, self._warned = PoolLabels(), False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Asks for the run folder: an interrupted process can no longer ask the others."""
        self._run_folder = run_folder_of(trainer)
        self.labels.to(trainer.strategy.root_device)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Notes the labels of the step, and the true ones if there are any.

        Raises:
            TypeError: If the step does not return them.
        """
        if batch_idx == 0:
            _check(outputs, pl_module)
        label, confidence, used, index = (outputs[name] for name in NEEDED)
        self.labels.add(label, confidence, used, index, batch["unlabeled"].get("clean_target"))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Puts together what all processes have seen, logs, and warns if nothing was used."""
        epoch = self.labels.end_epoch(lambda values, how: trainer.strategy.reduce(values, reduce_op=how))
        rows, method = pool_rows(epoch), pool_learner(self, pl_module)
        assert isinstance(pl_module, NamesClasses)
        # Where labels are assigned, there may be none yet.
        metrics = pool_fractions(rows, pl_module.class_names) if len(rows["index"]) else {"used": 0.0}
        metrics |= {"weight": float(method.weight), "threshold": method.current_threshold()}
        for old in [name for name in trainer.callback_metrics if name.startswith("train/pseudo/")]:
            del trainer.callback_metrics[old]  # Lightning would show it of an epoch that has no such fraction
        for name, value in metrics.items():
            # Every process has computed the same value; `sync_dist` only tells Lightning that this is known.
            pl_module.log(f"train/pseudo/{name}", value, batch_size=1, sync_dist=True)
        idle = method.weight > 0 and len(rows["index"]) > 0 and not rows["used"].any()
        if idle and not self._warned:
            rank_zero_warn(_nothing_used(rows, method, trainer.current_epoch))
        self._warned = idle

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes, draws and prints."""
        self._report(trainer, pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Does so as of the last whole epoch."""
        self._report(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        """Returns the newest label of each sample, so that a resumed run writes the same files."""
        return {"seen": {name: values.cpu() for name, values in self.labels.seen.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores them."""
        self.labels.seen = dict(state_dict["seen"])

    def _report(self, trainer: Trainer, pl_module: LightningModule) -> None:
        folder, self._run_folder = self._run_folder, None
        rows = pool_rows(self.labels.seen)
        if folder is None or not trainer.is_global_zero or not len(rows["index"]):
            return
        assert isinstance(pl_module, NamesClasses)
        path, names = folder / "pseudo_labels.csv", pl_module.class_names
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        write_pseudo_labels(path, rows, names, file_column(datamodule, "train", rows["index"]))
        mistakes = most_confident_wrong(rows)
        if len(mistakes["index"]) and isinstance(datamodule, ShowsTrainImages):
            images = datamodule.train_images(mistakes["index"][: self.count])
            publish_figure(trainer, "pseudo_labels_wrong", draw_wrong_labels(mistakes, images, names), folder)
        line = f"pseudo-labels: {int(rows['used'].sum()):,} of {len(rows['index']):,} pool samples used when last seen"
        if (purity := pool_fractions(rows, names).get("purity")) is not None:
            line += f", {100 * purity:.1f} % of them right"
        print(f"{line}: {shown(path)}")


def _nothing_used(rows: Mapping[str, Tensor], method: LearnsPool, epoch: int) -> str:
    highest, threshold = float(rows["confidence"].max()), method.current_threshold()
    if highest >= threshold:
        remedy = "what is confident enough is kept out of the pool: loosen what does so"
    elif isinstance(method, TakesLabels):
        remedy = "lower TeacherLabels.threshold, or take a better teacher"
    elif "threshold" in method.schedulable:
        remedy = "lower model.pseudo_labels.threshold, or train longer on the labeled samples first"
    else:
        remedy = "train longer on the labeled samples first"
    return (
        f"no pseudo-label was used in epoch {epoch}: of {len(rows['index']):,} pool samples seen the most confident "
        f"has {highest:.4g}, the threshold is {threshold:.4g} (weight {method.weight:.4g}). Training goes on with the "
        f"labeled samples; {remedy}"
    )


def _check(outputs: Any, pl_module: LightningModule) -> None:
    there = outputs if isinstance(outputs, dict) else {}
    if missing := [name for name in NEEDED if name not in there]:
        raise TypeError(
            f"PseudoLabelReport needs of every training step {', '.join(NEEDED)}, [U] each; that of "
            f"{type(pl_module).__name__} returns no {', '.join(missing)}: return them, or remove the callback"
        )
