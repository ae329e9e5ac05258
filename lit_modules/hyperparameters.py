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
