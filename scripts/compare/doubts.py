"""What makes the differences of a comparison doubtful: other data, other labels, trainings of other lengths."""

import json
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from litzoo.datamodules.counted import counted
from litzoo.datamodules.splits.folds import Fold
from litzoo.scripts.compare.compared_run import ComparedRun

UNEQUAL = 1.5
"""Factor between the optimizer steps of two variants from which on all are told."""


def changed_data(runs: Sequence[ComparedRun]) -> str | None:
    """Says which variants with the same options of the data were trained on several versions of them."""
    found: dict[str, dict[str, set[str]]] = {}  # variant, and options of the data -> fingerprint -> variants
    for run in runs:
        fingerprint = run.record().get("split_fingerprint")
        if fingerprint is not None and not any("{seed}" in word for word in run.options):
            config = run.config()  # not known of a run of an earlier comparison
            for options in (run.variant, config.get("data")) if config else (run.variant,):
                key = json.dumps([options, str(run.fold)], sort_keys=True, default=str)
                found.setdefault(key, {}).setdefault(fingerprint, set()).add(run.variant)
    changed = set().union(*(variants for each in found.values() if len(each) > 1 for variants in each.values()))
    several = [variant for variant in dict.fromkeys(run.variant for run in runs) if variant in changed]
    if not several:
        return None
    return (
        f"The runs of {', '.join(several)} were trained on different data, which have changed in between; give another "
        "--name to train all of them again."
    )


def other_labels(runs: Sequence[ComparedRun], epoch: str) -> str | None:
    """Says which variants are evaluated on labels that others have not, since `data.corrections` changes them.

    Args:
        runs: The runs of the comparison.
        epoch: Checkpoint that is evaluated, `best` or `last`.
    """
    part = "test" if all(run.fold is None for run in runs) else "val"
    files: dict[str, str] = {}  # variant -> its file of corrections
    changes: dict[str, dict[Fold | None, int]] = {}  # variant -> fold -> how many labels they change
    mixed = set()  # variants of which some seeds have other labels
    for run in runs:
        used = run.corrections(epoch)
        number = sum(used.get(action, {}).get(part, 0) for action in ("relabelled", "dropped"))
        files[run.variant] = str(used["file"]) if number else files.get(run.variant, "")
        folds = changes.setdefault(run.variant, {})
        if folds.setdefault(run.fold, number) != number:
            mixed.add(run.variant)
        folds[run.fold] = max(number, folds[run.fold])
    applied = {name: (file, sum(changes[name].values())) for name, file in files.items()}
    if len(set(applied.values())) < 2 and not mixed:
        return None
    changed = [f"{counted(number, 'label', 'labels')} of {name}" for name, (_, number) in applied.items() if number]
    unchanged = [name for name, (_, number) in applied.items() if not number]
    none = f", and none of {', '.join(unchanged)}" if unchanged else ""
    some = f" (of some runs of {', '.join(sorted(mixed))} only)" if mixed else ""
    text = (
        f"The variants are not evaluated on the same labels: data.corrections changes {' and '.join(changed)}{none}"
        f"{some}. A "
        "part of the difference is that of the labels."
    )
    if part == "val":
        return text
    return (
        f"{text} To compare the models, test the runs of the others with the same corrections, litzoo test --config "
        f"RUN/config.yaml --ckpt_path {epoch} --data.corrections FILE, and repeat this command."
    )


def unequal_lengths(results: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Returns the optimizer steps of each variant, if those of one are 1.5 times those of another.

    Epochs alone do not show it: with a pool of unlabeled samples, an epoch has many more steps.

    Args:
        results: From `collect`.
    """
    steps = {}
    for variant, result in results.items():
        found = [run["optimizer_steps"] for run in result["runs"] if run.get("optimizer_steps")]
        if found:
            steps[variant] = statistics.mean(found)
    if not steps or max(steps.values()) < UNEQUAL * min(steps.values()):
        return None
    return f"Optimizer steps: {', '.join(f'`{variant}` {mean:,.0f}' for variant, mean in steps.items())}."
