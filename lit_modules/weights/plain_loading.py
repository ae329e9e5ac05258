"""Code that a checkpoint names: whoever builds a module from its hyperparameters imports it and calls it."""

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
from lightning.pytorch import LightningModule
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from litzoo.lit_modules.mixing import BatchMix

OBJECTS = ("loss", "mix", "optimizer", "pseudo_labels", "scheduler")


def keep_plain(hparams: MutableMapping[str, Any]) -> None:
    """Leaves only plain values among hyperparameters, so that a checkpoint loads with `weights_only=True`.

    The command line hands losses and optimizers over as plain dictionaries, which stay. In Python they are objects:
    they are left out, and `load_from_checkpoint` is given them again where they matter.
    """
    for name, value in list(hparams.items()):
        if isinstance(value, np.generic):
            hparams[name] = value.item()
        elif name in OBJECTS and not isinstance(value, (dict, str, NoneType)):
            del hparams[name]


def own_arguments(owner: type, base: type) -> set[str]:
    """Names the arguments of the constructors of a class and of those that it inherits from, up to a base class."""
    names: set[str] = set()
    for each in owner.__mro__[: owner.__mro__.index(base)]:
        if "__init__" in vars(each):
            parameters = inspect.signature(vars(each)["__init__"]).parameters.values()
            names |= {one.name for one in parameters if one.kind is not one.VAR_KEYWORD}
    return names - {"self"}


HYPERPARAMETERS = ("hyper_parameters", "hparams", "module_arguments")
"""Where Lightning looks for a module's arguments in a checkpoint; the latter two are those of its old versions."""
PLAIN = re.compile(r"[\w +-]*")
INSTANTIATOR = "lightning.pytorch.cli.instantiate_module"  # in every checkpoint that the command line has made
BUILT = (nn.Module, Optimizer, LRScheduler, BatchMix)


def refuse_foreign_code(
    asked: str, checkpoint: Mapping[str, Any], trusted: Collection[str] = (), given: Collection[str] = ()
) -> None:
    """Refuses a checkpoint that names code beyond the classes which a module is built of.

    These may be named if they are imported already: an import runs code, and so does a function that is called with
    arguments from a file. Whatever else is more than a word could be a path of code, a file with options or YAML that
    holds either; only what the user has named too goes through.

    Args:
        asked: What names the checkpoint, for the message.
        checkpoint: Its content.
        trusted: What the user's own options say.
        given: Hyperparameters whose values in the checkpoint are not used.

    Raises:
        ValueError: If there is one; the message names it.
    """
    for place in HYPERPARAMETERS:
        for text in texts(checkpoint.get(place), {"class_names", *given}):
            if text not in trusted and text != INSTANTIATOR and not _is_harmless(text):
                raise ValueError(
                    f"{asked}: its hyperparameters name {text[:80]!r}, and a checkpoint may name no code but networks, "
                    "losses, optimizers and the like that are imported already; if you trust it, import that class, or "
                    "give that hyperparameter anew (on the command line: use the config.yaml beside the checkpoint)"
                )


def texts(options: Any, passed_over: Collection[str] = ()) -> Iterator[str]:
    """Yields all texts in nested options, those of some names at the top left out."""
    if isinstance(options, Mapping):
        for name, value in options.items():
            if name not in passed_over:
                yield from texts(value)
    elif isinstance(options, (list, tuple, set, frozenset)):
        for value in options:
            yield from texts(value)
    elif isinstance(options, str):
        yield options


def _is_harmless(text: str) -> bool:
    """Whether a text is a word, or leads without an import to a class of the kinds that modules are built of."""
    if os.path.isfile(text):  # the parser would take options from it
        return False
    if PLAIN.fullmatch(text):
        return True
    names = text.split(".")
    for end in range(len(names) - 1, 0, -1):
        if found := sys.modules.get(".".join(names[:end])):
            for name in names[end:]:
                found = getattr(found, name, None)
            return isinstance(found, type) and issubclass(found, BUILT)
    return False


class PlainLoading(LightningModule):
    """Loads checkpoints without running anything that they bring or name."""

    @classmethod
    def load_from_checkpoint(
        cls,
        checkpoint_path: Any,
        map_location: Any = None,
        hparams_file: str | Path | None = None,
        strict: bool | None = None,
        weights_only: bool | None = True,
        **options: Any,
    ) -> Any:
        """Returns the module in a checkpoint, as Lightning does.

        Args:
            checkpoint_path: A path, a URL or a file that is open for reading.
            map_location: See `torch.load`.
            hparams_file: YAML file whose hyperparameters take the place of those in the checkpoint.
            strict: Whether all weights have to be there and no others.
            weights_only: False also loads objects, which may run any code: for checkpoints of your own.
            **options: Hyperparameters that take the place of those in the checkpoint.

        Raises:
            ValueError: If the checkpoint names a class that is not imported yet.
        """
        if weights_only and hparams_file is None:
            refuse_foreign_code(f"checkpoint {checkpoint_path}", _content(checkpoint_path), given=options)
        return super().load_from_checkpoint(
            checkpoint_path, map_location, hparams_file, strict, weights_only=weights_only, **options
        )


def _content(checkpoint: Any) -> dict[str, Any]:
    if isinstance(checkpoint, (str, Path)):
        return TorchCheckpointIO().load_checkpoint(checkpoint, weights_only=True)
    begin = checkpoint.tell()
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    checkpoint.seek(begin)
    return content
