"""Compares a regressor with linear regression on repeated random splits of its training rows.

Usage: python -m litzoo.scripts.docs.repeated_splits configs/diabetes_regressor.yaml [--splits 20]

A single small test set has a large variance. Here each split holds out a fifth of the training rows for validation,
both models are trained on the rest, and the last epoch is compared, so that nothing is selected on the held-out rows;
the test set is not used. The result is written to docs/results and docs/experiments.md.
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
    """Trains a config on one split; returns the validation RMSE of its last epoch."""
    options = ["--data.val_size=0.2", f"--data.seed={seed}", f"--seed_everything={seed}", "--test_after_fit=false"]
    quiet = [f"--trainer.{name}=false" for name in ("logger", "enable_progress_bar", "enable_model_summary")]
    cli = run(["fit", "--config", str(config), *options, *quiet, f"--trainer.default_root_dir={folder}"])
    summary = next(each for each in cli.trainer.callbacks if isinstance(each, RunSummary))  # type: ignore[attr-defined]
    return summary.history[-1]["val/rmse"]


def main() -> None:
    """Trains, prints and writes the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="YAML file of a regressor on a table")
    parser.add_argument("--splits", type=int, default=20, help="number of splits (default: 20)")
    arguments = parser.parse_args()
    config = arguments.config
    data = yaml.safe_load(config.read_text(encoding="utf-8"))["data"]
    pairs = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(arguments.splits):
            data["init_args"] |= {"val_size": 0.2, "seed": seed}
            pairs.append((regressor_rmse(config, seed, folder), linear_rmse(data, "val_set")))
    ours, linear = ([pair[place] for pair in pairs] for place in (0, 1))
    differences = [own - other for own, other in pairs]
    error = statistics.stdev(differences) / len(differences) ** 0.5
    text = (
        f"`{config.stem}`, {arguments.splits} random splits of the training rows: RMSE {statistics.mean(ours):.2f}, "
        f"linear regression {statistics.mean(linear):.2f}; paired difference {statistics.mean(differences):.2f} ± "
        f"{error:.2f} (standard error), lower in {sum(each < 0 for each in differences)} of {len(differences)}. "
        f"{datetime.now(timezone.utc):%Y-%m-%d}."
    )
    print(text)
    path = Path("docs/results") / f"{config.stem}_splits.json"
    content = {"config": config.stem, "rmse": ours, "linear_rmse": linear}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    replace_between(DOCUMENT, f"splits {config.stem}", text)


if __name__ == "__main__":
    main()
