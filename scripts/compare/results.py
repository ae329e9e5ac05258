"""The results of a comparison: metrics over the seeds, paired differences, and the tables that show them."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from litzoo.datamodules.counted import counted
from litzoo.scripts.compare.compared_run import ComparedRun
from litzoo.scripts.tables import mean_and_std, mean_interval

SHOWN_IN_PERCENT = {
    *(
        "acc",
        "f1",
        "ece",
        "adaptive_ece",
        "ece_uncalibrated",
        "balanced_acc",
        "precision",
        "recall",
        "average_precision",
    ),
    *("coverage", "accuracy", "barred", "set_coverage", "interval_coverage"),
    *("set_coverage_asked", "interval_coverage_asked"),
    *(
        "auroc",
        "aupr_unknown_positive",
        "fpr95_known_positive",
        "fpr95_unknown_positive",
        "oscr",
        "found",
        "accepted",
        "open_set_f1",
    ),
}
"""Metrics between 0 and 1."""


@dataclass(frozen=True)
class Difference:
    """The mean of paired differences and its 95 % confidence interval; the bounds of a single pair are `None`."""

    mean: float
    low: float | None
    high: float | None
    pairs: int


def choose_metric(
    requested: str | None, metrics: Mapping[str, float], primary: str | None = None, part: str = "test"
) -> str:
    """Returns the metric to compare: the requested one, or else the primary metric of the module.

    Args:
        requested: `--metric`.
        metrics: The metrics of a run.
        primary: `primary_metric` of the run's `run.json`; the loss by default.
        part: `test`, or `val` in a cross-validation.

    Raises:
        ValueError: If the run does not have it; the message lists the metrics that it has.
    """
    candidates = [requested] if requested else [f"{part}/{primary or 'loss'}", f"{part}/loss"]
    for name in candidates:
        if name in metrics:
            return name
    per_class = [name for name in metrics if name.startswith(f"{part}/") and name.rsplit("/", 1)[0] in metrics]
    names = [name for name in metrics if name not in per_class]
    more = f", and for each class such as {per_class[0]}" if per_class else ""
    raise ValueError(f"--metric {candidates[0]}: was not measured; there are {', '.join(names)}{more}")


def paired_difference(values: Mapping[int, float], baseline: Mapping[int, float]) -> Difference | None:
    """Compares two variants seed by seed, so that what a seed has in common (such as the batch order) cancels out.

    In a cross-validation it compares fold by fold, each with the mean over its seeds.

    Args:
        values: Seed or fold -> value.
        baseline: Seed or fold -> value to subtract.

    Returns:
        The difference; None without a common seed. A single common seed has no interval, and neither have equal
        differences, such as of accuracies on few samples: nothing is known of their spread.
    """
    differences = [values[seed] - baseline[seed] for seed in values if seed in baseline]
    if not differences:
        return None
    equal = math.isclose(min(differences), max(differences), abs_tol=1e-12)
    low, high = (None, None) if equal else mean_interval(differences) or (None, None)
    return Difference(statistics.mean(differences), low, high, len(differences))


def collect(runs: Sequence[ComparedRun], metric: str, epoch: str) -> dict[str, dict[str, Any]]:
    """Collects the results of finished runs.

    Returns:
        Variant -> its `options`, its `runs` (seed, fold if there are any, metrics, the content of `run.json`, and what
        `with_earlier` needs to use it again) and its `difference` to the first variant.
    """
    results: dict[str, dict[str, Any]] = {}
    values: dict[str, dict[tuple[int, int], float]] = {}  # variant -> fold, or else seed, and seed -> value
    for run in runs:
        metrics = run.metrics(epoch)
        fold = {} if run.fold is None else {"fold": run.fold.number}
        entry = {"seed": run.seed, **fold, "metrics": metrics, **{k: v for k, v in run.record().items() if k != "seed"}}
        entry |= {"ways": run.ways(), "contents": run.contents(), "corrections": run.corrections(epoch)}
        entry["wrong_validation_labels"] = run.wrong_validation_labels()
        entry["validation_samples"] = run.validation_samples()
        results.setdefault(run.variant, {"options": run.options, "runs": []})["runs"].append(entry)
        values.setdefault(run.variant, {})[fold.get("fold", run.seed), run.seed] = metrics[metric]
    first = next(iter(values), "")
    for variant, result in results.items():
        common = [pair for pair in values[variant] if pair in values[first]]
        difference = None
        if variant != first:
            difference = paired_difference(_means(values[variant], common), _means(values[first], common))
        result["difference"] = asdict(difference) if difference else None
    return results


def _means(values: Mapping[tuple[int, int], float], pairs: Sequence[tuple[int, int]]) -> dict[int, float]:
    """Returns fold, or else seed -> the mean of the values of these pairs."""
    found: dict[int, list[float]] = {}
    for pair in pairs:
        found.setdefault(pair[0], []).append(values[pair])
    return {number: statistics.mean(each) for number, each in found.items()}


def _common_runs(result: Mapping[str, Any], baseline: Mapping[str, Any]) -> str:
    """Returns in words of how many runs a difference is, if not of all of both variants."""
    own, other = ({(run.get("fold"), run.get("seed")) for run in each["runs"]} for each in (result, baseline))
    return f"; {counted(len(own & other), 'common run', 'common runs')}" if own != other and own & other else ""


def table(
    results: Mapping[str, Mapping[str, Any]], metric: str, baseline: str | None = None
) -> tuple[list[str], list[list[str]]]:
    """Returns header and rows of the table that compares the variants by one metric.

    The header says so if the first variant of the results is not the `baseline`, which then has no result.
    """
    first = next(iter(results), "")
    scale, digits = scale_of(results, metric)
    unit, in_points = (" %", " in points") if scale == 100 else ("", "")
    rows = []
    for variant, result in results.items():
        values = [scale * run["metrics"][metric] for run in result["runs"]]
        seconds = [run["training_seconds"] for run in result["runs"] if run.get("training_seconds") is not None]
        rows.append(
            [
                f"`{variant}`",
                mean_and_std(values, digits) + unit,
                str(len(values)),
                describe_difference(result["difference"], scale, digits) + _common_runs(result, results[first]),
                f"{statistics.mean(seconds):,.0f}" if seconds else "",
            ]
        )
    instead = "" if baseline in (None, first) else f", since `{baseline}` has no result"
    compared = f"difference to `{first}`{instead}{in_points} (95 % interval)"
    header = ["variant", f"{metric} (mean ± std)", "n", compared, "training seconds"]
    if len(results) == 1:
        header, rows = header[:3] + header[4:], [row[:3] + row[4:] for row in rows]
    return header, rows


def wide_table(results: Mapping[str, Mapping[str, Any]], prefix: str) -> tuple[list[str], list[list[str]]]:
    """Returns header and rows of a table with a column for each metric that begins with a prefix.

    A cell is empty if no run of the variant has the metric.

    Raises:
        ValueError: If no metric begins with the prefix.
    """
    metrics = [run["metrics"] for result in results.values() for run in result["runs"]]
    names = [name for name in dict.fromkeys(name for each in metrics for name in each) if name.startswith(prefix)]
    if not names:
        raise ValueError(f"--also {prefix}: no metric begins with it; there are {', '.join(metrics[0])}")
    rows = []
    for variant, result in results.items():
        cells = []
        for name in names:
            values = [run["metrics"][name] for run in result["runs"] if name in run["metrics"]]
            scale, digits = _scale(name, values)
            cells.append(mean_and_std([scale * value for value in values], digits) if values else "")
        rows.append([f"`{variant}`", *cells])
    return [f"{prefix}...", *(name.removeprefix(prefix) or "overall" for name in names)], rows


def scale_of(results: Mapping[str, Mapping[str, Any]], metric: str) -> tuple[float, int]:
    """Returns the factor and the number of digits that a metric is shown with in a comparison."""
    return _scale(metric, [run["metrics"][metric] for result in results.values() for run in result["runs"]])


def _scale(metric: str, values: Sequence[float]) -> tuple[float, int]:
    """Returns the factor and the number of digits that a metric is shown with."""
    if not SHOWN_IN_PERCENT.isdisjoint(metric.split("/")):
        return 100, 2
    return 1, 2 if max((abs(value) for value in values if math.isfinite(value)), default=0) >= 10 else 4


def describe_difference(difference: Mapping[str, Any] | None, scale: float, digits: int) -> str:
    """Formats a difference as `+0.44 (+0.08 to +0.81)`; empty without one, `nan` if it is not finite."""
    if difference is None:
        return ""
    if not math.isfinite(difference["mean"]):
        return f"{difference['mean']}"
    bounds = [difference[bound] for bound in ("low", "high") if difference[bound] is not None]
    interval = " to ".join(f"{scale * bound:+,.{digits}f}" for bound in bounds)
    return f"{scale * difference['mean']:+,.{digits}f}" + (f" ({interval})" if bounds else "")
