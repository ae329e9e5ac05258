"""Measures intervals of a shipped config of a regressor, plain and normalized; `calibration.py` runs it."""

import statistics
from collections.abc import Mapping
from typing import Any

import torch

from litzoo.callbacks import ConformalIntervals
from litzoo.callbacks.calibration.part import calibration_part
from litzoo.scripts.benchmarks.harness import format_environment
from litzoo.scripts.cli.main import run
from litzoo.scripts.predict import Predictor
from litzoo.scripts.tables import markdown_table, mean_and_std

COVERAGES = (0.9, 0.95)
THIRDS = ("easy", "middle", "hard")
KINDS = {"plain": "equally wide", "normalized": "`normalized: true`"}


def measure(config: str, seed: int, epochs: int | None, precision: str) -> dict[str, Any]:
    """Trains a config and returns coverage and mean width on its test set, by name.

    Both kinds of intervals are of the same network and calibration samples. The thirds are of the test samples, by
    the difficulty that the normalized intervals are a multiple of.
    """
    words = ["fit", f"--config={config}", f"--seed_everything={seed}", f"--trainer.precision={precision}"]
    words += ["--trainer.callbacks+=PredictionIntervals", "--trainer.callbacks.normalized=true"]
    words += ["--trainer.enable_progress_bar=false", "--test_after_fit=false"]
    cli = run([*words, *([f"--trainer.max_epochs={epochs}"] if epochs else [])])
    predictor = Predictor.load(cli.run_folder / "checkpoints" / "best.ckpt", device="cpu")
    assert isinstance(predictor.conformal, ConformalIntervals)
    difficulty = predictor.conformal.difficulty
    assert difficulty is not None
    data = cli.datamodule
    data.setup("test")
    if calibration_part(data)[0] == "val":
        raise ValueError("half of the samples that calibrate have fitted the difficulty: give 1,000 validation samples")
    (*calibration, known_features), (*tested, features) = (
        _outputs(predictor, part) for part in (calibration_part(data)[1], data.test_set)
    )
    thirds = difficulty(features).argsort().tensor_split(3)
    values: dict[str, Any] = {"precision": precision, "epochs": cli.trainer.current_epoch}
    values |= {"test": len(features), "calibration": len(known_features)}
    for coverage in COVERAGES:
        for kind in KINDS:
            rule = ConformalIntervals(coverage, difficulty if kind == "normalized" else None)
            given, seen = ((known_features,), (features,)) if kind == "normalized" else ((), ())
            found = rule.fit(*calibration, *given).evaluate(*tested, *seen)
            parts = [[each[third] for each in (*tested, *seen)] for third in thirds]
            found |= {
                third: rule.evaluate(*part)["interval_coverage"] for third, part in zip(THIRDS, parts, strict=True)
            }
            values |= {f"{kind}_{coverage}_{name}": value for name, value in found.items()}
    return values


def table(result: Mapping[str, Any]) -> str:
    """Formats the results."""
    header = ["config", "epochs", "seeds", "intervals"]
    for coverage in COVERAGES:
        header += [f"{coverage:.0%}: coverage", "mean width", "easy, middle, hard third"]
    rows = []
    for config, runs in result["configs"].items():
        columns = {name: [each[name] for each in runs.values()] for name in next(iter(runs.values()))}
        for kind, described in KINDS.items():
            cells = [f"{config}, {columns['precision'][0]}", f"{columns['epochs'][0]:.0f}", str(len(runs)), described]
            for coverage in COVERAGES:
                of = f"{kind}_{coverage}_"
                thirds = [f"{100 * statistics.mean(columns[of + third]):.1f}" for third in THIRDS]
                cells += [
                    f"{mean_and_std([100 * each for each in columns[f'{of}interval_coverage']], 1)} %",
                    mean_and_std(columns[f"{of}interval_width"], 0),
                    f"{', '.join(thirds)} %",
                ]
            rows.append(cells)
    sizes = next(iter(next(iter(result["configs"].values())).values()))
    note = (
        f"Coverage and mean width on {sizes['test']:,} test samples, in the target's units, and coverage within thirds "
        f"of them by difficulty; {sizes['calibration']:,} calibration samples. Both kinds are of the same networks. "
        "Mean ± standard deviation over seeds."
    )
    return f"{markdown_table(header, rows)}\n\n{note} {format_environment(result)}."


def _outputs(predictor: Predictor, dataset: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Returns predictions, targets and features of all samples of a part."""
    batch = {"input": dataset.inputs[dataset.indices], "index": dataset.indices}
    with torch.inference_mode():
        outputs: Any = predictor.module.predict_step(batch, 0)
    return outputs["prediction"], dataset.targets[dataset.indices], outputs["features"]
