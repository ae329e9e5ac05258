"""What a comparison found: numbers over the seeds, paired differences, the table."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from scripts.compared_run import ComparedRun
from scripts.intervals import mean_interval

SHARES = {"acc", "f1", "ece", "balanced_acc", "precision", "recall", "average_precision"}
"""Metrics between 0 and 1, which are shown in percent."""


@dataclass(frozen=True)
class Difference:
    """The mean of the differences of pairs, with its 95 % confidence interval; `None` for an end it cannot have."""

    mean: float
    low: float | None
    high: float | None
    pairs: int


def choose_metric(asked: str | None, there: Mapping[str, float]) -> str:
    """Returns the metric that was asked for; accuracy, or else the error in the target's units, if none was.

    Raises:
        ValueError: If the test does not report it; the message names those that it does.
    """
    wanted = [asked] if asked else ["test/acc", "test/rmse", "test/loss"]
    for name in wanted:
        if name in there:
            return name
    classes = [name for name in there if name.startswith("test/") and name.count("/") > 1]
    names = [name for name in there if name not in classes]
    more = f", and for each class such as {classes[0]}" if classes else ""
    raise ValueError(f"--metric {wanted[0]}: is not there; there are {', '.join(names)}{more}")


def paired_difference(values: Mapping[int, float], others: Mapping[int, float]) -> Difference | None:
    """Compares seed by seed: what the seeds have in common, such as the order of the batches, cancels out.

    Args:
        values: Seed -> value.
        others: What is subtracted.

    Returns:
        The difference; nothing without a common seed. One common seed has no interval.
    """
    differences = [values[seed] - others[seed] for seed in values if seed in others]
    if not differences:
        return None
    low, high = mean_interval(differences) or (None, None)
    return Difference(statistics.mean(differences), low, high, len(differences))


def collect(runs: Sequence[ComparedRun], metric: str, epoch: str) -> dict[str, dict[str, Any]]:
    """Collects all numbers of finished runs.

    Returns:
        Variant -> its `options`, its `runs` (seed, metrics, and what `run.json` tells) and its `difference` to the
        first variant.
    """
    found: dict[str, dict[str, Any]] = {}
    values: dict[str, dict[int, float]] = {}
    for run in runs:
        metrics = run.metrics(epoch)
        entry = {"seed": run.seed, "metrics": metrics, **{k: v for k, v in run.record().items() if k != "seed"}}
        found.setdefault(run.variant, {"options": run.options, "runs": []})["runs"].append(entry)
        values.setdefault(run.variant, {})[run.seed] = metrics[metric]
    first = next(iter(values), None)
    for variant, result in found.items():
        difference = paired_difference(values[variant], values[str(first)]) if variant != first else None
        result["difference"] = asdict(difference) if difference else None
    return found


def table(results: Mapping[str, Mapping[str, Any]], metric: str) -> tuple[list[str], list[list[str]]]:
    """Writes header and rows."""
    first = next(iter(results), "")
    share = not SHARES.isdisjoint(metric.split("/"))
    scale, unit = (100, " %") if share else (1, "")
    everything = [scale * run["metrics"][metric] for result in results.values() for run in result["runs"]]
    digits = 2 if share or max(map(abs, everything), default=0) >= 10 else 4
    rows = []
    for variant, result in results.items():
        values = [scale * run["metrics"][metric] for run in result["runs"]]
        seconds = [run["training_seconds"] for run in result["runs"] if run.get("training_seconds") is not None]
        spread = f" ± {statistics.stdev(values):,.{digits}f}" if len(values) > 1 else ""
        rows.append(
            [
                f"`{variant}`",
                f"{statistics.mean(values):,.{digits}f}{spread}{unit}",
                str(len(values)),
                _shown(result["difference"], scale, digits),
                f"{statistics.mean(seconds):,.0f}" if seconds else "",
            ]
        )
    in_points = " in points" if share else ""
    compared = f"difference to `{first}`{in_points} (95 % interval)"
    header = ["variant", f"{metric} (mean ± std)", "n", compared, "training seconds"]
    if len(results) == 1:
        header, rows = header[:3] + header[4:], [row[:3] + row[4:] for row in rows]
    return header, rows


def _shown(difference: Mapping[str, Any] | None, scale: float, digits: int) -> str:
    if difference is None:
        return ""
    ends = [difference[end] for end in ("low", "high") if difference[end] is not None]
    interval = " to ".join(f"{scale * end:+,.{digits}f}" for end in ends)
    return f"{scale * difference['mean']:+,.{digits}f}" + (f" ({interval})" if ends else "")
