"""Lists the shipped experiments, and copies one into the working folder.

usage: litzoo configs [PART]              those whose name contains PART, or all, with what each is
       litzoo configs copy NAME [FILE]    writes one to FILE, which ends in .yaml, or to NAME.yaml

Other commands find a shipped experiment by NAME from any folder; a file NAME.yaml in the working folder takes
precedence, and is named if its content is another one.
"""

import difflib
import sys
import warnings
from importlib import resources
from pathlib import Path


def shipped_configs() -> dict[str, Path]:
    """Returns the shipped experiments by name, in alphabetical order."""
    folder = Path(str(resources.files("litzoo.configs")))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_config(given: str) -> str:
    """Returns the path of a config that is given as a path, or by the name of a shipped experiment.

    A file of that name with `.yaml` in the working folder comes first, with a warning if the name was given without
    `.yaml` and the shipped experiment is another one. What is neither is returned as it was given.

    Raises:
        ValueError: If a file without `.yaml` has the name of a shipped experiment, so that either may be meant.
    """
    name = given.removesuffix(".yaml")
    shipped, own = shipped_configs().get(name), Path(f"{name}.yaml")
    if shipped is not None and name == given and Path(given).is_file():
        raise ValueError(
            f"--config {given}: is a shipped experiment, and a file without .yaml in this folder has its name; rename "
            f"the file, or give it as ./{given}"
        )
    if Path(given).is_file():
        return given
    if own.is_file():
        if shipped is not None and own.read_bytes() != shipped.read_bytes():
            # Python shows the same warning once, however often a command looks for its configs.
            warnings.warn(f"--config {given}: {own} in this folder is used, not the shipped experiment", stacklevel=1)
        return str(own)
    return str(shipped or given)


def with_shipped_configs(words: list[str]) -> list[str]:
    """Returns a command line in which each name of a shipped experiment after `--config` or `-c` is its path."""
    found = list(words)
    for position, word in enumerate(words):
        option, equals, value = word.partition("=")
        if option not in ("--config", "-c"):
            continue
        if equals:
            found[position] = f"{option}={find_config(value)}"
        elif position + 1 < len(words):
            found[position + 1] = find_config(words[position + 1])
    return found


def with_configs_first(words: list[str]) -> list[str]:
    """Returns the words of a sub-command with the options before its first configs after them.

    Else the configs would override these options, without a word. Configs that follow other options override them, as
    they stand. A command line without a sub-command at its beginning is returned unchanged.
    """
    names = ("--config", "-c")
    first = next((place for place, word in enumerate(words) if word.partition("=")[0] in names), None)
    if not words or words[0].startswith("-") or first is None:
        return words
    end = first
    while end < len(words) and words[end].partition("=")[0] in names:
        end += 1 if "=" in words[end] else 2
    return words[:1] + words[first:end] + words[1:first] + words[end:]


def nearest_configs(given: str) -> list[str]:
    """Returns the names of shipped experiments that are close to one that is not there."""
    return difflib.get_close_matches(Path(given).stem.lower(), shipped_configs(), n=3, cutoff=0.5)


def main() -> None:
    """Lists or copies."""
    words = sys.argv[2:]
    if {"-h", "--help"} & set(words):
        print(__doc__.strip())
    elif words[:1] == ["copy"] and len(words) in (2, 3):
        print(_copy(*words[1:]))
    elif len(words) > 1 or words == ["copy"]:
        sys.exit(f"litzoo: error: configs takes PART, or copy NAME [FILE]; got {' '.join(words)}")
    else:
        _list(words[0] if words else "")


def _list(part: str) -> None:
    found = {name: path for name, path in shipped_configs().items() if part in name}
    if not found:
        nearest = nearest_configs(part)
        hint = f"; nearest: {', '.join(nearest)}" if nearest else ""
        sys.exit(f"litzoo: error: no shipped experiment has {part!r} in its name{hint}")
    width = max(map(len, found))
    for name, path in found.items():
        first_line = path.read_text(encoding="utf-8").splitlines()[0]
        try:
            print(f"{name:{width}}  {first_line.removeprefix('#').strip()}", flush=True)
        except BrokenPipeError:  # such as of `litzoo configs | head`
            sys.stdout = None  # Python would flush it at its end
            return


def _copy(name: str, file: str | None = None) -> str:
    configs = shipped_configs()
    source = configs.get(name.removesuffix(".yaml"))
    if source is None:
        nearest = nearest_configs(name)
        sys.exit(
            f"litzoo: error: {name!r} is not a shipped experiment; "
            + (f"nearest: {', '.join(nearest)}" if nearest else "`litzoo configs` lists them")
        )
    target = Path(file or source.name)
    if target.suffix not in (".yaml", ".yml"):
        sys.exit(
            f"litzoo: error: configs copy: {file} has no .yaml or .yml at its end: one experiment is copied at a time, "
            f"and FILE, which may be left out, is where to, such as my_{source.stem}.yaml"
        )
    try:
        with target.open("x", encoding="utf-8") as stream:
            stream.write(source.read_text(encoding="utf-8"))
    except FileExistsError:
        sys.exit(f"litzoo: error: {target} is already there; give another file: litzoo configs copy {source.stem} FILE")
    except OSError as error:
        sys.exit(f"litzoo: error: {target} cannot be written: {error.strerror}")
    return f"{target}"
