"""The classes that a command line names, and the arguments that they take."""

import inspect
from importlib import import_module


def arguments_of(owner_class: type) -> set[str]:
    """Returns the names of the arguments of a constructor and of the base constructors that its `**options` go to."""
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
    """Returns the class at a dotted path, or the class of litzoo if the name has no dots."""
    module, _, name = path.rpartition(".")
    return getattr(import_module(module or "litzoo"), name)
