"""What a datamodule knows and a module must be told, without the user writing it down twice."""

import inspect
from importlib import import_module

from lightning.pytorch.cli import LightningArgumentParser

LINKED = ("num_classes", "class_names", "input_shape", "target_mean", "target_std")
"""Attributes of the datamodule that become arguments of the same name of the module."""


def add_links(parser: LightningArgumentParser) -> None:
    """Links each of `LINKED` from the datamodule, once it is there, to the module, and the folder of runs."""
    parser.link_arguments("trainer.default_root_dir", "model.init_args.runs")
    for name in LINKED:
        parser.link_arguments(f"data.{name}", f"model.init_args.{name}", apply_on="instantiate")


def check_links(data_class: type, model_class: type) -> None:
    """Refuses a pair that a link would leave unconnected: jsonargparse itself says nothing and links to nothing.

    Raises:
        ValueError: If one has what the other lacks; the message names both.
    """
    takes = arguments_of(model_class)
    for name in LINKED:
        has = hasattr(data_class, name) or any(name in inspect.get_annotations(owner) for owner in data_class.__mro__)
        if has == (name in takes) or (name == "class_names" and has):
            continue
        raise ValueError(
            f"data {data_class.__name__} and model {model_class.__name__} do not go together: {name!r} is "
            + (
                "told by the first, but no argument of the second's constructor"
                if has
                else "needed by the second, the first has none"
            )
            + ". Pictures go with classifiers, tables with the Regressor, pictures with masks with the "
            "MaskRCNNSegmenter; a class of your own has to declare it, as docs/python.md shows"
        )


def arguments_of(owner_class: type) -> set[str]:
    """Names the arguments of a constructor and of those that its `**options` go to."""
    names: set[str] = set()
    for owner in owner_class.__mro__:
        if "__init__" not in vars(owner):
            continue
        parameters = inspect.signature(vars(owner)["__init__"]).parameters.values()
        open_ended = {parameter.name for parameter in parameters if parameter.kind is parameter.VAR_KEYWORD}
        names |= {parameter.name for parameter in parameters} - open_ended - {"self", "net"}
        if not open_ended:
            break
    return names


def class_at(path: str) -> type:
    """Returns the class at a dotted path."""
    module, name = path.rsplit(".", 1)
    return getattr(import_module(module), name)
