"""Which labels the runs of a comparison are evaluated on, from the files that trainings and tests write."""

import json
from pathlib import Path

import pytest

from litzoo.scripts.compare.compared_run import ComparedRun
from litzoo.scripts.compare.doubts import other_labels


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(variant, seed=0, splits=None, best=0, last=0):
    """A run whose tests of the best and the last checkpoint dropped so many samples."""
    made = ComparedRun(variant, seed, ["--config", "a.yaml"], Path("runs"), "labels")
    made.begin(["fit"])
    version = made.folder / "version_0"
    version.mkdir()
    (version / "splits.json").write_text(json.dumps(splits or {}))
    for name, dropped in (("metrics", best), ("metrics_last", last)):
        changed = {"test/corrections/dropped": float(dropped)} if dropped else {}
        (version / f"{name}.json").write_text(json.dumps({"test/acc": 0.5, **changed}))
    return made


def test_the_metrics_of_the_compared_checkpoint_say_which_labels_it_was_tested_on():
    """`splits.json` has the corrections of the last test only, which was that of the other checkpoint."""
    corrected, plain = run("corrected", best=2), run("plain")
    text = other_labels([corrected, plain], "best")
    assert "changes 2 labels of corrected, and none of plain" in text
    assert "--ckpt_path best --data.corrections FILE" in text
    assert other_labels([corrected, plain], "last") is None
    tested = {"test_corrections": {"file": "c.csv", "dropped": {"test": 2}}}
    assert other_labels([run("a", splits=tested, last=2), run("b", splits=tested, last=2)], "last") is None


def test_corrections_of_some_seeds_only_are_told():
    tested = {"test_corrections": {"file": "c.csv", "dropped": {"test": 3}}}
    runs = [run("a", 0, tested, best=3), run("a", 1), run("b", 0, tested, best=3), run("b", 1, tested, best=3)]
    assert "(of some runs of a only)" in other_labels(runs, "best")
    assert other_labels([each for each in runs if each.seed == 0], "best") is None
