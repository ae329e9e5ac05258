"""Measures why training again on corrected labels recovers only a part of what wrong labels cost.

Usage: python -m litzoo.scripts.benchmarks.wrong_labels.retraining [--seeds 10] [--states ...] [--cache DIR] [--write]

Fashion-MNIST, 6,000 samples, symmetric noise of 20 %: one training for each way to use what `NoisyLabelFinder` finds,
and for what it would bring to know more. Accuracies on 5,000 clean validation images, by which ways are to be chosen,
and on the test set. The first training is that of `label_issues`, with the same cache; --write writes
docs/label_issues.md.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from litzoo.lit_modules.label_judgement import LabelJudgement, judge_labels
from litzoo.scripts.benchmarks.harness import environment, format_environment, publish
from litzoo.scripts.benchmarks.wrong_labels.trainings import (
    accuracy,
    cell,
    datamodule_of,
    mean_probabilities,
    predict,
    serve,
    train,
)
from litzoo.scripts.tables import markdown_table

DOCUMENT = Path("docs/label_issues.md")
NAME = "benchmark_retraining"
DATA, NOISE = "fashion", "sym20"
Labels = tuple[Tensor, Tensor]
"""Labels to train with, int64 `[n]`, and which samples are kept, bool `[n]`."""


def confident_ones_relabelled(judgement: LabelJudgement, given: Tensor, certain: float) -> Labels:
    """Relabels flagged labels whose suggestion has at least a probability, and drops the other flagged ones."""
    relabel = (judgement.wrong > 0.5) & (judgement.probability > certain)
    return torch.where(relabel, judgement.suggested, given), relabel | (judgement.wrong <= 0.5)


STATES: dict[str, tuple[str, Callable[[LabelJudgement, Tensor, Tensor], Labels]]] = {
    "noisy": ("labels as they are", lambda _, given, clean: (given, given >= 0)),
    "relabel": (
        "flagged ones relabelled",
        lambda found, given, clean: (torch.where(found.wrong > 0.5, found.suggested, given), given >= 0),
    ),
    "relabel60_drop": (
        "relabelled where the suggestion has above 0.6, other flagged ones dropped",
        lambda found, given, clean: confident_ones_relabelled(found, given, 0.6),
    ),
    "drop": ("flagged ones dropped", lambda found, given, clean: (given, found.wrong <= 0.5)),
    "drop_exactly_wrong": ("exactly the wrong ones dropped", lambda _, given, clean: (given, given == clean)),
    "true_for_flagged": (
        "flagged ones given their true label",
        lambda found, given, clean: (torch.where(found.wrong > 0.5, clean, given), given >= 0),
    ),
    "clean": ("all labels right", lambda _, given, clean: (clean, given >= 0)),
}


def measure(cache: Path, seeds: list[int], states: list[str]) -> dict[str, Any]:
    """Trains once for each state and seed: state -> a dict for each seed, with what is in the cache."""
    results: dict[str, list[dict[str, float]]] = {name: [] for name in STATES if name in states}
    for seed in seeds:
        path = cache / f"retraining_{seed}.json"
        done = json.loads(path.read_text()) if path.exists() else {}
        for name in results:
            if name not in done:
                done[name] = _trained(cell(cache, DATA, NOISE, seed), STATES[name][1], seed)
                path.write_text(json.dumps(done, indent=1) + "\n")
            results[name].append(done[name])
    return {"seeds": seeds, "states": results}


def _trained(found: dict[str, Any], choose: Callable[..., Labels], seed: int) -> dict[str, float]:
    given, clean, rows = (torch.from_numpy(found[name]) for name in ("given", "clean", "index"))
    labels, kept = choose(judge_labels(mean_probabilities(found["epochs"]), given), given, clean)
    datamodule = datamodule_of(DATA, NOISE, seed)
    targets = datamodule.targets.clone()
    targets[rows] = labels
    inputs, held_out = datamodule.val_set.inputs, datamodule.val_set.indices
    serve(datamodule, rows[kept], targets)
    model, _, _ = train(datamodule, DATA, seed)
    predicted = predict(model, datamodule, inputs, held_out).argmax(dim=1)
    return {
        "val": (predicted == datamodule.clean_targets[held_out]).double().mean().item(),
        "test": accuracy(model, datamodule),
        "kept": int(kept.sum()),
        "wrong_left": ((labels != clean) & kept).double().sum().item() / int(kept.sum()),
    }


def table(result: dict[str, Any]) -> str:
    """Formats the result as Markdown."""
    means = {
        name: {key: statistics.mean(each[key] for each in runs) for key in runs[0]}
        for name, runs in result["states"].items()
    }
    rows = []
    for name, mean in means.items():
        lost = {part: means["clean"][part] - means["noisy"][part] for part in ("val", "test")}
        recovered = {part: (mean[part] - means["noisy"][part]) / lost[part] for part in lost}
        rows.append(
            [
                STATES[name][0],
                f"{mean['kept']:,.0f}",
                f"{mean['wrong_left']:.1%}",
                *(f"{100 * mean[part]:.2f} % ({recovered[part]:.0%})" for part in ("val", "test")),
            ]
        )
    header = ["trained on", "samples", "of them wrong", "validation (recovered)", "test (recovered)"]
    facts = (
        f"Fashion-MNIST, symmetric 20 %, seeds {', '.join(map(str, result['seeds']))}. {format_environment(result)}."
    )
    return f"{markdown_table(header, rows)}\n\n{facts}"


def main() -> None:
    """Measures, prints, and with `--write` publishes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[10], help="seeds (default: 10)")
    parser.add_argument("--states", nargs="+", default=list(STATES), choices=list(STATES), help="default: all")
    parser.add_argument("--cache", type=Path, default=Path("runs/label_issues"), help="folder of finished trainings")
    parser.add_argument("--write", action="store_true", help=f"write {DOCUMENT} and its results")
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    result = {**environment(), **measure(arguments.cache, arguments.seeds, arguments.states)}
    print(table(result))
    if arguments.write:
        publish(NAME, result, table(result), DOCUMENT)


if __name__ == "__main__":
    main()
