from collections.abc import Iterable
from typing import NamedTuple

from torch import nn

LEAST = 4
"""Stages that a network is divided into if it has as many parts, beside its head."""
Parts = list[tuple[str, nn.Module]]


class Stage(NamedTuple):
    """A part of a network's depth.

    Attributes:
        name: Of its first module with weights, in the network.
        modules: That are its own, those without weights that follow them too.
        weights: What is trained of it.
    """

    name: str
    modules: list[nn.Module]
    weights: list[nn.Parameter]


def stages_of(net: nn.Module) -> list[Stage]:
    """Divides a network into stages, in the order in which it was built: from the input to the head, which is the last.

    A module that is made of others is a stage; layers between such are one together, and end with a pooling or before a
    linear layer. As long as these are fewer than four, that with the most layers is divided further. So a ResNet has
    its stem and four stages, VGG five blocks of convolutions and its linear layers.

    Raises:
        ValueError: If the network's `head` is no module.
    """
    head = getattr(net, "head", None)
    if not isinstance(head, nn.Module):
        raise ValueError(f"a {type(net).__name__} has no stages: its head is no module")
    units = _units((name, child) for name, child in net.named_children() if child is not head)
    while len(units) < LEAST and (widest := max(map(_layers, units), default=0)):
        place = next(number for number, unit in enumerate(units) if _layers(unit) == widest)
        parts = [part for name, module in units[place] for part in _parts(name, module)]
        units[place : place + 1] = _units(parts)
    stages = [_stage(unit) for unit in [*units, [("head", head)]]]
    of_stages = {weight for stage in stages for weight in stage.weights}
    # Such as the embedding of positions, which is added to the input.
    stages[0].weights.extend(weight for weight in net.parameters() if weight not in of_stages)
    return stages


def _stage(unit: Parts) -> Stage:
    name = next((name for name, module in unit if _has_weights(module)), unit[0][0])
    modules = [module for _, module in unit]
    return Stage(name, modules, [weight for module in modules for weight in module.parameters()])


def _units(parts: Iterable[tuple[str, nn.Module]]) -> list[Parts]:
    """Puts parts into units with weights, those without to the unit before them, the first ones to the first."""
    units: list[Parts] = []
    waiting: Parts = []
    closed = True
    for name, module in parts:
        if not _has_weights(module):
            (units[-1] if units else waiting).append((name, module))
            closed = closed or "Pool" in type(module).__name__
            continue
        composed = _is_composed(module)
        if closed or composed or isinstance(module, nn.Linear):
            units.append([])
        units[-1] += [*waiting, (name, module)]
        waiting, closed = [], composed
    return units


def _parts(name: str, module: nn.Module) -> Parts:
    if not _is_composed(module):
        return [(name, module)]
    return [(f"{name}.{child_name}", child) for child_name, child in module.named_children()]


def _layers(unit: Parts) -> int:
    """Counts the layers with weights in the modules that a unit can be divided into; 0 if it cannot."""
    composed = [module for _, module in unit if _is_composed(module)]
    return sum(bool(list(layer.parameters(recurse=False))) for module in composed for layer in module.modules())


def _is_composed(module: nn.Module) -> bool:
    return any(True for _ in module.children())


def _has_weights(module: nn.Module) -> bool:
    return any(True for _ in module.parameters())
