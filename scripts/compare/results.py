"""What a comparison found: numbers over the seeds, paired differences, the table."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from litzoo.scripts.compare.compared_run import ComparedRun
from litzoo.scripts.tables import mean_interval

SHARES = {"acc", "f1", "ece", "balanced_acc", "precision", "recall", "average_precision"}
SHARES |= {"used", "purity", "barred"}
SHARES |= {"auroc", "aupr_unknown_positive", "fpr95_known_positive", "oscr", "found", "accepted", "open_set_f1"}
"""Metrics between 0 and 1, which are shown in percent."""


@dataclass(frozen=True)
class Difference:
    """The mean of the differences of pairs, with its 95 % confidence interval; `None` for an end it cannot have."""

    mean: float
    low: float | None
    high: float | None
    pairs: int


def choose_metric(asked: str | None, there: Mapping[str, float]) -> str:
    """Returns the metric that was asked for; if none was, accuracy, that of masks or the error in the target's units.

    Raises:
        ValueError: If the test does not report it; the message names those that it does.
    """
    wanted = [asked] if asked else ["test/acc", "test/mask_map_50", "test/rmse", "test/loss"]
    for name in wanted:
        if name in there:
            return name
    classes = [name for name in there if name.startswith("test/") and name.rsplit("/", 1)[0] in there]
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
    scale, digits = _scale(metric, [run["metrics"][metric] for result in results.values() for run in result["runs"]])
    unit, in_points = (" %", " in points") if scale == 100 else ("", "")
    rows = []
    for variant, result in results.items():
        values = [run["metrics"][metric] for run in result["runs"]]
        seconds = [run["training_seconds"] for run in result["runs"] if run.get("training_seconds") is not None]
        rows.append(
            [
                f"`{variant}`",
                _mean(values, scale, digits) + unit,
                str(len(values)),
                _shown(result["difference"], scale, digits),
                f"{statistics.mean(seconds):,.0f}" if seconds else "",
            ]
        )
    compared = f"difference to `{first}`{in_points} (95 % interval)"
    header = ["variant", f"{metric} (mean ± std)", "n", compared, "training seconds"]
    if len(results) == 1:
        header, rows = header[:3] + header[4:], [row[:3] + row[4:] for row in rows]
    return header, rows


def wide_table(results: Mapping[str, Mapping[str, Any]], prefix: str) -> tuple[list[str], list[list[str]]]:
    """Writes header and rows of all metrics whose names begin alike, a column each; empty where a run lacks one.

    Raises:
        ValueError: If there is none.
    """
    everything = [run["metrics"] for result in results.values() for run in result["runs"]]
    names = [name for name in dict.fromkeys(name for each in everything for name in each) if name.startswith(prefix)]
    if not names:
        raise ValueError(f"--also {prefix}: no metric begins so; there are {', '.join(everything[0])}")
    rows = []
    for variant, result in results.items():
        cells = []
        for name in names:
            values = [run["metrics"][name] for run in result["runs"] if name in run["metrics"]]
            cells.append(_mean(values, *_scale(name, values)))
        rows.append([f"`{variant}`", *cells])
    return [f"{prefix}...", *(name.removeprefix(prefix) or "itself" for name in names)], rows


def _scale(metric: str, values: Sequence[float]) -> tuple[float, int]:
    """Returns by what a metric is multiplied for the eye, and how many digits it is shown with."""
    if not SHARES.isdisjoint(metric.split("/")):
        return 100, 2
    return 1, 2 if max(map(abs, values), default=0) >= 10 else 4


def _mean(values: Sequence[float], scale: float, digits: int) -> str:
    if not values:
        return ""
    spread = f" ± {scale * statistics.stdev(values):,.{digits}f}" if len(values) > 1 else ""
    return f"{scale * statistics.mean(values):,.{digits}f}{spread}"


def _shown(difference: Mapping[str, Any] | None, scale: float, digits: int) -> str:
    if difference is None:
        return ""
    ends = [difference[end] for end in ("low", "high") if difference[end] is not None]
    interval = " to ".join(f"{scale * end:+,.{digits}f}" for end in ends)
    return f"{scale * difference['mean']:+,.{digits}f}" + (f" ({interval})" if ends else "")
