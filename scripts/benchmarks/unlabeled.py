"""Measures what an unlabeled sample costs in FixMatch, beside what its passes through the network cost in a bare loop.

Usage: python -m litzoo.scripts.benchmarks.unlabeled [--rounds 7] [--write]

Both train the CNN of `mnist_1000_fixmatch` for some steps, with and without unlabeled samples; the difference is what
these cost. The bare loop has their images ready, augmented and normalised, as tensors: a forward pass of the weak
view, and a forward and backward pass of the strong one. `--write` puts the table into docs/performance.md.
"""

import statistics
import tempfile
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from litzoo.scripts.benchmarks.report import in_turns, run_in_rounds, shown
from litzoo.scripts.benchmarks.ways import EpochClock
from litzoo.scripts.cli.main import LitzooCLI, run
from litzoo.scripts.tables import markdown_table

CONFIG = "configs/mnist_1000_fixmatch.yaml"
STEPS, LABELED, UNLABELED = 20, 64, 448


def litzoo(unlabeled: bool, precision: str, folder: str, epochs: int = 1) -> LitzooCLI:
    """Trains the steps with the command; without unlabeled samples as many labeled ones are asked for."""
    data = ["--data.train_size", str(800 + STEPS * UNLABELED)]
    if not unlabeled:
        data = [
            "--data.train_size",
            str(STEPS * LABELED),
            "--data.num_labeled",
            "null",
            "--model.pseudo_labels",
            "null",
        ]
        data += ["--data.unlabeled_batch_size", "null"]
    # fmt: off
    return run([
        "fit", "--config", CONFIG, *data, "--test_after_fit", "false", "--trainer.max_epochs", str(epochs),
        "--trainer.accelerator", "cpu", "--trainer.precision", precision, "--trainer.default_root_dir", folder,
        "--trainer.callbacks+=litzoo.scripts.benchmarks.ways.EpochClock",
    ])
    # fmt: on


def seconds_of(built: LitzooCLI) -> float:
    """Returns how long the epoch took."""
    callbacks = built.trainer.callbacks  # type: ignore[attr-defined]
    return next(callback.seconds for callback in callbacks if isinstance(callback, EpochClock))


class BareLoop:
    """The same network and optimizer, and nothing else."""

    def __init__(self, module: Any, precision: str) -> None:
        self.module = module.train()
        self.optimizer = module.make_optimizer(module.net.parameters())
        self.autocast = precision == "bf16-mixed"
        self.labeled, self.weak, self.strong = (
            [torch.randn(size, 1, 28, 28) for _ in range(STEPS)] for size in (LABELED, UNLABELED, UNLABELED)
        )
        self.target = torch.randint(10, (LABELED,))

    def train(self, unlabeled: bool) -> None:
        """Takes the steps."""
        for step in range(STEPS):
            with torch.autocast("cpu", torch.bfloat16, enabled=self.autocast):
                loss = F.cross_entropy(self.module(self.labeled[step]), self.target)
                if unlabeled:
                    loss = loss + self.of_unlabeled(step)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    def of_unlabeled(self, step: int) -> Tensor:
        """Returns the loss of the unlabeled batch."""
        with torch.no_grad():
            label = self.module(self.weak[step]).argmax(dim=1)
        return F.cross_entropy(self.module(self.strong[step]), label)


def measure(rounds: int, precision: str) -> dict[str, list[float]]:
    """Trains in turns; returns the seconds of all steps, way -> one number for each round."""
    with tempfile.TemporaryDirectory() as folder:
        bare = BareLoop(litzoo(True, precision, folder, epochs=0).model, precision)
        clocked: dict[str, list[float]] = {"litzoo with": [], "litzoo without": []}
        turns: dict[str, Any] = {
            "litzoo with": lambda: clocked["litzoo with"].append(seconds_of(litzoo(True, precision, folder))),
            "litzoo without": lambda: clocked["litzoo without"].append(seconds_of(litzoo(False, precision, folder))),
            "bare with": lambda: bare.train(True),
            "bare without": lambda: bare.train(False),
        }
        seconds = in_turns(turns, rounds)
    return seconds | {way: times[1:] for way, times in clocked.items()}  # the clock leaves out setting up


def table(result: dict[str, Any]) -> str:
    """Writes the measurements as text with one table."""
    rows = []
    for precision, seconds in result["seconds"].items():
        costs = {
            way: [
                1000 * (more - less) / (STEPS * UNLABELED)
                for more, less in zip(seconds[f"{way} with"], seconds[f"{way} without"], strict=True)
            ]
            for way in ("bare", "litzoo")
        }
        ratios = [ours / theirs for ours, theirs in zip(costs["litzoo"], costs["bare"], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        shown_costs = [f"{statistics.median(costs[way]):.3f} ms" for way in ("bare", "litzoo")]
        rows.append([precision, *shown_costs, f"{middle:.2f} × ({low:.2f} to {high:.2f})"])
    header = ["precision", "its passes in a bare loop", "`litzoo fit`", "round by round: median (quartiles)"]
    return (
        f"An unlabeled sample of `mnist_1000_fixmatch`. {shown(result)}; medians of {result['rounds']} interleaved "
        f"rounds of {STEPS} steps with {LABELED} labeled and {UNLABELED} unlabeled samples.\n\n"
        + markdown_table(header, rows)
    )


def main() -> None:
    """Measures, prints, and writes if asked."""

    def measured(rounds: int) -> dict[str, Any]:
        return {"seconds": {precision: measure(rounds, precision) for precision in ("32-true", "bf16-mixed")}}

    run_in_rounds("benchmark_unlabeled", __doc__, 7, measured, table)


if __name__ == "__main__":
    main()
