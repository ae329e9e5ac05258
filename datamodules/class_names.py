from collections.abc import Sequence


def position_of(option: str, name: int | str, names: Sequence[str]) -> int:
    """Finds a class by its name; a whole number that is no name is a position.

    Digits are called by their numbers: `7` is the seven, also where only some of the digits are known.

    Args:
        option: Where the name was given, for the message.
        name: Of the class.
        names: Of all classes, in the order of their targets.

    Raises:
        ValueError: If there is no such class.
    """
    if str(name) in names:
        return names.index(str(name))
    if isinstance(name, int) and 0 <= name < len(names):
        return name
    raise ValueError(f"{option}: there is no class {name!r}; the classes are {', '.join(names)}")
