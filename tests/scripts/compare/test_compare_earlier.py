"""Runs that are taken from the result file of an earlier comparison."""

import json
import shutil
from pathlib import Path

import pytest

from litzoo.datamodules.splits.folds import Fold
from litzoo.scripts.compare.command import compare
from litzoo.scripts.compare.compared_run import ComparedRun
from litzoo.scripts.compare.doubts import changed_data
from litzoo.scripts.compare.recorded_run import with_earlier
from tests.scripts.compare.stand_in import OPTIONS, calls, stand_in  # noqa: F401 (a fixture)

CONFIGS_AND_NAME = ["ce.yaml", "gce.yaml", "--name", "noise"]


@pytest.fixture
def earlier():
    """The results of seed 0, without the folders of the runs."""
    Path("template/splits.json").write_text(json.dumps({"label_noise": {"val": 0.3}, "sizes": {"val": 50}}))
    compare([*CONFIGS_AND_NAME, "--seeds", "0"])
    shutil.copy("runs/compare_noise/results.json", "earlier.json")
    shutil.rmtree("runs")
    calls()
    return Path("earlier.json")


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_only_missing_seeds_are_trained_and_the_results_are_those_of_all(earlier, capsys):
    compare([*OPTIONS, "--earlier", str(earlier)])
    assert set(calls()) == {"ce/seed_1", "gce/seed_1"}
    told = capsys.readouterr().out
    assert "ce, seed 0: from an earlier comparison\n" in told
    text = Path("runs/compare_noise/results.md").read_text()
    mixed = json.loads(Path("runs/compare_noise/results.json").read_text())
    shutil.rmtree("runs")
    compare(OPTIONS)
    whole = json.loads(Path("runs/compare_noise/results.json").read_text())
    assert "some by an earlier comparison" in text
    assert mixed["command"] == whole["command"]  # which trains all of them
    assert {name: mixed[name] for name in ("curves", "metric", "wrong_validation_labels", "validation_samples")} == {
        name: whole[name] for name in ("curves", "metric", "wrong_validation_labels", "validation_samples")
    }
    for variant, result in whole["variants"].items():
        assert mixed["variants"][variant]["difference"] == result["difference"]
        for ours, theirs in zip(mixed["variants"][variant]["runs"], result["runs"], strict=True):
            same = {"seed", "metrics", "contents", "hardware", "date", "training_seconds", "corrections"}
            assert {name: ours[name] for name in same} == {name: theirs[name] for name in same}


def test_results_that_have_all_runs_train_nothing_and_serve_again(earlier):
    compare([*CONFIGS_AND_NAME, "--seeds", "0", f"--earlier={earlier}"])
    assert calls() == {}
    compare([*OPTIONS, "--earlier", "runs/compare_noise/results.json"])
    assert set(calls()) == {"ce/seed_1", "gce/seed_1"}


def test_a_run_that_is_finished_here_is_used(earlier):
    compare([*CONFIGS_AND_NAME, "--seeds", "0"])

    def other_accuracy(content):
        content["variants"]["ce"]["runs"][0]["metrics"]["test/acc"] = 0.1

    edit(earlier, other_accuracy)
    compare([*CONFIGS_AND_NAME, "--seeds", "0", "--earlier", str(earlier)])
    found = json.loads(Path("runs/compare_noise/results.json").read_text())
    assert found["variants"]["ce"]["runs"][0]["metrics"]["test/acc"] == 0.8


def test_dates_and_machines_of_both_are_said(earlier):
    def elsewhere(content):
        for variant in content["variants"].values():
            variant["runs"][0] |= {"hardware": "a cluster", "date": "2025-12-31"}

    edit(earlier, elsewhere)
    compare([*OPTIONS, "--earlier", str(earlier)])
    text = Path("runs/compare_noise/results.md").read_text()
    assert "a box, a cluster, 32-true" in text
    assert "2025-12-31 to 2026-01-02." in text


def test_files_without_the_facts_of_each_run_have_those_of_all_runs(earlier, capsys):
    def older(content):
        for variant in content["variants"].values():
            for name in ("ways", "contents", "wrong_validation_labels", "validation_samples", "corrections"):
                del variant["runs"][0][name]

    edit(earlier, older)
    compare([*CONFIGS_AND_NAME, "--seeds", "0", "--earlier", str(earlier)])
    found = json.loads(Path("runs/compare_noise/results.json").read_text())
    assert (found["wrong_validation_labels"], found["validation_samples"]) == ([0.3], [50])
    told = " ".join(capsys.readouterr().out.split())
    assert "ce, seed 0: from an earlier comparison, whose file does not say with which content of its configs" in told


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda _: Path("ce.yaml").write_text("model: {loss: other}"), [], "ce was trained with another content of ce"),
        (None, ["--common", "--model.lr 1"], "ce was trained with '--config ce.yaml', and is with '--config ce.yaml "),
        (None, ["--epoch", "best"], "has the results of the last epoch; give the same --epoch"),
        (None, ["--seeds", "7"], "has none of these runs; it has seeds of ce, gce"),
        (lambda path: path.write_text("[]"), [], "takes the results.json of a comparison"),
        (lambda path: path.write_text("{"), [], "cannot be read as JSON"),
        (lambda path: edit(path, lambda each: each["variants"].update(ce=[])), [], "takes the results.json of a"),
        (lambda path: edit(path, lambda each: each["variants"]["ce"]["runs"][0].pop("metrics")), [], "takes the res"),
        (lambda path: path.unlink(), [], "cannot be read as JSON: .*No such file"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_trained(earlier, change, options, message):
    if change:
        change(earlier)
    with pytest.raises(ValueError, match=f"--earlier {earlier}: .*{message}"):
        compare([*OPTIONS, *options, "--earlier", str(earlier)])
    assert calls() == {}


def test_folds_are_found_by_seed_and_fold():
    runs = [ComparedRun("a", 1, ["--config", "ce.yaml"], Path("runs"), "x", Fold(number, 2)) for number in range(2)]
    entry = {"seed": 1, "fold": 1, "metrics": {"val/acc": 0.5}, "split_fingerprint": "f"}
    variants = {"a": {"options": ["--config", "ce.yaml"], "runs": [entry]}}
    content = {"epoch": "last", "variants": variants, "curves": {"val/acc": {"a": {"3": {"1": 0.5}}}}}
    Path("earlier.json").write_text(json.dumps(content))
    first, second = with_earlier(runs, Path("earlier.json"), "last")
    assert first is runs[0]
    assert second.next_command("last") is None
    assert (second.metrics("last"), second.history) == ({"val/acc": 0.5}, {"val/acc": {1: 0.5}})


def test_seeds_that_were_trained_on_other_data_are_named(earlier):
    def other_data(content):
        content["variants"]["ce"]["runs"][0]["split_fingerprint"] = "before"

    edit(earlier, other_data)
    record = Path("template/run.json")
    record.write_text(json.dumps(json.loads(record.read_text()) | {"split_fingerprint": "now"}))
    compare([*OPTIONS, "--earlier", str(earlier)])
    runs = [ComparedRun(name, seed, ["--config", f"{name}.yaml"], Path("runs"), "compare_noise")
            for name in ("ce", "gce") for seed in (0, 1)]  # fmt: skip
    found = changed_data(with_earlier(runs, earlier, "last"))
    assert found is not None
    assert "The runs of ce were trained on different data" in found
