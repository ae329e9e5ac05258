"""How a split is recorded in checkpoints and reports, and checked against the split of an earlier run."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

ANOTHER_SPLIT = "the checkpoint was trained on another split of the data"


def fingerprint(**parts: Tensor) -> str:
    """Returns a short hash of named tensors, the same on every platform; equal fingerprints mean equal data.

    Args:
        **parts: Indices or classes (int64), or values (float32), `[n]` each.
    """
    digest = hashlib.sha256()
    for name, part in parts.items():
        digest.update(name.encode() + len(part).to_bytes(8, "little"))
        digest.update(part.numpy().astype("<f4" if part.is_floating_point() else "<i8").tobytes())
    return digest.hexdigest()[:16]


def describe(option: Any) -> str:
    """Formats the value of an option for messages and checkpoints: an object as its class with its arguments."""
    if not hasattr(option, "__dict__"):
        return str(option)
    return f"{type(option).__name__}({', '.join(f'{name}={value}' for name, value in vars(option).items())})"


def changed_options(saved: Mapping[str, Any], options: Mapping[str, str]) -> list[str]:
    """Returns the options of the split that differ from those in a checkpoint, one text each.

    An option that the checkpoint does not have is newer than it, and left out.
    """
    before = saved.get("options", {})
    return [
        f"data.{name} was {before.get(name)}, is {value}"
        for name, value in options.items()
        if value != before.get(name)
    ]


def require_same_options(saved: Mapping[str, Any], options: Mapping[str, str]) -> None:
    """Checks that a checkpoint was trained with the present options of the split.

    Args:
        saved: The datamodule's state in the checkpoint: the `options` of its split.
        options: Of the present split, name -> value.

    Raises:
        ValueError: If some differ; the message names them.
    """
    if changed := changed_options(saved, options):
        raise ValueError(f"{ANOTHER_SPLIT}: {_with_remedy(changed)}")


def require_same_split(saved: Mapping[str, Any], fingerprint: str, options: Mapping[str, str]) -> None:
    """Checks that a checkpoint was trained on the present split.

    Args:
        saved: The datamodule's state in the checkpoint: its `fingerprint` and the `options` of its split.
        fingerprint: Of the present split.
        options: Of the present split, name -> value.

    Raises:
        ValueError: If the fingerprints differ; the message names the options that differ.
    """
    if saved["fingerprint"] == fingerprint:
        return
    changed = changed_options(saved, options) or ["all options are equal, but the files have changed"]
    raise ValueError(
        f"{ANOTHER_SPLIT}: {_with_remedy(changed)} (its split has the fingerprint {saved['fingerprint']}, this one "
        f"{fingerprint})"
    )


def _with_remedy(changed: Sequence[str]) -> str:
    remedy = "Use the data options of that training, for example with the config.yaml beside the checkpoint"
    if all(each.startswith("data.corrections ") for each in changed):
        remedy = (
            "`litzoo test` and `litzoo predict` take a checkpoint with other corrections; to train with them, start a "
            "new run"
        )
    return f"{'; '.join(changed)}. {remedy}"
