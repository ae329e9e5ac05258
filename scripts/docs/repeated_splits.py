"""Compares a regressor with linear regression on repeated random splits of its training rows.

Usage: python -m litzoo.scripts.docs.repeated_splits configs/diabetes_regressor.yaml [--splits 20]

A small test set decides by luck. Here every split holds a fifth of the training rows back as validation rows, both
models learn from the others, and the last epoch is compared, so that nothing is chosen; the test set is not touched.
The result goes into docs/results and docs/experiments.md.
"""

import argparse
import json
import statistics
import tempfile
from datetime import datetime, timezone
from pathlib import Path

import yaml

from litzoo.callbacks import RunSummary
from litzoo.scripts.cli.main import run
from litzoo.scripts.docs.experiments_table import linear_rmse
from litzoo.scripts.tables import replace_between

DOCUMENT = Path("docs/experiments.md")


def regressor_rmse(config: Path, seed: int, folder: str) -> float:
    """Trains a config on one split; the error of its last epoch on the rows held back."""
    options = ["--data.val_size=0.2", f"--data.seed={seed}", f"--seed_everything={seed}", "--test_after_fit=false"]
    quiet = [f"--trainer.{name}=false" for name in ("logger", "enable_progress_bar", "enable_model_summary")]
    cli = run(["fit", "--config", str(config), *options, *quiet, f"--trainer.default_root_dir={folder}"])
    summary = next(each for each in cli.trainer.callbacks if isinstance(each, RunSummary))  # type: ignore[attr-defined]
    return summary.history[-1]["val/rmse"]


def main() -> None:
    """Compares, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--splits", type=int, default=20, help="how many (default: 20)")
    arguments = parser.parse_args()
    config = arguments.config
    data = yaml.safe_load(config.read_text(encoding="utf-8"))["data"]
    pairs = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(arguments.splits):
            data["init_args"] |= {"val_size": 0.2, "seed": seed}
            pairs.append((regressor_rmse(config, seed, folder), linear_rmse(data, "val_set")))
    differences = [ours - linear for ours, linear in pairs]
    error = statistics.stdev(differences) / len(differences) ** 0.5
    text = (
        f"`{config.stem}`, {arguments.splits} random splits of the training rows: RMSE "
        f"{statistics.mean(ours for ours, _ in pairs):.2f}, linear regression "
        f"{statistics.mean(linear for _, linear in pairs):.2f}; paired difference {statistics.mean(differences):.2f} ± "
        f"{error:.2f} (standard error), lower in {sum(each < 0 for each in differences)} of {len(differences)}. "
        f"{datetime.now(timezone.utc):%Y-%m-%d}."
    )
    print(text)
    result = {
        "config": config.stem,
        "rmse": [ours for ours, _ in pairs],
        "linear_rmse": [linear for _, linear in pairs],
    }
    path = Path("docs/results") / f"{config.stem}_splits.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    replace_between(DOCUMENT, f"splits {config.stem}", text)


if __name__ == "__main__":
    main()
