"""Whether feature vectors are on scales from which a network learns badly."""

import torch
from torch import Tensor, nn

SAMPLES = 500
"""Number of samples from which the scales are measured, evenly spread."""
LARGE = 10
"""Mean or standard deviation from which on a feature is far from standardised."""
RATIO = 100
"""Ratio of two standard deviations from which on the smaller feature is lost."""
_NORMALISATIONS = (nn.BatchNorm1d, nn.SyncBatchNorm, nn.LayerNorm, nn.RMSNorm, nn.GroupNorm)


def unsuitable_scales(rows: Tensor) -> str:
    """Describes what is wrong with the scales of feature vectors `[N, F]`; an empty text if nothing is.

    Features of one or two values, such as flags, are compared with no others: a rare one has a small deviation.
    """
    rows = rows[:: -(-len(rows) // SAMPLES)].double()
    means, deviations = rows.mean(dim=0), rows.std(dim=0, correction=0)
    far, place = torch.maximum(means.abs(), deviations).max(dim=0)
    if far > LARGE:
        return (
            f"feature {int(place)} has a mean of {float(means[place]):,.4g} and a standard deviation of "
            f"{float(deviations[place]):,.4g}"
        )
    ordered = rows.sort(dim=0).values
    several = (ordered.diff(dim=0) != 0).sum(dim=0) > 1
    if not several.any():
        return ""
    compared = deviations[several]
    if compared.max() / compared.min() > RATIO:
        positions = several.nonzero()[:, 0]
        small, large = (int(positions[each]) for each in (compared.argmin(), compared.argmax()))
        return (
            f"feature {small} has a standard deviation of {float(deviations[small]):,.4g}, feature {large} one of "
            f"{float(deviations[large]):,.4g}"
        )
    return ""


def normalises_first(module: nn.Module | None) -> bool:
    """Whether the first layer of a module's network normalises, so that the scales of its inputs do not matter."""
    layers = getattr(module, "net", module)
    leaves = [] if layers is None else [each for each in layers.modules() if not any(each.children())]
    return bool(leaves) and isinstance(leaves[0], _NORMALISATIONS)
