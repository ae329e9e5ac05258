"""Finds the weights in files as training scripts write them."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

ENTRIES = ("state_dict", "model_state_dict", "model")
"""Entries of a training script's file that hold the weights, beside the state of an optimizer and the like."""
PARALLEL, COMPILED = "module.", "_orig_mod."
"""What `DataParallel` and `DistributedDataParallel` put before all names, and `torch.compile` before those within."""


def plain_state_dict(content: Any) -> dict[str, Tensor] | None:
    """Returns the weights in the content of a file, by the names that the network itself gives them.

    Args:
        content: A state dict, or a dict with one as its entry `state_dict`, `model_state_dict` or `model`.

    Returns:
        Name -> weight without the prefixes `module.` and `_orig_mod.`, or `None` if there are no weights.
    """
    if not isinstance(content, Mapping):
        return None
    nested = [content[name] for name in ENTRIES if isinstance(content.get(name), Mapping)]
    state = nested[0] if nested else content
    if not all(isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()):
        return None
    weights = {name.replace(COMPILED, ""): value for name, value in state.items()}
    while weights and all(name.startswith(PARALLEL) for name in weights):
        weights = {name.removeprefix(PARALLEL): value for name, value in weights.items()}
    return weights
