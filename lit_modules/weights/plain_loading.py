"""Safe loading of hyperparameters: a checkpoint may name code, which building its module would import and call."""

import inspect
import os
import re
import sys
from collections.abc import Collection, Iterator, Mapping, MutableMapping
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from litzoo.lit_modules.mixing import BatchMix

OBJECTS = ("loss", "mix", "optimizer", "pseudo_labels", "scheduler")
"""Hyperparameters that are objects if the module is created in Python, and dictionaries on the command line."""
HYPERPARAMETERS = ("hyper_parameters", "hparams", "module_arguments")
"""Keys under which Lightning looks for hyperparameters in a checkpoint; old versions wrote the latter two."""
PLAIN = re.compile(r"[\w +-]*")
INSTANTIATOR = "lightning.pytorch.cli.instantiate_module"
"""Function that every checkpoint of the command line names."""
ALLOWED_CLASSES = (nn.Module, Optimizer, LRScheduler, BatchMix)


def keep_plain(hparams: MutableMapping[str, Any]) -> None:
    """Removes objects from hyperparameters, so that checkpoints load with `weights_only=True`.

    The command line passes losses and optimizers as plain dictionaries, which stay. In Python they are objects: pass
    them to `load_from_checkpoint` again where they matter.
    """
    for name, value in list(hparams.items()):
        if isinstance(value, np.generic):
            hparams[name] = value.item()
        elif name in OBJECTS and not isinstance(value, (dict, str, NoneType)):
            del hparams[name]


def own_arguments(owner: type, base: type) -> set[str]:
    """Returns the constructor arguments of a class and of its base classes, up to but not including `base`."""
    names: set[str] = set()
    for each in owner.__mro__[: owner.__mro__.index(base)]:
        if "__init__" in vars(each):
            parameters = inspect.signature(vars(each)["__init__"]).parameters.values()
            names |= {one.name for one in parameters if one.kind is not one.VAR_KEYWORD}
    return names - {"self"}


def refuse_foreign_code(
    origin: str, checkpoint: Mapping[str, Any], trusted: Collection[str] = (), given: Collection[str] = ()
) -> None:
    """Raises if a checkpoint's hyperparameters name code other than classes that modules are built of.

    Such classes (networks, losses, optimizers) are allowed if they are imported already, since importing runs code, and
    so does calling a function with arguments from a file. Any other text with more than word characters may be the path
    of code, a file with options, or YAML that contains either: it is allowed only if the user gave it too.

    Args:
        origin: The option or file that named the checkpoint, for the message.
        checkpoint: Its content.
        trusted: Texts in the user's own options.
        given: Hyperparameters that the user replaces.

    Raises:
        ValueError: If there is such a text; the message quotes it.
    """
    for key in HYPERPARAMETERS:
        for text in texts(checkpoint.get(key), {"class_names", *given}):
            if text not in trusted and text != INSTANTIATOR and not _is_harmless(text):
                raise ValueError(
                    f"{origin}: its hyperparameters name {text[:80]!r}, but a checkpoint may only name networks, "
                    "losses, optimizers and the like that are imported already; if you trust it, import that class, or "
                    "pass that hyperparameter again (on the command line: use the config.yaml beside the checkpoint)"
                )


def texts(options: Any, skip: Collection[str] = ()) -> Iterator[str]:
    """Yields all strings in nested options, except under some keys at the top level."""
    if isinstance(options, Mapping):
        for name, value in options.items():
            if name not in skip:
                yield from texts(value)
    elif isinstance(options, (list, tuple, set, frozenset)):
        for value in options:
            yield from texts(value)
    elif isinstance(options, str):
        yield options


def read_content(checkpoint: Any) -> dict[str, Any]:
    """Reads a checkpoint, a path, URL or open file, with `weights_only=True`; an open file keeps its position."""
    if isinstance(checkpoint, (str, Path)):
        return TorchCheckpointIO().load_checkpoint(checkpoint, weights_only=True)
    position = checkpoint.tell()
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    checkpoint.seek(position)
    return content


def _is_harmless(text: str) -> bool:
    """Whether a text is a plain word, or the path of an allowed class that is imported already."""
    if os.path.isfile(text):  # jsonargparse would read options from it
        return False
    if PLAIN.fullmatch(text):
        return True
    names = text.split(".")
    for end in range(len(names) - 1, 0, -1):
        if found := sys.modules.get(".".join(names[:end])):
            for name in names[end:]:
                found = getattr(found, name, None)
            return isinstance(found, type) and issubclass(found, ALLOWED_CLASSES)
    return False
