"""Kills a training again and again, resumes it each time, and compares it with one that was never killed.

Usage: python -m litzoo.scripts.benchmarks.kills [--config configs/mnist_cnn.yaml] [--epochs 8] [--kills 10] [--write]

Each life of the training is a process of its own, `litzoo fit`, from the second one on with `--ckpt_path last`; it is
ended by SIGKILL. The moments are drawn evenly from the time that the unbroken run takes from its first checkpoint to
the end of its test. `--write` puts the table into docs/reliability.md.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from litzoo.scripts.benchmarks.killed_training import KilledTraining, moments, read_places
from litzoo.scripts.benchmarks.report import circumstances, publish, shown
from litzoo.scripts.tables import markdown_table

DOCUMENT = Path("docs/reliability.md")


def measure(options: Sequence[str], kills: int, seed: int) -> dict[str, Any]:
    """Trains twice, once with kills.

    Returns:
        `kills`, where they hit; `metrics` of both trainings; `equal`: whether all metrics and weights are.
    """
    with tempfile.TemporaryDirectory() as folder:
        unbroken, killed = (KilledTraining(Path(folder, name), options) for name in ("unbroken", "killed"))
        for training in (unbroken, killed):
            training.folder.mkdir()
        unbroken.live()
        planned = moments(read_places(unbroken.notes), kills, seed)
        hits = [hit for moment in planned if (hit := killed.live(until=moment))]
        for hit in hits:
            print(f"killed: {hit}")
        killed.live()
        results = [training.results() for training in (unbroken, killed)]
    same = [
        torch.equal(values, results[1][name][key]) if isinstance(values, torch.Tensor) else True
        for name in ("best.ckpt", "last.ckpt")
        for key, values in results[0][name].items()
    ]
    metrics = [result["metrics"] for result in results]
    return {"kills": [str(hit) for hit in hits], "metrics": metrics, "equal": all(same) and metrics[0] == metrics[1]}


def table(result: dict[str, Any]) -> str:
    """Writes the measurements as text with one table."""
    unbroken, killed = result["metrics"]
    names = [name for name in unbroken if name == "epoch" or name in ("val/loss", "val/acc", "test/loss", "test/acc")]
    rows = [[f"`{name}`", f"{unbroken[name]:.10g}", f"{killed[name]:.10g}"] for name in names]
    equal = "equal to the bit" if result["equal"] else "**not equal**"
    times = f"{len(result['kills'])} times"
    return (
        f"`{result['config']}`, {result['epochs']} epochs and the test, ended by SIGKILL {times} and resumed with "
        f"`--ckpt_path last`: all metrics, and the weights of both checkpoints, are {equal}. {shown(result)}.\n\n"
        + markdown_table(["", "never killed", f"killed {times}"], rows)
        + f"\n\nKilled in {'; '.join(result['kills'])}."
    )


def main() -> None:
    """Measures, prints, and writes if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="configs/mnist_cnn.yaml", help="what is trained (default: mnist_cnn)")
    parser.add_argument("--epochs", type=int, default=8, help="of the training (default: 8)")
    parser.add_argument("--kills", type=int, default=10, help="how often it is killed (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    parser.add_argument("--write", action="store_true", help=f"put the table into {DOCUMENT}")
    arguments = parser.parse_args()
    if arguments.epochs < 2:
        parser.error(f"--epochs {arguments.epochs}: at least 2; before the first checkpoint nothing can be resumed")
    options = ["--config", arguments.config, "--trainer.max_epochs", str(arguments.epochs)]
    measured = measure([*options, "--trainer.accelerator", "cpu"], arguments.kills, arguments.seed)
    asked = {"config": Path(arguments.config).stem, "epochs": arguments.epochs}
    result = {**circumstances(), **asked, **measured}
    print(table(result))
    if arguments.write:
        publish("kills", result, table(result), DOCUMENT)


if __name__ == "__main__":
    main()
