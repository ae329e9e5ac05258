"""Division of a network into stages, for freezing and unfreezing them one by one."""

from collections.abc import Iterable
from typing import NamedTuple

from torch import nn

MIN_STAGES = 4
"""Stages, without the head, that a network with enough layers is divided into at least."""
Parts = list[tuple[str, nn.Module]]


class Stage(NamedTuple):
    """Consecutive layers of a network.

    Attributes:
        name: Name of its first module with weights.
        modules: Its modules, including those without weights that follow.
        weights: Its parameters.
    """

    name: str
    modules: list[nn.Module]
    weights: list[nn.Parameter]


def stages_of(net: nn.Module) -> list[Stage]:
    """Divides a network into stages from the input to the head, in the order in which its modules were added.

    A module with submodules is a stage; consecutive layers between such modules form one, which ends after a pooling
    layer or before a linear layer. While there are fewer than four, the stage with the most layers is divided further.
    A ResNet has its stem and four stages, a VGG five blocks of convolutions and its linear layers.

    Raises:
        ValueError: If the network has no module `head`.
    """
    head = getattr(net, "head", None)
    if not isinstance(head, nn.Module):
        raise ValueError(f"a {type(net).__name__} has no stages: its head is no module")
    groups = _group((name, child) for name, child in net.named_children() if child is not head)
    while len(groups) < MIN_STAGES and (largest := max(map(_divisible_layers, groups), default=0)):
        place = next(number for number, group in enumerate(groups) if _divisible_layers(group) == largest)
        parts = [part for name, module in groups[place] for part in _children(name, module)]
        groups[place : place + 1] = _group(parts)
    stages = [_stage(group) for group in [*groups, [("head", head)]]]
    in_stages = {weight for stage in stages for weight in stage.weights}
    # Parameters outside modules, such as a position embedding, act on the input.
    stages[0].weights.extend(weight for weight in net.parameters() if weight not in in_stages)
    return stages


def _stage(group: Parts) -> Stage:
    name = next((name for name, module in group if _has_weights(module)), group[0][0])
    modules = [module for _, module in group]
    return Stage(name, modules, [weight for module in modules for weight in module.parameters()])


def _group(parts: Iterable[tuple[str, nn.Module]]) -> list[Parts]:
    """Groups modules; those without weights join the group before them, or the first group."""
    groups: list[Parts] = []
    leading: Parts = []
    closed = True
    for name, module in parts:
        if not _has_weights(module):
            (groups[-1] if groups else leading).append((name, module))
            closed = closed or "Pool" in type(module).__name__
            continue
        composite = _is_composite(module)
        if closed or composite or isinstance(module, nn.Linear):
            groups.append([])
        groups[-1] += [*leading, (name, module)]
        leading, closed = [], composite
    return groups


def _children(name: str, module: nn.Module) -> Parts:
    if not _is_composite(module):
        return [(name, module)]
    return [(f"{name}.{child_name}", child) for child_name, child in module.named_children()]


def _divisible_layers(group: Parts) -> int:
    """Counts the layers with weights inside the composite modules of a group; 0 if it cannot be divided."""
    composite = [module for _, module in group if _is_composite(module)]
    return sum(bool(list(layer.parameters(recurse=False))) for module in composite for layer in module.modules())


def _is_composite(module: nn.Module) -> bool:
    return any(True for _ in module.children())


def _has_weights(module: nn.Module) -> bool:
    return any(True for _ in module.parameters())
