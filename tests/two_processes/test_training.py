import csv
import json
import math

import pytest

from tests.counted import count
from tests.scripts.helpers import files_in
from tests.two_processes.processes import PROCESSES
from tests.two_processes.training import EPOCHS, FAMILIES, train

pytestmark = pytest.mark.slow


def predictions(folder):
    with (folder / "predictions.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def steps_an_epoch(name):
    """As docs/scaling.md has it: the larger part is seen once, or all whole batches of it."""
    _, data, options, _ = FAMILIES[name]
    if "num_labeled" in options:
        return math.ceil((options["train_size"] - options["num_labeled"]) / options["unlabeled_batch_size"])
    if "imbalance" in options:
        datamodule = data(**options)
        datamodule.setup("fit")
        return len(datamodule.train_set) // options["batch_size"]
    return math.ceil(options["train_size"] / options["batch_size"])


@pytest.mark.parametrize("name", FAMILIES)
def test_two_processes_end_where_one_does_with_batches_as_large(name, found, folder, tmp_path):
    by_one = train(name, tmp_path)
    ours, theirs = (process["trained", name] for process in found)
    assert ours == theirs
    assert ours["steps"] == by_one["steps"] == EPOCHS * steps_an_epoch(name)
    assert len([metric for metric in by_one["metrics"] if metric.startswith("test/")]) >= 4
    assert ours["metrics"] == pytest.approx(by_one["metrics"], rel=1e-4, abs=1e-5, nan_ok=True)

    run = folder / f"trained {name}"
    assert files_in(run) == files_in(tmp_path)
    assert {"metrics.json", "predictions.csv"} <= files_in(run)
    metrics, expected = (json.loads((each / "metrics.json").read_text()) for each in (run, tmp_path))
    assert metrics == pytest.approx(expected, rel=1e-4, abs=1e-5)
    together, alone = predictions(run), predictions(tmp_path)
    assert [row["index"] for row in together] == [row["index"] for row in alone]
    count("processes tried", PROCESSES)
