"""Kills a training repeatedly, resumes it each time, and compares it with an uninterrupted training.

Usage: python -m litzoo.scripts.benchmarks.kill_and_resume [--config CONFIG] [--epochs 8] [--kills 10] [--write]

Each `litzoo fit` is killed by SIGKILL and resumed with `--ckpt_path last`. The moments are drawn uniformly from the
time between the first checkpoint of the uninterrupted training and the end of its test.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from litzoo.scripts.benchmarks.harness import environment, format_environment, publish
from litzoo.scripts.benchmarks.killed_training import KilledTraining, draw_moments, read_positions
from litzoo.scripts.tables import markdown_table

DOCUMENT = Path("docs/reliability.md")


def measure(options: Sequence[str], kills: int, seed: int) -> dict[str, Any]:
    """Trains without and with kills.

    Returns:
        `kills`: where the training was killed; `metrics` of both trainings; `equal`: whether all metrics and weights
        are bit-identical.
    """
    with tempfile.TemporaryDirectory() as folder:
        uninterrupted, killed = (KilledTraining(Path(folder, name), options) for name in ("uninterrupted", "killed"))
        for training in (uninterrupted, killed):
            training.folder.mkdir()
        uninterrupted.run()
        moments = draw_moments(read_positions(uninterrupted.positions), kills, seed)
        killed_at = [position for moment in moments if (position := killed.run(until=moment))]
        for position in killed_at:
            print(f"killed: {position}")
        killed.run()
        results = [training.results() for training in (uninterrupted, killed)]
    same = [
        torch.equal(values, results[1][name][key]) if isinstance(values, torch.Tensor) else True
        for name in ("best.ckpt", "last.ckpt")
        for key, values in results[0][name].items()
    ]
    metrics = [result["metrics"] for result in results]
    return {"kills": list(map(str, killed_at)), "metrics": metrics, "equal": all(same) and metrics[0] == metrics[1]}


def table(result: dict[str, Any]) -> str:
    """Formats the result as Markdown."""
    uninterrupted, killed = result["metrics"]
    shown = ("epoch", "val/loss", "val/acc", "test/loss", "test/acc")
    rows = [
        [f"`{name}`", f"{uninterrupted[name]:.10g}", f"{killed[name]:.10g}"] for name in uninterrupted if name in shown
    ]
    equal = "bit-identical" if result["equal"] else "**not equal**"
    times = f"{len(result['kills'])} times"
    return (
        f"`{result['config']}`, {result['epochs']} epochs and the test, killed by SIGKILL {times} and resumed with "
        f"`--ckpt_path last`: all metrics, and the weights of both checkpoints, are {equal}. "
        f"{format_environment(result)}.\n\n"
        + markdown_table(["", "uninterrupted", f"killed {times}"], rows)
        + f"\n\nKilled at: {'; '.join(result['kills'])}."
    )


def main() -> None:
    """Measures, prints the table, and publishes it if `--write` is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="configs/mnist_cnn.yaml", help="config to train (default: mnist_cnn)")
    parser.add_argument("--epochs", type=int, default=8, help="epochs of the training (default: 8)")
    parser.add_argument("--kills", type=int, default=10, help="number of kills (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments (default: 0)")
    parser.add_argument("--write", action="store_true", help=f"write the table to {DOCUMENT}")
    arguments = parser.parse_args()
    if arguments.epochs < 2:
        parser.error(f"--epochs {arguments.epochs}: takes at least 2; before the first checkpoint nothing can resume")
    options = ["--config", arguments.config, "--trainer.max_epochs", str(arguments.epochs)]
    measured = measure([*options, "--trainer.accelerator", "cpu"], arguments.kills, arguments.seed)
    config = {"config": Path(arguments.config).stem, "epochs": arguments.epochs}
    result = {**environment(), **config, **measured}
    print(table(result))
    if arguments.write:
        publish("kill_and_resume", result, table(result), DOCUMENT)


if __name__ == "__main__":
    main()
