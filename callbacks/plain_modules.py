"""What callbacks do with modules and data loaders that know nothing of litzoo.

Such a module has `class_names`, and steps that return a dictionary with what `STEP_OUTPUTS` says. Target and index that
a step leaves out are taken from the batch: a dictionary with these keys, or a tuple `(input, target, index)`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor

from litzoo.callbacks.contracts import STEP_OUTPUTS, Part, PredictsLogits, ServesParts
from litzoo.lit_modules.metrics import EpochOutputs


class PlainLoaders:
    """Serves the loaders of a trainer as the parts `train` and `val`, where no datamodule of litzoo does.

    Batches are those of the loaders: with the random transforms of the training data, if there are any.

    Args:
        trainer: Its loaders exist from `on_train_start` on; before, and in a test, the sets are None.
    """

    targets = unlabeled_set = calibration_set = None
    unknown_class_names: Sequence[str] = ()

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer

    @property
    def validates(self) -> bool:
        """Whether there are validation samples."""
        return bool(self.trainer.enable_validation)

    @property
    def train_set(self) -> Any:
        """The training samples."""
        return getattr(self._loader("train"), "dataset", None)

    @property
    def val_set(self) -> Any:
        """The validation samples."""
        return getattr(self._loader("val"), "dataset", None)

    @property
    def eval_batch_size(self) -> int:
        """Samples in a batch."""
        return getattr(self._loader("val"), "batch_size", None) or 1

    def evaluation_batches(self, part: Part, device: torch.device) -> Iterator[Any]:
        """Yields the batches of a part, on a device.

        Raises:
            ValueError: If there is no such loader.
        """
        loader = self._loader(part)
        if loader is None:
            raise ValueError(f"there is no {part} loader: give one to the trainer, or use a datamodule of litzoo")
        for batch in loader:
            yield self.trainer.strategy.batch_to_device(batch, device)

    def true_class_names(self, index: Tensor) -> list[str]:
        """Returns a name for each of the test samples `[n]`, which are of unknown classes."""
        return ["unknown"] * len(index)

    def _loader(self, part: str) -> Any:
        loaders = {"train": self.trainer.train_dataloader, "val": self.trainer.val_dataloaders}.get(part)
        if isinstance(loaders, (list, tuple)) and len(loaders) == 1:
            loaders = loaders[0]
        if isinstance(loaders, (list, tuple, dict)):
            raise ValueError(f"there are {len(loaders)} {part} loaders; callbacks that run the model on them need one")
        return loaders


def parts_of(trainer: Trainer) -> Any:
    """Returns the trainer's datamodule if it is a `ServesParts`, else its loaders in the same form."""
    datamodule = trainer.datamodule  # type: ignore[attr-defined]
    return datamodule if isinstance(datamodule, ServesParts) else PlainLoaders(trainer)


def predicts(module: LightningModule) -> bool:
    """Whether the logits of a module can be computed for any batch."""
    return isinstance(module, PredictsLogits) or is_overridden("predict_step", module, LightningModule)


def completed(outputs: Any, batch: Any) -> dict[str, Any]:
    """Returns the outputs of a step, with target and index from the batch where the step leaves them out.

    Args:
        outputs: Of the step; nothing is added to them.
        batch: A dictionary, or `(input, target, index)` or its beginning.
    """
    found = dict(outputs) if isinstance(outputs, Mapping) else {}
    given = batch if isinstance(batch, Mapping) else {}
    if isinstance(batch, (list, tuple)):
        given = dict(zip(("input", "target", "index"), batch, strict=False))
        if getattr(given.get("index"), "dtype", None) != torch.int64:  # something else, such as weights
            given.pop("index", None)
    return found | {name: given[name] for name in ("target", "index") if name not in found and name in given}


def collect(collected: EpochOutputs, trainer: Trainer, reader: str, outputs: Any, batch: Any, loader: int = 0) -> None:
    """Adds the outputs of a step to those of a whole evaluation.

    Args:
        collected: The outputs so far; it knows what is needed.
        trainer: With a single process, samples without an index are counted; with several, it must be given.
        reader: For the message: "UnknownClassDetector reads the outputs of Net.test_step".
        outputs: Of the step.
        batch: See `completed`.
        loader: Number of the loader that the batch is from; samples of two may have the same index.

    Raises:
        TypeError: If something is missing; the message names all that is needed.
    """
    found = completed(outputs, batch)
    if "index" not in found and trainer.world_size == 1:
        start = sum(map(len, collected.index))  # type: ignore[arg-type]
        outputs_of_samples = (found.get(name) for name in collected.names)
        if (one := next((each for each in outputs_of_samples if isinstance(each, Tensor)), None)) is not None:
            found["index"] = torch.arange(start, start + len(one), device=one.device)
    if any(not isinstance(found.get(name), Tensor) for name in collected.names):
        returned = ", ".join(outputs) if isinstance(outputs, Mapping) else f"a {type(outputs).__name__}"
        raise TypeError(
            f"{reader}, which returns {returned or 'an empty dictionary'}; it needs {', '.join(collected.names)}: "
            f"{STEP_OUTPUTS}"
        )
    collected.update(found, loader)


def reading(callback: object, module: LightningModule, step: str) -> str:
    """Returns the beginning of a message about the outputs of a step."""
    return f"{type(callback).__name__} reads the outputs of {type(module).__name__}.{step}"
