from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from litzoo.callbacks.checkpoints.best_and_last import begins_anew
from litzoo.callbacks.files import run_folder_of, shown
from litzoo.callbacks.label_issues.ranking import (
    draw_suspects,
    outstanding,
    rank_suspects,
    ranking_quality,
    write_suspects,
)
from litzoo.callbacks.label_issues.statistics import SampleLosses
from litzoo.callbacks.reporting.classification import NamesClasses, require_class_names
from litzoo.callbacks.reporting.figures import publish_figure
from litzoo.callbacks.samples import ABSENT, file_column

NEEDED = ("logits", "target", "index")


@runtime_checkable
class ShowsTrainImages(Protocol):
    """A datamodule that can show training samples."""

    def train_images(self, index: Tensor) -> Tensor:
        """Returns the images at positions in the full training set, as in the file, uint8 `[n, C, H, W]`."""
        ...


class NoisyLabelFinder(Callback):
    """Ranks training samples by how likely their label is wrong: by the cross-entropy of the label, as training saw it.

    A network learns what most labels agree on before it learns a wrong one by heart (Arpit et al., "A closer look at
    memorization in deep networks", ICML 2017): the mean over the epochs tells wrong labels from right ones. The
    losses are those of the training steps; the model is not run again.

    At the end of training it writes `suspects.csv` into the run folder, every sample, the most suspicious first; draws
    the first ones where the data are images; and says how many stand out. A run that is interrupted is reported on
    as of its last whole epoch. Where labels were corrupted on purpose, it compares with the true ones and logs every
    epoch `train/suspects/precision` and `/recall`, among as many samples as labels are wrong, where both are the same
    number, and `/average_precision`.

    Args:
        skip_epochs: Epochs at the start that do not count, because the model still finds everything unlikely. As long
            as there is no later epoch, the newest counts.
        count: How many images are drawn.

    Raises:
        ValueError: If `skip_epochs` is negative, or `count` below 1.

    Example:
        >>> NoisyLabelFinder(skip_epochs=2, count=12).skip_epochs
        2
    """

    def __init__(self, skip_epochs: int = 1, count: int = 36) -> None:
        if skip_epochs < 0:
            raise ValueError(f"NoisyLabelFinder.skip_epochs: {skip_epochs} is negative; give 0 to count every epoch")
        if count < 1:
            raise ValueError(f"NoisyLabelFinder.count: {count} images; give at least 1")
        self.skip_epochs = skip_epochs
        self.count = count
        self.losses = SampleLosses()
        self._run_folder: Path | None = None  # while there is something to report on

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuses a module whose training losses tell nothing of single labels, and knows nothing of another training.

        Raises:
            TypeError: If the module has no `class_names`.
            ValueError: If it mixes samples.
        """
        require_class_names(self, "ranks the labels of classes", pl_module)
        if mix := getattr(pl_module, "mix", None):
            raise ValueError(
                f"NoisyLabelFinder ranks labels by their losses in training, but {type(mix).__name__} trains images "
                "that are mixed of two: leave one of them out"
            )

        whole_epochs = self.losses.seen
        self.losses = SampleLosses()  # without an epoch that was interrupted
        if not begins_anew(trainer, stage):
            self.losses.seen = whole_epochs

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Asks for the run folder: an interrupted process can no longer ask the others."""
        self._run_folder = run_folder_of(trainer)
        self.losses.to(trainer.strategy.root_device)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Notes what the training step returned, and the true labels if there are any.

        Raises:
            TypeError: If the step does not return logits and classes.
        """
        if batch_idx == 0:
            _check(outputs, pl_module)
        self.losses.add(outputs["logits"], outputs["target"], outputs["index"])
        labeled = batch.get("labeled", batch)
        if "clean_target" in labeled:
            self.losses.add_clean(labeled["clean_target"], labeled["index"])

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Puts together what all processes have seen, and compares it with the true labels."""
        self.losses.end_epoch(
            lambda values, how: trainer.strategy.reduce(values, reduce_op=how),
            forget=trainer.current_epoch <= self.skip_epochs,
        )
        for name, value in _quality(rank_suspects(self.losses.seen)).items():
            # Every process has computed the same value; `sync_dist` only tells Lightning that this is known.
            pl_module.log(f"train/suspects/{name}", value, batch_size=1, sync_dist=True)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes, draws and prints."""
        self._report(trainer, pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Does so as of the last whole epoch."""
        self._report(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        """Returns what was seen in the whole epochs so far, so that a resumed run reports on all of them."""
        return {"seen": {name: values.cpu() for name, values in self.losses.seen.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores it."""
        self.losses.seen = dict(state_dict["seen"])

    def _report(self, trainer: Trainer, pl_module: LightningModule) -> None:
        folder, self._run_folder = self._run_folder, None
        ranking = rank_suspects(self.losses.seen)
        if folder is None or not trainer.is_global_zero or not len(ranking["index"]):
            return
        assert isinstance(pl_module, NamesClasses)
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        files = file_column(datamodule, "train", ranking["index"])
        write_suspects(folder / "suspects.csv", ranking, pl_module.class_names, files)
        if isinstance(datamodule, ShowsTrainImages):
            images = datamodule.train_images(ranking["index"][: self.count])
            publish_figure(trainer, "suspects", draw_suspects(ranking, images, pl_module.class_names), folder)
        samples, wrong = len(ranking["index"]), int(_wrong(ranking).sum())
        line = f"{outstanding(ranking['score']):,} of {samples:,} training labels stand out"
        if quality := _quality(ranking):
            line += (
                f"; {wrong:,} are wrong, and of the {wrong:,} most suspicious {quality['precision']:.2%} (precision "
                f"and recall), average precision {quality['average_precision']:.4f}"
            )
        print(f"{line}: {shown(folder / 'suspects.csv')}")


def _wrong(ranking: dict[str, Tensor]) -> Tensor:
    return (ranking["clean"] != ABSENT) & (ranking["clean"] != ranking["given"])


def _quality(ranking: dict[str, Tensor]) -> dict[str, float]:
    return ranking_quality(_wrong(ranking))


def _check(outputs: Any, pl_module: LightningModule) -> None:
    there = outputs if isinstance(outputs, dict) else {}
    if all(name in there for name in NEEDED):
        logits, target = outputs["logits"], outputs["target"]
        if logits.ndim == 2 and target.shape == logits.shape[:1] and target.dtype == torch.int64:
            return
    returned = [f"{name} {value.dtype} {list(value.shape)}" for name, value in there.items()]
    raise TypeError(
        "NoisyLabelFinder needs of every training step logits [B, K], and target and index, int64 [B]; that of "
        f"{type(pl_module).__name__} returns {', '.join(returned) or 'no dictionary'}: return them, or remove the "
        "callback"
    )
