"""Measures temperature scaling, prediction sets and intervals on shipped configs: errors, coverage, size.

Usage: python -m litzoo.scripts.benchmarks.calibration CONFIG ... [--seeds 0 1 2] [--epochs N] [--precision P]
           [--write]

Each config is trained with `model.calibrate: temperature` and `PredictionSets`, which reserves half of the validation
samples. Temperature and sets are fitted on these, for the best checkpoint, and evaluated on the test set. Of a
regressor intervals are measured instead, in a table of their own (`intervals.py`). Results of other configs, and of
other seeds of a config with the same number of epochs, stay in the file.
"""

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from litzoo.callbacks import ConformalSets
from litzoo.callbacks.calibration.part import calibration_part
from litzoo.callbacks.calibration.sets import Method
from litzoo.lit_modules.metrics import AdaptiveCalibrationError, CalibrationError
from litzoo.scripts.benchmarks import intervals
from litzoo.scripts.benchmarks.harness import environment, format_environment, publish
from litzoo.scripts.cli.main import run
from litzoo.scripts.configs import find_config
from litzoo.scripts.predict import Predictor
from litzoo.scripts.tables import markdown_table, mean_and_std

NAME, INTERVALS, DOCUMENT = "benchmark_calibration", "benchmark_intervals", Path("docs/calibration.md")
COVERAGES = (0.9, 0.95)
METHODS: tuple[Method, ...] = ("lac", "aps")


def measure(config: str, seed: int, epochs: int | None, precision: str) -> dict[str, Any]:
    """Trains a config and returns what is measured on its test set, by name."""
    words = ["fit", f"--config={config}", f"--seed_everything={seed}", "--model.calibrate=temperature"]
    words += [f"--trainer.precision={precision}"]
    words += ["--trainer.callbacks+=PredictionSets", "--trainer.enable_progress_bar=false", "--test_after_fit=false"]
    cli = run([*words, *([f"--trainer.max_epochs={epochs}"] if epochs else [])])
    predictor = Predictor.load(cli.run_folder / "checkpoints" / "best.ckpt", device="cpu")
    first = {"precision": precision, "epochs": cli.trainer.current_epoch}
    return {**first, **evaluate(predictor, cli.datamodule)}


def evaluate(predictor: Predictor, data: Any) -> dict[str, Any]:
    """Returns what is measured of a calibrated network on the test set of its datamodule, by name."""
    data.setup("test")
    calibration, known = logits_of(predictor, calibration_part(data)[1])
    logits, target = logits_of(predictor, data.test_set)
    temperature = float(predictor.module.temperature)  # type: ignore[arg-type]
    values: dict[str, Any] = {"temperature": temperature, "test": len(target)}
    values |= {"calibration": len(known), "acc": float((logits.argmax(dim=1) == target).double().mean())}
    for name, each in (("before", logits * temperature), ("after", logits)):
        values[f"ece_{name}"] = _value(CalibrationError(), each, target)
        values[f"adaptive_ece_{name}"] = _value(AdaptiveCalibrationError(), each, target)
    values |= {"right_ece": error_of_right_probabilities(logits, CalibrationError())}
    values |= {"right_adaptive_ece": error_of_right_probabilities(logits, AdaptiveCalibrationError())}
    for coverage in COVERAGES:
        for method in METHODS:
            found = ConformalSets(coverage, method).fit(calibration, known).evaluate(logits, target)
            values |= {f"{method}_{coverage}_{name}": value for name, value in found.items()}
    return values


def error_of_right_probabilities(logits: Tensor, metric: Metric, draws: int = 100) -> float:
    """Returns the mean calibration error of probabilities that are exactly right, on this many samples.

    It isn't 0, since a bin's accuracy varies by chance: no calibration can be expected to get below it. The labels are
    drawn from the probabilities, with a fixed seed.

    Args:
        logits: Logits of samples, [N, K].
        metric: A calibration error, which is reset.
        draws: How often the labels of all samples are drawn.
    """
    generator = torch.Generator().manual_seed(0)
    labels = torch.multinomial(logits.double().softmax(dim=1), draws, replacement=True, generator=generator)
    errors = []
    for target in labels.T:
        metric.reset()
        errors.append(_value(metric, logits, target))
    return statistics.mean(errors)


def logits_of(predictor: Predictor, dataset: Any) -> tuple[Tensor, Tensor]:
    """Returns the logits of all samples of a part as a test computes them, and their targets."""
    module: Any = predictor.module
    parts = []
    for indices in dataset.indices.split(500):
        with torch.inference_mode():
            images = predictor.preparation.as_input(dataset.inputs[indices])  # type: ignore[union-attr]
            parts.append(module.features_and_logits(images, test_time=True)[1].float())
    return torch.cat(parts), dataset.targets[dataset.indices]


def table(result: Mapping[str, Any]) -> str:
    """Formats the results."""
    sets = [(method, coverage) for coverage in COVERAGES for method in METHODS]
    header = ["config", "epochs", "seeds", "temperature", "ECE, %", "adaptive ECE, %"]
    header += [f"{method.upper()} {coverage:.0%}" for method, coverage in sets]
    rows = []
    for config, runs in result["configs"].items():
        columns = {name: [each[name] for each in runs.values()] for name in next(iter(runs.values()))}
        errors = [
            f"{mean_and_std([100 * each for each in columns[f'{name}_before']], 2)} → "
            f"{mean_and_std([100 * each for each in columns[f'{name}_after']], 2)} "
            f"({100 * statistics.mean(columns[f'right_{name}']):.2f})"
            for name in ("ece", "adaptive_ece")
        ]
        cells = [
            f"{100 * statistics.mean(columns[f'{method}_{coverage}_set_coverage']):.1f} %, "
            f"{statistics.mean(columns[f'{method}_{coverage}_set_size']):.2f}"
            for method, coverage in sets
        ]
        first = [
            f"{config}, {columns['precision'][0]}",
            f"{columns['epochs'][0]:.0f}",
            str(len(runs)),
            mean_and_std(columns["temperature"], 3),
        ]
        rows.append([*first, *errors, *cells])
    sizes = next(iter(next(iter(result["configs"].values())).values()))
    note = (
        "Before → after temperature scaling (in brackets: what probabilities that are exactly right would have, since "
        f"the accuracy of {sizes['test']:,.0f} test samples varies by chance). Sets: coverage of the test samples, and "
        f"mean number of classes; {sizes['calibration']:,.0f} calibration samples. Mean ± standard deviation over "
        "seeds."
    )
    return f"{markdown_table(header, rows)}\n\n{note} {format_environment(result)}."


def main(words: Sequence[str] | None = None) -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="+", help="names of shipped configs")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, help="shorter or longer than the config's")
    parser.add_argument("--precision", default="32-true", help="of the training (default: 32-true)")
    parser.add_argument("--write", action="store_true", help=f"write the table to {DOCUMENT}")
    options = parser.parse_args(words)
    for config in options.configs:
        regresses = "class_path: Regressor" in Path(find_config(config)).read_text(encoding="utf-8")
        kind, measuring, formatted = (
            (INTERVALS, intervals.measure, intervals.table) if regresses else (NAME, measure, table)
        )
        path = DOCUMENT.parent / "results" / f"{kind}.json"
        earlier = json.loads(path.read_text(encoding="utf-8"))["configs"] if path.exists() else {}
        for seed in options.seeds:
            values = measuring(config, seed, options.epochs, options.precision)
            same = ("epochs", "precision")
            runs = {
                name: each
                for name, each in earlier.get(config, {}).items()
                if [each[key] for key in same] == [values[key] for key in same]
            }
            earlier[config] = {**runs, str(seed): values}
            result = {**environment(), "configs": earlier}
            print(formatted(result))
            if options.write:
                publish(kind, result, formatted(result), DOCUMENT)


def _value(metric: Metric, logits: Tensor, target: Tensor) -> float:
    metric.update(logits, target)
    return float(metric.compute())


if __name__ == "__main__":
    main()
