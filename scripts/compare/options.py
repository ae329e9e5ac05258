"""The command line of `litzoo compare`, and what `litzoo open-set-splits` shares with it."""

import argparse
import difflib
import re
import shlex
from pathlib import Path

import torch

from litzoo.scripts.cli.arguments import check_config_files
from litzoo.scripts.compare.on_ray import check_ray
from litzoo.scripts.configs import find_config, nearest_configs, with_shipped_configs
from litzoo.scripts.tables import has_marks, marks

RESERVED = (
    "--seed_everything",
    "--experiment",
    "--ckpt_path",
    "--trainer.default_root_dir",
    "--trainer.enable_progress_bar",
)
"""Options of `litzoo fit` that the comparison sets itself."""


def parse(arguments: list[str], description: str) -> argparse.Namespace:
    """Parses and checks the command line of `litzoo compare`, before anything is trained.

    Returns:
        The options, and `variants`: name -> options of `litzoo fit`, in the given order.

    Raises:
        ValueError: If a config is missing, a variant or a seed is repeated, a name is not a valid folder name, or the
            page to write has no marks for the result.
    """
    parser = _make_parser(description)
    args = parser.parse_args(join_option_values(arguments))
    if not args.configs and not args.variant:
        parser.error("the following arguments are required: configs")
    args.variants = _variants(args.configs, args.variant, shlex.split(args.common))
    args.name = args.name or "_vs_".join([config.stem for config in args.configs] or args.variants)
    for name in (args.name, *args.variants):
        if not re.fullmatch(r"\w[\w.,=+-]*", name):
            raise ValueError(f"name {name!r}: is used as a folder name; use letters, digits and any of _ . , = + -")
    if args.seeds is None:
        args.seeds = [0, 1, 2] if args.folds is None else [0]
    if len(set(args.seeds)) < len(args.seeds) or min(args.seeds) < 0:
        raise ValueError(f"--seeds {' '.join(map(str, args.seeds))}: takes different seeds, none below 0")
    if args.run is not None and (args.launcher == "ray" or args.write):
        raise ValueError(
            f"--run {args.run}: trains one run here and writes no page; leave out "
            + ("--launcher ray" if args.launcher == "ray" else f"--write {args.write}")
        )
    _settle_launcher(args)
    part = "test" if args.folds is None else "val"
    if args.folds is not None:
        _check_folds(args)
    if args.metric and not args.metric.startswith((f"{part}/", "train/")):
        words = ("test", "--curve takes val/ metrics too") if part == "test" else ("validation", "folds are not tested")
        raise ValueError(
            f"--metric {args.metric}: takes a {words[0]} or training metric, such as {part}/acc; {words[1]}"
        )
    if args.write:
        check_page(args.write, f"compare {args.name}")
    return args


def _settle_launcher(args: argparse.Namespace) -> None:
    """Checks the options of the launcher, and sets their defaults."""
    if args.launcher == "ray":
        if args.jobs is not None:
            raise ValueError(f"--jobs {args.jobs}: Ray runs as many as it has CPUs and GPUs for; give --cpus, --gpus")
        check_ray()
    elif args.cpus is not None or args.gpus is not None:
        raise ValueError("--cpus, --gpus: are those of each run with --launcher ray; without it, give --jobs")
    args.cpus = 1 if args.cpus is None else args.cpus
    args.jobs = max(1, torch.cuda.device_count()) if args.jobs is None else args.jobs
    if args.gpus is not None and args.gpus > 1 and args.gpus % 1:
        raise ValueError(f"--gpus {args.gpus:g}: takes a whole number, or a fraction below 1")
    for name, least in (("jobs", 1), ("cpus", 1), ("gpus", 0)):
        if (value := getattr(args, name)) is not None and value < least:
            raise ValueError(f"--{name} {value}: takes at least {least}")


def _check_folds(args: argparse.Namespace) -> None:
    """Checks the options of a cross-validation."""
    if args.folds < 2:
        raise ValueError(f"--folds {args.folds}: give at least 2")
    if args.epoch == "best":
        raise ValueError(
            "--epoch best: it is chosen on the fold that is compared, so that results would be too good; leave it out "
            "with --folds"
        )
    own = ("--data.folds", "--data.fold", "--test_after_fit")
    for variant, options in args.variants.items():
        if found := [word for word in options if word.split("=", 1)[0] in own]:
            raise ValueError(f"variant {variant}: {found[0]} is set by --folds; leave it out")


def _make_parser(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "litzoo compare",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "configs",
        nargs="*",
        type=Path,
        help="YAML files or names of shipped experiments, one variant each; none if each --variant names its own",
    )
    parser.add_argument(
        "--variant",
        action="append",
        default=[],
        metavar='"NAME: [CONFIG] OPTIONS"',
        help="another variant: a config (default: the only one given, which this then replaces) with these options",
    )
    parser.add_argument(
        "--common", default="", metavar='"OPTIONS"', help="options of `litzoo fit` that all variants get"
    )
    parser.add_argument("--seeds", nargs="+", type=int, help="training seeds (default: 0 1 2; with --folds: 0)")
    parser.add_argument(
        "--folds",
        type=int,
        metavar="K",
        help="cross-validate: train on K - 1 of K folds, and validate on the other",
    )
    parser.add_argument(
        "--metric", help="test or training metric to compare (default: the primary metric; with --folds of validation)"
    )
    parser.add_argument(
        "--also", nargs="+", default=[], metavar="PREFIX", help="add a table of all metrics that begin with this prefix"
    )
    parser.add_argument(
        "--curve", nargs="+", default=[], metavar="METRIC", help="metrics to draw (default: --metric on validation)"
    )
    parser.add_argument(
        "--epoch", choices=("last", "best"), default="last", help="checkpoint to evaluate (default: last)"
    )
    parser.add_argument("--name", help="name of the comparison (default: made from the configs, or from the variants)")
    parser.add_argument("--jobs", type=int, help="trainings that run in parallel (default: one per GPU, at least 1)")
    parser.add_argument(
        "--launcher",
        choices=("local", "ray"),
        default="local",
        help="where the runs are trained: on this machine, or by Ray on the cluster of RAY_ADDRESS or on this machine",
    )
    parser.add_argument("--cpus", type=int, help="with --launcher ray: CPU cores of each run (default: 1)")
    parser.add_argument(
        "--gpus",
        type=float,
        help="with --launcher ray: GPUs of each run, also a fraction (default: 1, if there are any)",
    )
    parser.add_argument(
        "--earlier",
        type=Path,
        metavar="FILE",
        help="results.json of an earlier comparison, such as on another machine: its runs are not trained again",
    )
    parser.add_argument("--run", type=int, metavar="N", help="train only this run, from 0: for a task of a job array")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of all runs (default: runs)")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="Markdown page to write the results to")
    return parser


def _variants(configs: list[Path], overrides: list[str], common: list[str]) -> dict[str, list[str]]:
    """Returns name -> options of `litzoo fit`.

    A variant that names a config is added to the configs; variants without one replace the only config.
    """
    parsed = [_parse_variant(override) for override in overrides]
    of_the_only_config = [name for name, config, _ in parsed if config is None]
    if of_the_only_config and len(configs) != 1:
        there_are = f"{len(configs)}: {' '.join(map(str, configs))}" if configs else "none beside it"
        without = of_the_only_config[0]
        raise ValueError(
            f'--variant {without}: names no config, and there are {there_are}; write "name: config options"'
        )
    if not of_the_only_config:
        parsed = [*((config.stem, config, []) for config in configs), *parsed]
    for each in (*configs, *(config for _, config, _ in parsed if config)):
        check_config(each)
    variants: dict[str, list[str]] = {}
    seen: dict[str, list[str]] = {}
    for name, config, own in parsed:
        options = ["--config", str(config or configs[0]), *common, *own]
        refuse_reserved_options(f"variant {name}", options)
        resolved = with_shipped_configs(options)
        same = next((other for other in variants if other == name or seen[other] == resolved), None)
        if same is not None:
            raise ValueError(f"variant {name}: is given twice" + ("" if same == name else f", also as {same}"))
        variants[name], seen[name] = options, resolved
    return variants


def _parse_variant(text: str) -> tuple[str, Path | None, list[str]]:
    """Splits `name: [config] options`."""
    name, colon, rest = text.partition(":")
    if not colon:
        raise ValueError(f'--variant "{text}": takes "name: options"; the options may be empty')
    options = shlex.split(rest)
    config = Path(options.pop(0)) if options and not options[0].startswith("-") else None
    return name.strip(), config, options


def join_option_values(arguments: list[str]) -> list[str]:
    """Joins `--common` and `--variant` with their values by `=`: argparse would parse `--...` as an option of ours."""
    words = iter(arguments)
    return [f"{word}={next(words, '')}" if word in ("--common", "--variant") else word for word in words]


def refuse_reserved_options(source: str, options: list[str]) -> None:
    """Refuses options of `litzoo fit` that the comparison sets itself.

    Args:
        source: Where the options come from; the message begins with it.
        options: Words of a command line.

    Raises:
        ValueError: If there is one.
    """
    if reserved := [word for word in options if word.split("=", 1)[0] in RESERVED]:
        raise ValueError(f"{source}: {reserved[0]} is set by the comparison; leave it out")


def check_config(config: Path) -> Path:
    """Finds a config by its path or by the name of a shipped experiment, and checks that it can be read.

    Returns:
        The path of the file.

    Raises:
        ValueError: If it does not exist or cannot be read; the message lists configs with similar names.
    """
    found = Path(find_config(str(config)))
    if not found.is_file():
        nearest = difflib.get_close_matches(config.name, [path.name for path in config.parent.glob("*.yaml")])
        nearest = nearest or nearest_configs(config.name)
        raise ValueError(f"{config}: there is no such config" + (f"; nearest: {', '.join(nearest)}" if nearest else ""))
    check_config_files(["--config", str(found)])
    return found


def check_page(page: Path, name: str) -> None:
    """Checks that a page has marks for the result of this name.

    Raises:
        ValueError: If it has no or several pairs, or does not exist.
    """
    if not page.is_file() or not has_marks(page.read_text(encoding="utf-8"), name):
        raise ValueError(f"--write {page}: needs a page with one pair of lines {' and '.join(marks(name))}")
