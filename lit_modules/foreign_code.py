"""Code that a checkpoint names: whoever builds a module from its hyperparameters imports it and calls it."""

import os
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lit_modules.mixing import BatchMix

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
