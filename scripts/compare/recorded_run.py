"""Runs that an earlier comparison has written down, whose folders are elsewhere or deleted."""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from litzoo.scripts.compare.compared_run import ComparedRun

EARLIER = "some by an earlier comparison"
"""How a run that another comparison has trained was trained."""
_NOT_OF_RUN_JSON = (
    *("metrics", "fold", "ways", "contents", "corrections"),
    *("wrong_validation_labels", "validation_samples"),
)
"""What the result file has of a run beside the content of its `run.json`."""


class RecordedRun(ComparedRun):
    """A finished run of which only the entry in the result file of an earlier comparison is left.

    Args:
        run: The same run, which has no folder here.
        entry: What the file has of it.
        history: Metric -> epoch (from 1) -> value; only of the curves in the file.
    """

    def __init__(self, run: ComparedRun, entry: Mapping[str, Any], history: dict[str, dict[int, float]]) -> None:
        self.__dict__.update(run.__dict__)  # the same variant, seed, options and folder
        self._entry, self.__dict__["history"] = entry, history
        unchecked = "" if "contents" in entry else ", whose file does not say with which content of its configs"
        self.found = f"from an earlier comparison{unchecked}"

    def next_command(self, epoch: str) -> list[str] | None:
        """Returns None: the run is finished."""
        return None

    def metrics(self, epoch: str) -> dict[str, float]:
        """Returns the metrics in the file."""
        return dict(self._entry["metrics"])

    def record(self) -> dict[str, Any]:
        """Returns the content of `run.json`."""
        return {name: value for name, value in self._entry.items() if name not in _NOT_OF_RUN_JSON}

    def ways(self) -> list[str]:
        """Returns how the run was trained, in words."""
        return sorted({*self._entry.get("ways", ()), EARLIER})

    def config(self) -> dict[str, Any]:
        """Returns nothing: the file does not have all options."""
        return {}

    def wrong_validation_labels(self) -> float:
        """Returns the fraction of wrong validation labels."""
        return float(self._entry.get("wrong_validation_labels", 0))

    def validation_samples(self) -> int | None:
        """Returns the number of validation samples; `None` where it is not known."""
        return self._entry.get("validation_samples")

    def corrections(self, epoch: str) -> dict[str, Any]:
        """Returns what the file has of the corrections of labels that the evaluation had."""
        return dict(self._entry.get("corrections", {}))


def with_earlier(runs: Sequence[ComparedRun], file: Path, epoch: str) -> list[ComparedRun]:
    """Replaces runs that are not finished here by those in the result file of an earlier comparison.

    Args:
        runs: The runs of the comparison.
        file: `results.json` of a comparison.
        epoch: Checkpoint that is evaluated, `best` or `last`.

    Raises:
        ValueError: If the file is not that of a comparison or has none of these runs, or if its runs had another
            checkpoint evaluated, other options or other contents of their configs.
    """
    content = _read(file)
    if content["epoch"] != epoch:
        raise ValueError(f"--earlier {file}: has the results of the {content['epoch']} epoch; give the same --epoch")
    found = [_recorded(run, file, content) for run in runs]
    if not any(found):
        theirs = ", ".join(content["variants"])
        raise ValueError(f"--earlier {file}: has none of these runs; it has seeds of {theirs}")
    pairs = zip(runs, found, strict=True)
    return [other if other and run.next_command(epoch) is not None else run for run, other in pairs]


def _recorded(run: ComparedRun, file: Path, content: Mapping[str, Any]) -> RecordedRun | None:
    """Returns the run of a variant with this seed and fold that the file has, if it has one."""
    variant = content["variants"].get(run.variant, {"runs": []})
    fold = None if run.fold is None else run.fold.number
    entry = next((each for each in variant["runs"] if (each["seed"], each.get("fold")) == (run.seed, fold)), None)
    if entry is None:
        return None
    if variant["options"] != run.options:
        theirs, ours = shlex.join(variant["options"]), shlex.join(run.options)
        raise ValueError(f"--earlier {file}: {run.variant} was trained with {theirs!r}, and is with {ours!r}")
    contents = run.contents()
    if changed := [word for word, before in entry.get("contents", {}).items() if contents.get(word) != before]:
        names = ", ".join(changed)
        raise ValueError(f"--earlier {file}: {run.variant} was trained with another content of {names}")
    once = {  # files of earlier versions have these once for all runs
        name: values[0]
        for name in ("wrong_validation_labels", "validation_samples")
        if (values := content.get(name)) and name not in entry
    }
    key = str(run.seed if run.fold is None else run.seed * run.fold.of + run.fold.number)
    curves = {
        metric: {int(epoch): value for epoch, value in values.get(run.variant, {}).get(key, {}).items()}
        for metric, values in content["curves"].items()
    }
    return RecordedRun(run, {**once, **entry}, {metric: values for metric, values in curves.items() if values})


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"--earlier {file}: cannot be read as JSON: {error}") from None
    if not _is_result(content):
        raise ValueError(f"--earlier {file}: takes the results.json of a comparison")
    return content


def _is_result(content: Any) -> bool:
    """Whether a file has what is read of it."""
    if not isinstance(content, dict) or not {"epoch", "variants", "curves"} <= content.keys():
        return False
    if not isinstance(content["variants"], dict) or not isinstance(content["curves"], dict):
        return False
    variants = content["variants"].values()
    if not all(isinstance(each, dict) for each in variants):
        return False
    return all({"options", "runs"} <= each.keys() for each in variants) and all(
        isinstance(run, dict) and {"seed", "metrics"} <= run.keys() for each in variants for run in each["runs"]
    )
