import inspect
from collections.abc import MutableMapping
from types import NoneType
from typing import Any

import numpy as np

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
