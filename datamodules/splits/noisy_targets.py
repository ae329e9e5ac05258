"""Wrong labels in the parts of a training set: simulated, or given by a file."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from litzoo.datamodules.batch import UNKNOWN
from litzoo.datamodules.splits.core import ClassName, Split
from litzoo.datamodules.splits.file_noise import FileNoise
from litzoo.datamodules.splits.human_noise import HumanNoise
from litzoo.datamodules.splits.label_noise import LabelNoise, corrupt
from litzoo.datamodules.splits.record import describe

Noise: TypeAlias = LabelNoise | HumanNoise | FileNoise


def noisy_targets(
    noise: Noise | None,
    clean: Tensor,
    split: Split,
    noisy_val: bool,
    seed: int,
    class_names: Sequence[str],
    lookalikes: Mapping[ClassName, ClassName],
    given_targets: Callable[[HumanNoise | FileNoise], Tensor],
) -> Tensor:
    """Returns the targets of the full training set, int64 `[N]`, wrong ones in the training part.

    Args:
        noise: The label noise; `None` for none.
        clean: Targets as in the files, `[N]`.
        split: The split.
        noisy_val: Whether the validation part has wrong targets too.
        seed: Seed of simulated noise.
        class_names: Names of the known classes.
        lookalikes: Pairs of similar classes, for `AsymmetricNoise`.
        given_targets: Returns the targets that a file gives the labeled samples.

    Raises:
        ValueError: If a class is left without a training sample, or a file gives samples an unknown class.
    """
    targets = clean.clone()
    noisy = {3: split.train, 4: split.val} if noisy_val else {3: split.train}
    if isinstance(noise, HumanNoise | FileNoise):
        given = given_targets(noise)
        if unknown := int((given[torch.cat([*noisy.values()])] == UNKNOWN).sum()):
            raise ValueError(
                f"data.label_noise {type(noise).__name__} labels {unknown} training samples with a class that is not "
                "in data.known_classes: leave that option out"
            )
        for part in noisy.values():
            targets[part] = given[part]
    elif noise is not None:
        transitions = noise.transitions(class_names, dict(lookalikes))
        for stream, part in noisy.items():
            targets[part] = corrupt(clean[part], transitions, seed, part=stream)
    counts = torch.bincount(targets[split.train], minlength=len(class_names)).tolist()
    if 0 in counts:
        raise ValueError(
            f"data.label_noise {describe(noise)} leaves no training sample with the label "
            f"{class_names[counts.index(0)]!r}: lower its rate"
        )
    return targets
