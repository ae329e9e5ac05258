"""The options and the final metrics of a run, for TensorBoard's HParams tab and for the parameters of other loggers."""

import inspect
from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn
from torch.utils.tensorboard.summary import hparams

from litzoo.callbacks.files import read_json, run_folder_of

Option = str | float | int | bool
"""A value that TensorBoard can sort or filter by."""
SHOWN_GROUP = "best"
"""Group of the scalars of `best.ckpt`: `best/val/acc`. TensorBoard shows the first metrics by name, so these."""


class Hyperparameters(Callback):
    """Logs what distinguishes a run, and its final metrics, so that runs can be sorted and filtered.

    TensorBoard shows the options and the last value of each metric in its HParams tab, for all runs below `--logdir`.
    The group `best` has the loss and the module's primary metric, validation and test, of the weights in `best.ckpt`,
    as in `metrics.json`; `val/...` is the last epoch. Other loggers, such as Lightning's CSV and MLflow loggers, get
    the options as their parameters.

    Args:
        options: Name -> value, as `litzoo fit` gives. By default the names of module, datamodule and loss, and those
            hyperparameters of the module that differ from the defaults of its class.
    """

    def __init__(self, options: Mapping[str, Option] | None = None) -> None:
        self.options = None if options is None else dict(options)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Logs the options, before Lightning writes its `hparams.yaml`."""
        if stage != "fit" or not trainer.is_global_zero:
            return
        options = options_in_python(trainer, pl_module) if self.options is None else dict(self.options)
        if isinstance(loss := getattr(pl_module, "loss", None), nn.Module):
            options.setdefault("model.loss", type(loss).__name__)
        for logger in trainer.loggers:
            logger.log_hyperparams(options)
            if isinstance(logger, TensorBoardLogger):
                # Without an experiment summary, which TensorBoard reads from one run only, it collects the columns
                # from all runs.
                _, start, _ = hparams(options, {})
                logger.experiment.file_writer.add_summary(start)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs the validation metrics of the best epoch, which `RunSummary` has written, and marks the run as ended."""
        self._log_best(trainer, pl_module, "val")
        for logger in _boards(trainer):
            _, _, end = hparams({}, {})
            logger.experiment.file_writer.add_summary(end)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs the test metrics of the best epoch, which `RunSummary` has written."""
        self._log_best(trainer, pl_module, "test")

    def _log_best(self, trainer: Trainer, module: LightningModule, part: str) -> None:
        metrics = read_json(run_folder_of(trainer) / "metrics.json")
        for name in {"loss": None, getattr(module, "primary_metric", "loss"): None}:
            for logger in _boards(trainer):
                if (value := metrics.get(f"{part}/{name}")) is not None:
                    logger.experiment.add_scalar(f"{SHOWN_GROUP}/{part}/{name}", value, trainer.global_step)


def _boards(trainer: Trainer) -> list[TensorBoardLogger]:
    loggers = trainer.loggers if trainer.is_global_zero else []
    return [logger for logger in loggers if isinstance(logger, TensorBoardLogger)]


def signature_defaults(owner: type) -> dict[str, Any]:
    """Returns the default of each parameter of a class, also of those that reach a base class as keywords."""
    defaults: dict[str, Any] = {}
    for each in inspect.getmro(owner):
        if "__init__" in vars(each) and each is not object:
            for name, parameter in inspect.signature(each.__init__).parameters.items():  # type: ignore[misc]
                defaults.setdefault(name, parameter.default)
    return defaults


def same_option(value: Any, default: Any) -> bool:
    """Whether a value, perhaps read from YAML, equals a default; lists and tuples are alike."""
    if isinstance(value, list | tuple) and isinstance(default, list | tuple):
        return len(value) == len(default) and all(map(same_option, value, default))
    try:
        return bool(value == default)
    except (TypeError, ValueError, RuntimeError):  # arrays and tensors compare element by element
        return False


def as_option(value: Any) -> Option:
    """Returns a value as TensorBoard can show it: numbers and words as they are, others as text."""
    return value if isinstance(value, str | float | int | bool) else str(value)


def options_in_python(trainer: Trainer, module: LightningModule) -> dict[str, Option]:
    """Returns the options of a training that was not started by `litzoo fit`."""
    datamodule = trainer.datamodule  # type: ignore[attr-defined]
    options: dict[str, Option] = {"model": type(module).__name__}
    if datamodule is not None:
        options["data"] = type(datamodule).__name__
    for prefix, owner in (("model", module), ("data", datamodule)):
        defaults = signature_defaults(type(owner))
        for name, value in dict(getattr(owner, "hparams", {})).items():
            plain = isinstance(value, str | float | int | bool | list | tuple)
            if plain and not same_option(value, defaults.get(name, inspect.Parameter.empty)):
                options[f"{prefix}.{name}"] = as_option(value)
    return options
