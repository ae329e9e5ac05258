"""What the benchmarks share: interleaved timing, their command line, and publishing a result in the docs."""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch import Trainer

from litzoo.callbacks.reporting.run_record import hardware
from litzoo.scripts.tables import replace_between

DOCUMENT = Path("docs/performance.md")


def run_benchmark(
    name: str,
    description: str | None,
    default_rounds: int,
    measure: Callable[[argparse.Namespace], dict[str, Any]],
    table: Callable[[dict[str, Any]], str],
    parser: argparse.ArgumentParser | None = None,
) -> None:
    """Runs a benchmark from the command line: measures, prints the table, and publishes it if `--write` is given.

    Args:
        name: Name under which the result is published.
        description: Text of `--help`.
        default_rounds: Default of `--rounds`.
        measure: Measures with the given options, such as `rounds`; returns name -> value.
        table: Formats the result (the measured values, the environment and `rounds`) as Markdown.
        parser: Parser of further options, without `--help`.
    """
    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[parser] if parser else [],
    )
    parser.add_argument(
        "--rounds", type=_rounds, default=default_rounds, help=f"measured rounds (default: {default_rounds})"
    )
    parser.add_argument("--write", action="store_true", help=f"write the table to {DOCUMENT}")
    arguments = parser.parse_args()
    pl.seed_everything(0, verbose=False)
    result = {**environment(), "rounds": arguments.rounds, **measure(arguments)}
    print(table(result))
    if arguments.write:
        publish(name, result, table(result))


def _rounds(text: str) -> int:
    if not text.isdigit() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"{text}: takes a number, at least 2, for quartiles")
    return int(text)


def environment() -> dict[str, Any]:
    """Returns hardware, torch version, number of threads, and date."""
    return {
        "hardware": hardware(Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
    }


def format_environment(result: Mapping[str, Any]) -> str:
    """Formats the environment of a result."""
    return f"{result['hardware']}, torch {result['torch']}, {result['threads']} threads, {result['date']}"


def time_interleaved(
    actions: Mapping[str, Callable[[], object]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Times actions in interleaved rounds, after one round that warms up.

    Every second round runs in reverse order, so that no action always follows the same one.

    Args:
        actions: Name -> what is timed.
        rounds: How many rounds are measured.
        clock: Returns seconds; `time.process_time` counts those of the processor in this process alone.

    Returns:
        Action -> seconds in each round.
    """
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for number in range(rounds + 1):
        for name in list(actions)[:: 1 if number % 2 else -1]:
            start = clock()
            actions[name]()
            seconds[name].append(clock() - start)
    return {name: times[1:] for name, times in seconds.items()}


def format_ratio(times: Sequence[float], baseline: Sequence[float]) -> str:
    """Formats the median and the quartiles of the ratios in each round, `median × (quartile to quartile)`."""
    low, median, high = statistics.quantiles([a / b for a, b in zip(times, baseline, strict=True)], n=4)
    return f"{median:.2f} × ({low:.2f} to {high:.2f})"


def publish(name: str, result: dict[str, Any], text: str, document: Path = DOCUMENT) -> None:
    """Saves a result as `results/<name>.json` beside a document, and writes the text between its marks of that name."""
    path = document.parent / "results" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    replace_between(document, name, text)
