from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from lightning.pytorch import Callback, LightningModule, Trainer
from matplotlib.figure import Figure
from torch import Tensor

from callbacks.figures import publish_figure
from callbacks.files import run_folder_of
from lit_modules.metrics import EpochOutputs


@runtime_checkable
class NamesClasses(Protocol):
    """A module that knows the names of its classes, in the order of its logits."""

    class_names: Sequence[str]


class ClassifiedTestFigure(Callback, ABC):
    """Draws one figure from the logits and targets of a whole test; base of callbacks that do so.

    Args:
        name: Of the figure.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._outputs = EpochOutputs("logits", "target")

    @abstractmethod
    def draw(self, trainer: Trainer, class_names: Sequence[str], outputs: dict[str, Tensor]) -> Figure:
        """Draws `logits` `[N, K]`, `target` `[N]` and `index` `[N]`: every test sample once, in order."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuses a module that does not classify.

        Raises:
            TypeError: If the module has no `class_names`.
        """
        require_class_names(self, "draws classes", pl_module)

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begins anew, whatever an interrupted test has left."""
        self._outputs.reset()

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keeps what the test step returned."""
        self._outputs.update(outputs)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gathers from all processes, draws and publishes on the first one."""
        run_folder = run_folder_of(trainer)
        outputs = {name: values.cpu() for name, values in self._outputs.gather().items()}
        if trainer.is_global_zero:
            assert isinstance(pl_module, NamesClasses)
            publish_figure(trainer, self.name, self.draw(trainer, pl_module.class_names, outputs), run_folder)


def require_class_names(callback: Callback, purpose: str, module: LightningModule) -> None:
    """Refuses a module that does not classify.

    Raises:
        TypeError: If the module has no `class_names`; the message says what the callback needs them for.
    """
    if not isinstance(module, NamesClasses):
        raise TypeError(
            f"{type(callback).__name__} {purpose}, but {type(module).__name__} has no class_names: remove the callback "
            "or choose a classifier"
        )
