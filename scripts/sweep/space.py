"""The search space of `litzoo sweep`, read from YAML."""

import difflib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from litzoo.scripts.cli.arguments import check_yaml, shorten

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

RESERVED = ("experiment", "ckpt_path", "resume", "test_after_fit", "trainer.enable_progress_bar")
"""Options of `litzoo fit` that the sweep sets itself."""
KINDS = ("uniform", "log", "int", "choice")
_EXAMPLES = "{uniform: [0, 0.5]}, {log: [0.0001, 0.1]}, {int: [16, 256]} or {choice: [a, b]}"


class Dimension(NamedTuple):
    """One searched value, which sets one option of `litzoo fit`, or several.

    Attributes:
        options: Their names without `--`.
        kind: `uniform`, `log`, `int` or `choice`.
        values: The ends of the range, with the step of an `int`; or the choices, as on the command line.
    """

    options: tuple[str, ...]
    kind: str
    values: tuple[Any, ...]

    @property
    def name(self) -> str:
        """The name that the YAML gives it."""
        return ", ".join(self.options)

    @property
    def text(self) -> str:
        """What the YAML says, on one line."""
        return f"{{{self.kind}: [{', '.join(map(str, self.values))}]}}"

    def examples(self) -> tuple[Any, ...]:
        """Returns both ends, or all choices."""
        return self.values if self.kind == "choice" else self.values[:2]

    def words(self, value: Any) -> list[str]:
        """Returns the words of the command line that give its options a value."""
        return [f"--{option}={as_word(value)}" for option in self.options]

    def distribution(self) -> "BaseDistribution":
        """Returns it in Optuna's terms."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.kind == "choice":
            return CategoricalDistribution(self.values)
        if self.kind == "int":
            return IntDistribution(self.values[0], self.values[1], step=self.values[2])
        return FloatDistribution(self.values[0], self.values[1], log=self.kind == "log")


def as_word(value: Any) -> str:
    """Returns a value as a word of the command line: text as it is, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def read_space(path: Path) -> list[Dimension]:
    """Reads a search space.

    Keys are options as on the command line, such as `model.optimizer.lr`, or nested as in a config. Several options,
    separated by commas, get the same value.

    Args:
        path: A YAML file.

    Raises:
        ValueError: The message names the file, the option and what it takes.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(
            f"--space {path}: cannot be read ({error.strerror}); name a YAML file such as "
            "`model.optimizer.lr: {log: [0.0001, 0.1]}`"
        ) from error
    try:
        check_yaml(text)
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(f"--space {path}: is no YAML that can be read: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or not content:
        held = "nothing" if not content else shorten(repr(content))
        raise ValueError(f"--space {path}: holds {held}; write options, such as `model.dropout: {{uniform: [0, 0.5]}}`")
    try:
        space = list(_dimensions(content, ""))
        _refuse_repeated(space)
    except ValueError as error:
        raise ValueError(f"--space {path}: {error}") from error
    return space


def _dimensions(content: Mapping[Any, Any], prefix: str) -> Iterator[Dimension]:
    for key, value in content.items():
        name = prefix if key == "init_args" else f"{prefix}.{key}".lstrip(".")
        if isinstance(value, dict) and set(value) & set(KINDS):
            yield _dimension(name, value)
        elif isinstance(value, dict) and value:
            yield from _dimensions(value, name)
        else:
            nearest = difflib.get_close_matches(str(key), KINDS, n=1)
            hint = f"did you mean {nearest[0]}" if nearest else f"write a range or choices: {_EXAMPLES}"
            raise ValueError(f"{name}: {shorten(repr(value))} is not searched; {hint}")


def _dimension(name: str, content: Mapping[str, Any]) -> Dimension:
    options = tuple(part.strip().removeprefix("--") for part in name.split(","))
    kind, given = next(iter(content.items()))
    if len(content) > 1 or not all(options):
        raise ValueError(f"{name}: {shorten(str(dict(content)))} is not one range; write one of {_EXAMPLES}")
    if not isinstance(given, list):
        raise ValueError(f"{name}: {kind} takes a list, not {shorten(repr(given))}; write one of {_EXAMPLES}")
    if kind == "choice":
        words = tuple(map(as_word, given))
        if len(words) < 2 or len(set(words)) < len(words):
            found = "has one twice" if len(set(words)) < len(words) else "takes at least two"
            raise ValueError(f"{name}: choice: {shorten(str(given))} {found}; give different values, or none")
        return Dimension(options, kind, words)
    return Dimension(options, kind, _range(name, kind, given))


def _range(name: str, kind: str, given: list[Any]) -> tuple[Any, ...]:
    if not 2 <= len(given) <= 2 + (kind == "int"):
        step = ", and perhaps a step" if kind == "int" else ""
        raise ValueError(f"{name}: {kind}: {shorten(str(given))} has {len(given)} values; give [lowest, highest]{step}")
    numbers = [_number(name, kind, value) for value in given]
    low, high = numbers[:2]
    if not low < high:
        raise ValueError(f"{name}: {kind}: {given} is an empty range; give [lowest, highest], the first one smaller")
    if kind == "log" and low <= 0:
        raise ValueError(
            f"{name}: log: {given} begins at {low:g}, which has no logarithm; begin above 0, or write uniform"
        )
    if kind == "int":
        first, last, pace = (int(number) for number in [*numbers, 1][:3])
        if pace < 1 or (last - first) % pace:
            raise ValueError(f"{name}: int: {given}: the step has to divide {last - first}, and be at least 1")
        return first, last, pace
    return low, high


def _number(name: str, kind: str, value: Any) -> float:
    """Returns a number; YAML takes `1e-4`, without a dot, for text."""
    try:
        number = float("nan" if isinstance(value, bool) else value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or (kind == "int" and number != int(number)):
        raise ValueError(f"{name}: {kind}: {shorten(repr(value))} is no {'integer' if kind == 'int' else 'number'}")
    return number


def _refuse_repeated(space: list[Dimension]) -> None:
    seen: set[str] = set()
    for option in (option for dimension in space for option in dimension.options):
        if option in seen:
            raise ValueError(f"{option}: is searched twice; remove one")
        seen.add(option)
