import json
import signal
import sys
from pathlib import Path
from statistics import mean, stdev

import pytest
import torch

from litzoo.datamodules import DigitsDataModule
from litzoo.scripts.cli.classes import class_at
from litzoo.scripts.compare import queue as compare_queue
from litzoo.scripts.open_set_splits import (
    class_names_of,
    known_classes,
    main,
    open_set_splits,
    table,
    worse_than_chance,
)
from tests.scripts.ended import end_by_signal
from tests.scripts.helpers import CONFIGS, SHORT, litzoo

DIGITS = [str(digit) for digit in range(10)]
AUROC = {"MaxLogit": [0.95, 0.93, 0.97], "MaxSoftmax": [0.90, 0.91, 0.95], "ViM": [0.99, 0.95, 0.96]}
ROWS = ["ViM", "MaxLogit", "MaxSoftmax"]  # best first
COMMAND = ["digits.yaml", "--splits", "3"]
PAGE = "before\n<!-- splits digits_6_of_10 -->\n<!-- /splits digits_6_of_10 -->\nafter\n"


def config_of(data, report="[{class_path: ViM}]"):
    detector = f"{{class_path: UnknownClassDetector, init_args: {{report: {report}}}}}"
    return f"data: {{class_path: {data}}}\ntrainer: {{callbacks: [{detector}]}}\n"


def found(split, **more):
    return {f"test/unknown/auroc/{name}": values[split] for name, values in AUROC.items()} | {
        "test/acc": 0.9,
        "test/unknown/auroc": AUROC["MaxLogit"][split],
        **more,
    }


@pytest.fixture
def stand_in(monkeypatch):
    """A config, and a stand-in for `litzoo` that trains nothing."""
    monkeypatch.setattr(compare_queue, "LITZOO", [sys.executable, str(Path(__file__).with_name("fake_litzoo.py"))])
    monkeypatch.setattr(compare_queue, "POLL_SECONDS", 0.02)
    Path("digits.yaml").write_text(config_of("DigitsDataModule"))
    Path("scores.json").write_text(json.dumps({f"split_{split}": {"seed_0": [found(split)]} for split in range(3)}))
    checkpoints = Path("template/checkpoints")
    checkpoints.mkdir(parents=True)
    for name in ("best", "last"):
        torch.save({"state_dict": {}, "pytorch-lightning_version": "2"}, checkpoints / f"{name}.ckpt")
    Path("template/config.yaml").write_text("trainer: {max_epochs: 2}\ncheckpoint: {monitor: val/acc}\n")
    facts = {"hardware": "a box", "precision": "32-true", "torch": "2", "date": "2026-01-02", "epochs": 2}
    Path("template/run.json").write_text(json.dumps({"command": "", "seed": 0, **facts}))


def calls():
    """Returns the arguments of each training since the last call of this, by split."""
    path = Path("calls.jsonl")
    lines = [json.loads(line)["arguments"] for line in path.read_text().splitlines()] if path.exists() else []
    path.unlink(missing_ok=True)
    return {words[words.index("--experiment") + 1].split("/")[-2]: words for words in lines}


def printed(capsys):
    """Returns the cells of the table, row by row."""
    lines = [line for line in capsys.readouterr().out.splitlines() if "│" in line]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


@pytest.mark.parametrize(
    ("split", "count", "expected"),
    [
        # Sorted beginnings of numpy's frozen permutations: 2 8 4 9 1 6 7 3 0 5, 2 9 6 4 0 3 ..., 4 1 5 0 7 2 ...
        (0, 6, "124689"),
        (1, 6, "023469"),
        (2, 6, "012457"),
        (0, 2, "28"),
        (0, 9, "012346789"),
    ],
)
def test_the_classes_of_a_split_do_not_depend_on_the_random_state(split, count, expected):
    assert known_classes(DIGITS, count, split) == list(expected)
    torch.rand(3)
    assert known_classes(DIGITS, count, split) == list(expected)


def test_class_names_keep_the_order_of_the_data_set():
    names = class_at("CIFAR10DataModule").class_names
    assert known_classes(names, 6, 0) == ["automobile", "bird", "deer", "frog", "ship", "truck"]


@pytest.mark.parametrize("count", [-1, 0, 1, 10, 11])
def test_too_few_or_too_many_known_classes_are_refused(count):
    with pytest.raises(ValueError, match=rf"--known {count}: of 10 classes, at least 2 .* at least 1"):
        known_classes(DIGITS, count, 0)


def test_the_table_equals_that_computed_by_hand():
    header, rows = table({split: found(split) for split in range(3)})
    assert header == ["score", "AUROC, mean ± std of 3 splits", "split 0", "split 1", "split 2"]
    assert [row[0] for row in rows] == [f"`{name}`" for name in ROWS]
    assert rows[1] == ["`MaxLogit`", "95.00 ± 2.00", "95.00", "93.00", "97.00"]
    for name, row in zip(ROWS, rows, strict=True):
        assert row[1] == f"{100 * mean(AUROC[name]):.2f} ± {100 * stdev(AUROC[name]):.2f}"


def test_scores_worse_than_chance_are_named_with_their_splits():
    metrics = {split: found(split) for split in range(3)}
    assert worse_than_chance(metrics) is None
    metrics[0]["test/unknown/auroc/ViM"] = metrics[2]["test/unknown/auroc/ViM"] = 0.49
    metrics[1]["test/acc"] = 0.3
    assert worse_than_chance(metrics) == "Worse than chance, and not to be used here: `ViM` on split 0, 2."


def test_without_several_scores_there_is_no_table():
    with pytest.raises(ValueError, match=r"no run reports several scores: .*report"):
        table({split: {"test/unknown/auroc": 0.9, "test/acc": 0.9} for split in range(2)})


def test_a_score_without_a_result_on_a_split_has_an_empty_cell():
    metrics = {split: found(split) for split in range(3)}
    del metrics[0]["test/unknown/auroc/ViM"], metrics[1]["test/unknown/auroc/MaxSoftmax"]
    del metrics[2]["test/unknown/auroc/MaxSoftmax"]
    assert table(metrics)[1] == [
        ["`ViM`", "95.50 ± 0.71 (of 2)", "", "95.00", "96.00"],
        ["`MaxLogit`", "95.00 ± 2.00", "95.00", "93.00", "97.00"],
        ["`MaxSoftmax`", "90.00 (of 1)", "90.00", "", ""],
    ]


@pytest.mark.parametrize(
    "config",
    [
        "trainer: {callbacks: {class_path: UnknownClassDetector, init_args: {report: [Energy]}}}",
        "trainer: {callbacks: [RunSummary, {class_path: UnknownClassDetector, init_args: {report: [ViM]}}]}",
    ],
)
def test_a_config_may_use_short_class_names(config):
    Path("short.yaml").write_text(f"data: DigitsDataModule\n{config}\n")
    assert list(class_names_of(Path("short.yaml"))) == DIGITS


def test_each_split_is_trained_once(stand_in, capsys):
    open_set_splits([*COMMAND, "--common", "--trainer.max_epochs=1 --data.val_size=100"])
    first, done = printed(capsys), calls()
    assert [row[0] for row in first[-3:]] == [f"`{name}`" for name in ROWS]
    assert first[-2][1:] == ["95.00 ± 2.00", "95.00", "93.00", "97.00"]
    assert done.keys() == {"split_0", "split_1", "split_2"}
    for split in range(3):
        words = done[f"split_{split}"]
        asked = json.dumps(known_classes(DIGITS, 6, split))
        assert words[:5] == ["fit", "--config", "digits.yaml", "--trainer.max_epochs=1", "--data.val_size=100"]
        assert words[5] == f"--data.known_classes={asked}"
        assert words[words.index("--seed_everything") + 1] == "0"
        assert Path("runs", words[words.index("--experiment") + 1], "version_0").is_dir()
    open_set_splits([*COMMAND, "--common", "--trainer.max_epochs=1 --data.val_size=100"])
    assert calls() == {}
    assert printed(capsys)[-3:] == first[-3:]
    open_set_splits([*COMMAND, "--known", "5"])
    assert len(calls()) == 3


def test_table_and_numbers_are_written(stand_in):
    page = Path("docs/page.md")
    page.parent.mkdir()
    page.write_text(PAGE)
    open_set_splits([*COMMAND, "--write", str(page)])
    text = page.read_text()
    assert "| `MaxLogit` | 95.00 ± 2.00 | 95.00 | 93.00 | 97.00 |" in text
    assert "a box, 32-true, torch 2, 2026-01-02." in text
    assert "litzoo open-set-splits digits.yaml --splits 3 --write docs/page.md" in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    result = json.loads(Path("docs/results/splits_digits_6_of_10.json").read_text())
    assert result["known_classes"]["1"] == list("023469")
    assert result["metrics"]["2"]["test/unknown/auroc/ViM"] == 0.96


def test_a_failure_does_not_stop_the_others_and_nothing_is_written(stand_in, capsys):
    Path("orders.json").write_text(json.dumps({"split_1/seed_0": "fail"}))
    page = Path("page.md")
    page.write_text(PAGE)
    with pytest.raises(SystemExit) as ended:
        open_set_splits([*COMMAND, "--write", "page.md"])
    assert ended.value.code == 1
    captured = capsys.readouterr()
    assert "1 of 3 splits failed: split_1, seed 0" in captured.err
    assert "train/loss is nan" in captured.out
    assert "AUROC" not in captured.out
    assert page.read_text() == PAGE
    Path("orders.json").unlink()
    calls()
    open_set_splits(COMMAND)
    assert list(calls()) == ["split_1"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["none.yaml"], "none.yaml: there is no such config"),
        (["digits.yaml", "--known", "10"], "--known 10: of 10 classes"),
        (["digits.yaml", "--splits", "1"], "--splits 1 --jobs 1: takes at least 2 splits"),
        (["digits.yaml", "--jobs", "0"], "--splits 5 --jobs 0: .* 1 job"),
        (["digits.yaml", "--common=--seed_everything 3"], "--common: --seed_everything is set by the comparison"),
        (["digits.yaml", "--write", "digits.yaml"], "--write digits.yaml: needs a page with one pair of lines"),
        (["one_score.yaml"], "one_score.yaml: has no UnknownClassDetector whose `report` lists further scores"),
        (["no_detector.yaml"], "no_detector.yaml: has no UnknownClassDetector"),
        (["folder.yaml"], "folder.yaml: the classes of ImageFolderDataModule are unknown before its data are read"),
    ],
)
def test_invalid_options_are_refused_before_any_training(options, message, stand_in):
    Path("one_score.yaml").write_text(config_of("DigitsDataModule", "[]"))
    Path("no_detector.yaml").write_text("data: {class_path: DigitsDataModule}\n")
    Path("folder.yaml").write_text(config_of("ImageFolderDataModule"))
    with pytest.raises(ValueError, match=message):
        open_set_splits(options)
    assert calls() == {}


def test_a_signal_stops_all_trainings(stand_in, capsys):
    Path("orders.json").write_text(json.dumps({f"split_{split}/seed_0": "hang" for split in range(2)}))
    assert end_by_signal(signal.SIGTERM, main, [*COMMAND, "--jobs", "2"], trainings=2) == 130
    assert "same command again to resume" in capsys.readouterr().err


def test_the_value_of_common_may_begin_with_an_option(stand_in):
    open_set_splits([*COMMAND, "--common", "--trainer.max_epochs=1"])
    assert all("--trainer.max_epochs=1" in words for words in calls().values())


def test_the_options_of_a_split_are_valid_for_the_command():
    known = known_classes(DigitsDataModule.class_names, 6, 0)
    config = ["--config", str(CONFIGS / "digits_unknown.yaml"), "--trainer.callbacks=null", "--model.widths=[4]"]
    cli = litzoo("fit", *config, *SHORT, f"--data.known_classes={json.dumps(known)}")
    assert cli.datamodule.class_names == tuple(known) == tuple(cli.model.class_names)


def test_a_shipped_experiment_goes_by_its_short_name(stand_in):
    open_set_splits(["mnist_unknown_cnn", "--splits", "3", "--runs", "here"])
    assert all(words[:3] == ["fit", "--config", "mnist_unknown_cnn"] for words in calls().values())
    assert {path.name for path in Path("here/splits_mnist_unknown_cnn_6_of_10").glob("split_*")} == {
        *("split_0", "split_1", "split_2")
    }
