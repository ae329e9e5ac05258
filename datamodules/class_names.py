from collections.abc import Collection, Sequence


def position_of(option: str, name: str | int, names: Sequence[str]) -> int:
    """Finds a class by its name; where no class is called by a number, a whole number is a position.

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
    if isinstance(name, int) and 0 <= name < len(names) and not any(each.isdigit() for each in names):
        return name
    raise ValueError(f"{option}: there is no class {name!r}; the classes are {', '.join(names)}")


def positions_of(option: str, given: Collection[str | int], names: Sequence[str]) -> list[int]:
    """Finds several classes.

    Raises:
        ValueError: If there is no such class, or one is given twice.
    """
    positions: list[int] = []
    for name in given:
        position = position_of(option, name, names)
        if position in positions:
            raise ValueError(f"{option}: {list(given)} names the class {names[position]!r} twice")
        positions.append(position)
    return positions
