import argparse
import difflib
import re
import shlex
from pathlib import Path

import torch

from litzoo.scripts.cli.arguments import check_config_files
from litzoo.scripts.configs import find_config, nearest_configs

OURS = (
    "--seed_everything",
    "--experiment",
    "--ckpt_path",
    "--trainer.default_root_dir",
    "--trainer.enable_progress_bar",
)
"""Options of `litzoo fit` that the comparison sets itself."""


def parse(arguments: list[str], description: str) -> argparse.Namespace:
    """Reads the command line of `litzoo.scripts.compare.command`, and checks it before anything is trained.

    Returns:
        The options, and `variants`: name -> options of `litzoo fit`, in the order given.

    Raises:
        ValueError: If a config is not there, a variant or a seed is given twice, a name cannot be one of a folder, or
            the page to write has no place for the result.
    """
    parser = argparse.ArgumentParser(
        "litzoo compare",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("configs", nargs="+", type=Path, help="one variant each; or one, for --variant")
    parser.add_argument(
        "--variant", action="append", default=[], metavar='"NAME: [CONFIG] OPTIONS"', help="a config with these options"
    )
    parser.add_argument("--common", default="", metavar='"OPTIONS"', help="of `litzoo fit`, for all variants")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="of the training (default: 0 1 2)")
    parser.add_argument(
        "--metric", help="of the test or the training (default: test/acc, else test/mask_map_50 or test/rmse)"
    )
    parser.add_argument("--also", nargs="+", default=[], metavar="PREFIX", help="metrics that begin so, a table each")
    parser.add_argument(
        "--curve", nargs="+", default=[], help="metrics that are drawn (default: validation's counterpart of --metric)"
    )
    parser.add_argument("--epoch", choices=("last", "best"), default="last", help="what is tested (default: last)")
    parser.add_argument("--name", help="of the comparison (default: from the configs)")
    parser.add_argument("--jobs", type=int, help="trainings at a time (default: one a GPU, without one 1)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of all runs (default: runs)")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table between the marks of a page")
    asked = parser.parse_args(joined(arguments))
    asked.variants = _variants(asked.configs, asked.variant, shlex.split(asked.common))
    asked.name = asked.name or "_vs_".join(config.stem for config in asked.configs)
    for name in (asked.name, *asked.variants):
        if not re.fullmatch(r"\w[\w.,=+-]*", name):
            raise ValueError(f"name {name!r}: becomes a folder's: letters, digits and any of _ . , = + -")
    if len(set(asked.seeds)) < len(asked.seeds) or min(asked.seeds) < 0:
        raise ValueError(f"--seeds {' '.join(map(str, asked.seeds))}: each once, and none below 0")
    asked.jobs = max(1, torch.cuda.device_count()) if asked.jobs is None else asked.jobs
    if asked.jobs < 1:
        raise ValueError(f"--jobs {asked.jobs}: at least 1")
    if asked.metric and not asked.metric.startswith(("test/", "train/")):
        raise ValueError(
            f"--metric {asked.metric}: takes one of the test, such as test/acc, or training; --curve takes others"
        )
    if asked.write:
        check_page(asked.write, f"compare {asked.name}")
    return asked


def joined(arguments: list[str]) -> list[str]:
    """Ties options of `litzoo` to the option that takes them: argparse would read them as its own."""
    words = iter(arguments)
    return [f"{word}={next(words, '')}" if word in ("--common", "--variant") else word for word in words]


def _variants(configs: list[Path], overrides: list[str], common: list[str]) -> dict[str, list[str]]:
    """Returns name -> options of `litzoo fit`.

    A variant that names a config stands beside those given; one that does not is of the one given, in its place.
    """
    asked = [_override(override) for override in overrides]
    of_the_one = [name for name, config, _ in asked if config is None]
    if of_the_one and len(configs) > 1:
        raise ValueError(
            f"--variant {of_the_one[0]}: goes with one config, here are {len(configs)}: {' '.join(map(str, configs))}; "
            'or name its own, "name: config options"'
        )
    if not of_the_one:
        asked = [*((config.stem, config, []) for config in configs), *asked]
    configs = [check_config(config) for config in configs]
    asked = [(name, config and check_config(config), own) for name, config, own in asked]
    pairs = [(name, ["--config", str(config or configs[0]), *common, *own]) for name, config, own in asked]
    variants: dict[str, list[str]] = {}
    for name, options in pairs:
        require_free(f"variant {name}", options)
        same = next((other for other in variants if other == name or variants[other] == options), None)
        if same is not None:
            raise ValueError(f"variant {name}: is there twice" + ("" if same == name else f", also as {same}"))
        variants[name] = options
    return variants


def require_free(asked: str, options: list[str]) -> None:
    """Refuses options of `litzoo fit` that are not free.

    Raises:
        ValueError: If there is one; the message begins with what was asked.
    """
    if set_here := [word for word in options if word.split("=", 1)[0] in OURS]:
        raise ValueError(f"{asked}: {set_here[0]} is set by the comparison; leave it out")


def _override(text: str) -> tuple[str, Path | None, list[str]]:
    """Splits `name: [config] options`."""
    name, colon, rest = text.partition(":")
    if not colon:
        raise ValueError(f'--variant "{text}": takes "name: options", the options may be none')
    options = shlex.split(rest)
    config = Path(options.pop(0)) if options and not options[0].startswith("-") else None
    return name.strip(), config, options


def check_config(config: Path) -> Path:
    """Finds a config by its path or the name of a shipped experiment; refuses one that is absent or cannot be read.

    Raises:
        ValueError: If so; the message names those with a similar name.
    """
    found = Path(find_config(str(config)))
    if not found.is_file():
        near = difflib.get_close_matches(config.name, [path.name for path in config.parent.glob("*.yaml")])
        near = near or nearest_configs(config.name)
        raise ValueError(f"{config}: there is no such config" + (f"; nearest: {', '.join(near)}" if near else ""))
    check_config_files(["--config", str(found)])
    return found


def check_page(page: Path, name: str) -> None:
    """Refuses a page without one pair of marks of a name.

    Raises:
        ValueError: If it has none or several, or is not there.
    """
    marks = [f"<!-- {name} -->", f"<!-- /{name} -->"]
    if not page.is_file() or any(page.read_text(encoding="utf-8").count(mark) != 1 for mark in marks):
        raise ValueError(f"--write {page}: needs a page with one pair of lines {' and '.join(marks)}")
