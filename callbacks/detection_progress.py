from collections.abc import Sequence
from typing import Any, Literal, Protocol, runtime_checkable

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from callbacks.detection_strip import Panel, draw_strip, panel_of
from callbacks.figures import publish_figure
from callbacks.files import run_folder_of


@runtime_checkable
class Detects(Protocol):
    """A module that finds objects in pictures."""

    class_names: Sequence[str]

    def detect(self, pictures: list[Tensor]) -> list[dict[str, Tensor]]:
        """Returns `boxes`, `labels`, `scores` and `masks` of what is in each picture, as evaluation finds it."""
        ...


@runtime_checkable
class ServesDetection(Protocol):
    """A datamodule of pictures with objects in them."""

    train_set: Any
    val_set: Any
    validates: bool

    def picture_with_objects(self, part: Literal["train", "val"], position: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns a picture of a part, `[3, H, W]` from 0 to 1, and its `DetectionTarget`."""
        ...


class DetectionProgress(Callback):
    """Watches what a detector finds in one picture as training goes on; epoch 0 is before any training.

    Before training and after every epoch it runs the model on the picture, and logs the number of detections and the
    score of the surest, `val/detections` and `val/top_score`. Detections count from the module's own `min_score` on.
    At the asked epochs all of them are drawn, the surer the more opaque: `figures/detection_progress.png`, a strip that
    begins with the true objects. Checkpoints keep what has been drawn. The weights are those that are trained, also
    where a running mean of them is validated.

    Args:
        epochs: After how many epochs it is drawn.
        picture: Position in the validation set; where nothing is validated, in the training set, whose prefix the
            metrics then have.

    Raises:
        ValueError: If an epoch or the position is negative, or there is no such picture.
        TypeError: If the module finds no objects, or the datamodule has none.
    """

    def __init__(self, epochs: Sequence[int] = (0, 1, 3, 10, 20, 100), picture: int = 0) -> None:
        if not epochs or min(epochs) < 0:
            raise ValueError(f"DetectionProgress.epochs: {list(epochs)}; give some of at least 0, such as [0, 1, 10]")
        if picture < 0:
            raise ValueError(f"DetectionProgress.picture: {picture} is negative; give a position in the validation set")
        self.epochs, self.picture = sorted(set(epochs)), picture
        self.panels: list[Panel] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuses what finds no objects, and a picture that is not there."""
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(pl_module, Detects):
            raise TypeError(
                f"DetectionProgress watches detections, but {type(pl_module).__name__} has no detect: remove the "
                "callback or choose a MaskRCNNSegmenter"
            )
        if stage == "fit":
            self.panels = []
            if not isinstance(datamodule, ServesDetection):
                raise TypeError(
                    f"DetectionProgress watches a picture with objects, but {type(datamodule).__name__} serves none: "
                    "remove the callback or choose a SegmentationDataModule"
                )
            self._part: Literal["train", "val"] = "val" if datamodule.validates else "train"
            there = len(getattr(datamodule, f"{self._part}_set"))
            if self.picture >= there:
                raise ValueError(
                    f"DetectionProgress.picture: {self.picture}, but there are {there} to watch ({self._part}); give 0 "
                    f"to {there - 1}"
                )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Looks before any training."""
        if trainer.global_step == 0:
            found = self._look(trainer, pl_module, 0)
            for logger in trainer.loggers:
                logger.log_metrics({f"{self._part}/{name}": value for name, value in found.items()}, step=0)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Looks after an epoch."""
        for name, value in self._look(trainer, pl_module, trainer.current_epoch + 1).items():
            # Every process looks at the same picture; `sync_dist` only tells Lightning that this is known.
            pl_module.log(f"{self._part}/{name}", value, sync_dist=True)

    def state_dict(self) -> dict[str, Any]:
        """Returns what has been drawn."""
        return {"panels": self.panels}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores it."""
        self.panels = list(state_dict["panels"])

    def _look(self, trainer: Trainer, module: LightningModule, epoch: int) -> dict[str, float]:
        run_folder = run_folder_of(trainer)
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        picture, objects = datamodule.picture_with_objects(self._part, self.picture)
        assert isinstance(module, Detects)
        with trainer.precision_plugin.forward_context():
            (found,) = module.detect([picture.to(module.device)])
        if epoch in self.epochs:
            if not self.panels:
                self.panels.append(panel_of(None, picture, objects))
            self.panels.append(panel_of(epoch, picture, found))
            publish_figure(trainer, "detection_progress", draw_strip(self.panels, module.class_names), run_folder)
        scores = found["scores"]
        return {"detections": float(len(scores)), "top_score": float(scores.max()) if len(scores) else 0.0}
