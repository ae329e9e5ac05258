"""Runs a model on a part of the training set, from within a callback."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from rich.progress import Progress
from torch import Tensor, nn

from litzoo.callbacks.contracts import Part, PredictsLogits
from litzoo.callbacks.plain_modules import collect, parts_of
from litzoo.lit_modules.metrics import EpochOutputs

_PART_NAMES = {"train": "training", "val": "validation", "calibration": "calibration", "unlabeled": "unlabeled"}


def evaluate_part(
    trainer: Trainer,
    module: LightningModule,
    part: Part,
    purpose: str = "scores",
    features: bool = False,
    test_time: bool = False,
    extras: Sequence[str] = (),
    observe: Callable[[Tensor], dict[str, Tensor]] | None = None,
) -> dict[str, Tensor]:
    """Runs a model in evaluation mode on all samples of a part of the training set.

    Every process has to call it.

    Args:
        trainer: Its datamodule, precision and processes are used.
        module: The model; it may be another one than the trainer's. Its training modes are restored.
        part: Which part of the split.
        purpose: What is computed, for the progress bar.
        features: Whether to return the module's features too.
        test_time: Whether to compute as tests and predictions do, with test-time augmentation and temperature, if
            `features_and_logits` of the module has a parameter `test_time`. A module without `features_and_logits`
            always does: its `predict_step` is called.
        extras: Names of what `observe` returns.
        observe: Computes further values `[B, ...]` of a batch's inputs, which are returned too.

    Returns:
        `index` int64 `[N]`, `logits` float32 `[N, K]`, `target` int64 `[N]` (not for the unlabeled part) and, if
        requested, `features` float32 `[N, D]`: each sample once, in the order of `index`, the same on every process.
    """
    names = ["logits", *extras, *(["features"] if features else []), *(["target"] if part != "unlabeled" else [])]
    if not isinstance(module, PredictsLogits):
        return _run(trainer, module, part, purpose, features, names, lambda batch: module.predict_step(batch, 0))
    compute: Any = module.features_and_logits
    options = test_time_option(module) if test_time else {}

    def evaluate(batch: Any) -> dict[str, Tensor]:
        extra, logits = compute(batch["input"], **options)
        return {**extra, "logits": logits.float(), **(observe(batch["input"]) if observe is not None else {})}

    return _run(trainer, module, part, purpose, features, names, evaluate)


def test_time_option(module: Any) -> dict[str, bool]:
    """Returns the argument with which `features_and_logits` of a module computes as tests do; none if it has none."""
    return {"test_time": True} if "test_time" in inspect.signature(module.features_and_logits).parameters else {}


def predict_part(trainer: Trainer, module: LightningModule, part: Part, *names: str) -> dict[str, Tensor]:
    """Runs the `predict_step` of a model in evaluation mode on all samples of a part of the training set.

    Every process has to call it.

    Args:
        trainer: Its datamodule, precision and processes are used.
        module: The model. Its training modes are restored.
        part: Which part of the split, not the unlabeled one.
        *names: Keys of the outputs of `predict_step` to return.

    Returns:
        `index` int64 `[N]`, `target` `[N]` and the outputs `[N, ...]`: each sample once, the same on every process.
    """
    wanted, features = [*names, "target"], "features" in names
    return _run(trainer, module, part, "predictions", features, wanted, lambda batch: module.predict_step(batch, 0))


def options_at_test_time(module: LightningModule) -> dict[str, Any]:
    """Returns the options of a module that change the logits of tests and predictions but not its weights."""
    options: dict[str, Any] = {
        "posthoc_tau": float(getattr(module, "posthoc_tau", 0.0)),
        "tta": str(getattr(module, "tta", "none")),
        "temperature": float(getattr(module, "temperature", 1.0)),
    }
    bias = getattr(module, "class_bias", None)
    return options if bias is None else {**options, "class_bias": bias.tolist()}


def _run(
    trainer: Trainer,
    module: LightningModule,
    part: Part,
    purpose: str,
    features: bool,
    names: list[str],
    evaluate: Callable[[Any], Any],
) -> dict[str, Tensor]:
    datamodule = parts_of(trainer)
    reader = f"The {purpose} of {_PART_NAMES[part]} samples are computed from {type(module).__name__}.predict_step"
    outputs = EpochOutputs(*names).to(module.device)
    with evaluation_mode(module, features), torch.no_grad(), trainer.precision_plugin.forward_context():
        samples = getattr(datamodule, f"{part}_set")
        count = len(samples) if hasattr(samples, "__len__") else 0
        total = -(-count // (trainer.world_size * datamodule.eval_batch_size)) or None
        hidden = trainer.progress_bar_callback is None or not trainer.is_global_zero
        with Progress(transient=True, disable=hidden) as progress:
            task = progress.add_task(f"{purpose} of {_PART_NAMES[part]} samples", total=total)
            for batch in datamodule.evaluation_batches(part, module.device):
                collect(outputs, trainer, reader, evaluate(batch), batch)
                progress.advance(task)
    return outputs.gather()


@contextmanager
def evaluation_mode(module: nn.Module, features: bool = False) -> Iterator[None]:
    """Puts a module into evaluation mode, with or without features, and restores the mode of each submodule."""
    modes = [(part, part.training) for part in module.modules()]
    keeps_features = getattr(module, "keeps_features", None)
    module.eval()
    if keeps_features is not None:  # a module of others may have no such attribute
        module.keeps_features = features  # type: ignore[assignment]
    try:
        yield
    finally:
        if keeps_features is not None:
            module.keeps_features = keeps_features
        for part, mode in modes:
            part.training = mode
