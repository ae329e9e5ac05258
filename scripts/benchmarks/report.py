"""What the benchmarks write: where and when they measured, all numbers in a file, a table in the docs."""

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


def circumstances() -> dict[str, Any]:
    """Returns on what, with what and when this is measured."""
    return {
        "hardware": hardware(Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
    }


def shown(result: dict[str, Any]) -> str:
    """Writes the circumstances of a result."""
    return f"{result['hardware']}, torch {result['torch']}, {result['threads']} threads, {result['date']}"


def rounds(text: str) -> int:
    """Reads how many rounds are asked for.

    Raises:
        argparse.ArgumentTypeError: If they are too few.
    """
    if not text.isdigit() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"{text}: takes a number, at least 2, for quartiles")
    return int(text)


def in_turns(actions: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Returns the seconds of each action, done in turns; a first round warms up.

    Every second round goes backwards, so that nobody always follows the same one.
    """
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for number in range(repeats + 1):
        for name in list(actions)[:: 1 if number % 2 else -1]:
            start = time.perf_counter()
            actions[name]()
            seconds[name].append(time.perf_counter() - start)
    return {name: times[1:] for name, times in seconds.items()}


def in_proportion(times: Sequence[float], others: Sequence[float]) -> str:
    """Writes the median and the quartiles of what is as many times of the other, round by round."""
    ratios = [ours / theirs for ours, theirs in zip(times, others, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.2f} × ({low:.2f} to {high:.2f})"


def run_in_rounds(
    name: str,
    description: str | None,
    default: int,
    measure: Callable[[int], dict[str, Any]],
    table: Callable[[dict[str, Any]], str],
) -> None:
    """Runs a benchmark from the command line: measures, prints, and writes if asked.

    Args:
        name: Of the benchmark, under which it is published.
        description: What `--help` says.
        default: How many rounds there are unless `--rounds` says otherwise.
        measure: Returns what was found in so many rounds, name -> value.
        table: Writes that, the circumstances and `rounds` as text.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=rounds, default=default, help=f"counted rounds (default: {default})")
    parser.add_argument("--write", action="store_true", help=f"put the table into {DOCUMENT}")
    arguments = parser.parse_args()
    pl.seed_everything(0, verbose=False)
    result = {**circumstances(), "rounds": arguments.rounds, **measure(arguments.rounds)}
    print(table(result))
    if arguments.write:
        publish(name, result, table(result))


def publish(name: str, result: dict[str, Any], text: str, document: Path = DOCUMENT) -> None:
    """Keeps a result as `docs/results/<name>.json`, and puts the text between the marks of that name in a document."""
    path = document.parent / "results" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    replace_between(document, name, text)
