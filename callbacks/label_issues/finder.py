"""Callback that ranks training samples by how likely their label is wrong."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from litzoo.callbacks.checkpoints.best_and_last import starts_new_training
from litzoo.callbacks.contracts import HasClassNames, HasTrainImages, require_class_names
from litzoo.callbacks.files import display_path, run_folder_of, write_csv
from litzoo.callbacks.label_issues.ranking import (
    METHODS,
    Method,
    known_labels,
    rank_suspects,
    ranking_quality,
    wrong_labels,
)
from litzoo.callbacks.label_issues.report import (
    correction_columns,
    doubt,
    draw_suspects,
    rare_classes,
    summary,
    suspect_columns,
    write_summary,
    write_suspects,
)
from litzoo.callbacks.label_issues.statistics import SampleStatistics
from litzoo.callbacks.plain_modules import completed
from litzoo.callbacks.reporting.figures import CARD_COLUMNS, CARD_IMAGES, publish_figure
from litzoo.callbacks.samples import file_column
from litzoo.datamodules import BaseDataModule
from litzoo.datamodules.tables.naming import apart

_NEEDED = ("logits", "target", "index")


class NoisyLabelFinder(Callback):
    """Ranks training samples by how likely their label is wrong, and tells how many are, from a single training.

    A network fits what most labels agree on before it memorises wrong labels (Arpit et al., "A closer look at
    memorization in deep networks", ICML 2017). So the mean over the epochs of the probabilities that it predicts for a
    sample speaks against a wrong label. They are those of the training steps; the model is not run again. From them the
    noise matrix is estimated, and the probability that each label is wrong (`judge_labels`); labels above 0.5 are
    flagged.

    At the end of training it writes all samples to `suspects.csv` in the run folder, the most suspicious first, with a
    suggested label, its probability and the reason; and to `label_issues.json` how many labels are flagged, in total
    and for each pair of classes, and the noise matrix; and to `proposed_corrections.csv` the flagged labels with the
    suggested ones, in the form of `data.corrections`. It draws the first samples if the data are images, and prints
    how many labels are flagged. For an interrupted run, the report covers its complete epochs. Where labels were
    corrupted on purpose, it also logs every epoch how well the ranking finds them: `train/suspects/precision` and
    `train/suspects/recall` of the first W samples, where W is the number of wrong labels (so that both are equal), and
    `train/suspects/average_precision`.

    Args:
        skip_epochs: Epochs at the start to ignore, in which all predictions are still poor. Until a later epoch is
            complete, the latest one is used.
        count: Number of images to draw.
        method: What samples are ranked by: `posterior`, the probability that the label is wrong, `normalized_margin`,
            `margin` or `loss`; see `rank_suspects`. Which labels are flagged does not depend on it.

    Raises:
        ValueError: If `skip_epochs` is negative, `count` below 1, or the method unknown.

    Example:
        >>> NoisyLabelFinder(skip_epochs=2, count=12).skip_epochs
        2
    """

    def __init__(self, skip_epochs: int = 1, count: int = 36, method: Method = "posterior") -> None:
        if skip_epochs < 0:
            raise ValueError(f"NoisyLabelFinder.skip_epochs: {skip_epochs} is negative; give 0 to use every epoch")
        if count < 1:
            raise ValueError(f"NoisyLabelFinder.count: {count} images; give at least 1")
        if method not in METHODS:
            raise ValueError(f"NoisyLabelFinder.method: {method!r} is none of {', '.join(METHODS)}")
        self.method: Method = method
        self.skip_epochs = skip_epochs
        self.count = count
        self.statistics = SampleStatistics(0)  # for the classes of the module, from `setup` on
        self._run_folder: Path | None = None  # None when there is nothing to report

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Checks that the module predicts each sample's class, and resets the statistics of another training.

        Raises:
            TypeError: If the module has no `class_names`.
            ValueError: If the module mixes samples.
        """
        require_class_names(self, "ranks the labels of classes", pl_module)
        if mix := getattr(pl_module, "mix", None):
            raise ValueError(
                f"NoisyLabelFinder ranks labels by the predictions in training, but {type(mix).__name__} trains on "
                "images mixed from two samples: remove one of the two"
            )
        assert isinstance(pl_module, HasClassNames)
        whole_epochs = self.statistics.seen
        self.statistics = SampleStatistics(len(pl_module.class_names))  # discards an interrupted epoch
        if not starts_new_training(trainer, stage) and whole_epochs["probabilities"].numel():
            self.statistics.seen = whole_epochs

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gets the run folder, which needs all processes; after an interruption they may no longer respond."""
        self._run_folder = run_folder_of(trainer)
        self.statistics.to(trainer.strategy.root_device)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Collects the outputs of the training step, and the true labels if the batch has them.

        Raises:
            TypeError: If the step does not return logits, target and index.
        """
        labeled = batch.get("labeled", batch) if isinstance(batch, Mapping) else batch
        found = completed(outputs, labeled)
        if batch_idx == 0:
            _check_outputs(found, outputs, pl_module)
        self.statistics.add(found["logits"].detach(), found["target"], found["index"])
        if isinstance(labeled, Mapping) and "clean_target" in labeled:
            self.statistics.add_clean(labeled["clean_target"], labeled["index"])

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Merges the statistics of all processes, and logs the quality of the ranking where true labels are known."""
        self.statistics.end_epoch(
            lambda values, how: trainer.strategy.reduce(values, reduce_op=how),
            reset_sums=trainer.current_epoch <= self.skip_epochs,
        )
        if not known_labels(self.statistics.seen):
            return
        ranking, _ = rank_suspects(self.statistics.seen, self.method)
        for name, value in ranking_quality(wrong_labels(ranking)).items():
            # Every process has the same value; `sync_dist` only avoids Lightning's warning.
            pl_module.log(f"train/suspects/{name}", value, batch_size=1, sync_dist=True)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the file, draws the figure and prints the summary."""
        self._report(trainer, pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Reports on the complete epochs of an interrupted training."""
        self._report(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        """Returns the statistics of the complete epochs, so that a resumed run reports on all of them."""
        return {"seen": {name: values.cpu() for name, values in self.statistics.seen.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the statistics.

        Raises:
            ValueError: If they are those of a version that only kept losses.
        """
        if "probabilities" not in state_dict["seen"]:
            raise ValueError(
                "NoisyLabelFinder: the checkpoint is of an older version, which kept the losses of the labels but no "
                "probabilities: remove the callback to resume it, or train anew"
            )
        self.statistics.seen = dict(state_dict["seen"])

    def _report(self, trainer: Trainer, pl_module: LightningModule) -> None:
        folder, self._run_folder = self._run_folder, None
        if folder is None or not trainer.is_global_zero or not self.statistics.seen["count"].any():
            return
        assert isinstance(pl_module, HasClassNames)
        names, datamodule = pl_module.class_names, trainer.datamodule  # type: ignore[attr-defined]
        ranking, judgement = rank_suspects(self.statistics.seen, self.method)
        files = file_column(datamodule, "train", ranking["index"])
        if "row" in files:  # identifiers of a table, which corrections must not take for ours
            files = apart(files, ("file", "part", "content_id"), "suspects.csv")
        if isinstance(datamodule, BaseDataModule) and (ids := datamodule.content_ids("train")):
            files = {**files, "content_id": [ids[position] for position in ranking["index"].tolist()]}
        columns = suspect_columns(ranking, judgement, names, files)
        write_suspects(folder / "suspects.csv", columns)
        write_csv(folder / "proposed_corrections.csv", correction_columns(columns))
        found = summary(ranking["given"], judgement, names, ranking["predicted"])
        write_summary(folder / "label_issues.json", found)
        if isinstance(datamodule, HasTrainImages):
            images = datamodule.train_images(ranking["index"][: self.count])
            figure = draw_suspects(ranking, judgement, found["flagged"], images, names)
            card = draw_suspects(ranking, judgement, found["flagged"], images[:CARD_IMAGES], names, CARD_COLUMNS)
            publish_figure(trainer, "suspects", figure, folder, card)
        wrong = wrong_labels(ranking)
        line = f"{found['flagged']:,} of {len(wrong):,} training labels are flagged"
        if quality := ranking_quality(wrong):
            total = int(wrong.sum())
            line += (
                f"; {total:,} are wrong, and of the {total:,} most suspicious {quality['precision']:.2%} (precision "
                f"and recall), average precision {quality['average_precision']:.4f}"
            )
        print(f"{line}: {display_path(folder / 'suspects.csv')}")
        same = found["agreement"]["predicted_as_labelled"]
        print(doubt(found["agreement"]) or f"{same:.1%} of the labels were predicted as given in the last epoch")
        if remark := rare_classes(found["few_labels"]):
            print(remark)


def _check_outputs(found: dict[str, Any], outputs: Any, pl_module: LightningModule) -> None:
    if all(name in found for name in _NEEDED):
        logits, target = found["logits"], found["target"]
        if logits.ndim == 2 and target.shape == logits.shape[:1] and target.dtype == torch.int64:
            return
    returned = [
        f"{name} {value.dtype} {list(value.shape)}" if isinstance(value, torch.Tensor) else name
        for name, value in (outputs.items() if isinstance(outputs, dict) else ())
    ]
    raise TypeError(
        "NoisyLabelFinder needs training steps that return logits [B, K], and target and index, int64 [B]; that of "
        f"{type(pl_module).__name__} returns {', '.join(returned) or 'no dictionary'}: return them, or remove the "
        "callback. The index is the position of each sample in the training set"
    )
