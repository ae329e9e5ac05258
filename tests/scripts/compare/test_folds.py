"""Cross-validation by `litzoo compare --folds`."""

import csv
import json
import shutil
import statistics
from pathlib import Path

import pytest
from torch.utils.tensorboard import SummaryWriter

from litzoo.datamodules import DigitsDataModule
from litzoo.scripts.compare.command import compare
from litzoo.scripts.compare.options import parse
from litzoo.scripts.tables import mean_interval
from tests.scripts.compare.stand_in import set_orders, stand_in, use_the_real_command  # noqa: F401 (a fixture)
from tests.scripts.helpers import CONFIGS

FOLDS = 3


def log_accuracies(values):
    """Makes the template of a run have these validation accuracies, one an epoch."""
    for path in Path("template").glob("events*"):
        path.unlink()
    with SummaryWriter("template") as board:
        for epoch, value in enumerate(values):
            board.add_scalar("val/acc", value, 10 * epoch)
            board.add_scalar("epoch", epoch, 10 * epoch)


def set_accuracy(variant, seed, fold, value):
    """Replaces the accuracies of a finished run."""
    folder = Path(f"runs/compare_noise/{variant}/seed_{seed}_fold_{fold}/version_0")
    for path in folder.glob("events*"):
        path.unlink()
    log_accuracies([0.99, value])
    shutil.copy(next(Path("template").glob("events*")), folder)


def rows_in(path):
    with Path(path).open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("seeds", [[0], [0, 1]])
def test_each_variant_is_trained_on_every_fold_and_never_tested(seeds, capsys):
    scores = {f"seed_{seed}_fold_{fold}": [0, 0] for seed in seeds for fold in range(FOLDS)}
    Path("scores.json").write_text(json.dumps(dict.fromkeys(("ce", "gce"), scores)))
    command = ["ce.yaml", "gce.yaml", "--folds", str(FOLDS), "--name", "noise", "--seeds", *map(str, seeds)]
    compare(command)
    calls = [json.loads(line)["arguments"] for line in Path("calls.jsonl").read_text().splitlines()]
    assert len(calls) == 2 * FOLDS * len(seeds)
    for words in calls:
        assert words[0] == "fit"
        assert words[words.index("--test_after_fit") + 1] == "false"
        assert words[words.index("--data.folds") + 1] == str(FOLDS)
        place = words[words.index("--experiment") + 1]
        assert place.endswith(f"_fold_{words[words.index('--data.fold') + 1]}")
    values = {"ce": [0.7, 0.8, 0.9], "gce": [0.74, 0.83, 0.91]}
    for variant, own in values.items():
        for fold, value in enumerate(own):
            for seed in seeds:
                set_accuracy(variant, seed, fold, value + 0.01 * seed)
    capsys.readouterr()
    compare(command)
    assert len(Path("calls.jsonl").read_text().splitlines()) == len(calls)  # nothing is trained again
    rows = rows_in("runs/compare_noise/results.csv")
    assert [(row["variant"], row["seed"], row["fold"]) for row in rows] == [
        (variant, str(seed), str(fold)) for variant in values for seed in seeds for fold in range(FOLDS)
    ]
    for row in rows:
        expected = values[row["variant"]][int(row["fold"])] + 0.01 * int(row["seed"])
        assert float(row["val/acc"]) == pytest.approx(expected, abs=1e-6)
        assert not [name for name in row if name.startswith("test/")]
    found = json.loads(Path("runs/compare_noise/results.json").read_text())
    differences = [a - b for a, b in zip(values["gce"], values["ce"], strict=True)]
    low, high = mean_interval(differences)
    assert found["variants"]["gce"]["difference"] == pytest.approx(
        {"mean": statistics.mean(differences), "low": low, "high": high, "pairs": FOLDS}, abs=1e-6
    )
    page = " ".join(Path("runs/compare_noise/results.md").read_text().split())
    assert "3-fold cross-validation without the test set, last epoch" in page
    assert "paired by fold, with Student's t intervals, which are somewhat too narrow" in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--folds", "1"], "--folds 1: give at least 2"),
        (["--folds", "3", "--epoch", "best"], "--epoch best: it is chosen on the fold that is compared"),
        (["--folds", "3", "--metric", "test/acc"], "--metric test/acc: takes a validation or training metric, such as"),
        (["--folds", "3", "--common", "--data.fold 1"], "variant ce: --data.fold is set by --folds; leave it out"),
        (["--folds", "3", "--common", "--data.folds=4"], "variant ce: --data.folds=4 is set by --folds; leave it out"),
    ],
)
def test_options_that_do_not_go_with_folds_are_refused(words, message):
    with pytest.raises(ValueError, match=message):
        compare(["ce.yaml", "--name", "noise", *words])
    assert not Path("runs").exists()


def test_only_runs_that_both_variants_have_are_compared(capsys):
    seeds, place = (0, 1), "seed_{}_fold_{}"
    scores = {place.format(seed, fold): [0, 0] for seed in seeds for fold in range(FOLDS)}
    Path("scores.json").write_text(json.dumps(dict.fromkeys(("ce", "gce"), scores)))
    set_orders(gce_seed_0_fold_0="fail", gce_seed_0_fold_1="fail")
    command = ["ce.yaml", "gce.yaml", "--folds", str(FOLDS), "--name", "noise", "--seeds", "0", "1"]
    with pytest.raises(SystemExit):
        compare(command)
    values = {"ce": [[0.2, 0.7], [0.3, 0.7], [0.6, 0.8]], "gce": [[None, 0.8], [None, 0.9], [0.7, 0.8]]}
    for variant, folds in values.items():
        for fold, by_seed in enumerate(folds):
            for seed, value in enumerate(by_seed):
                if value is not None:
                    set_accuracy(variant, seed, fold, value)
    capsys.readouterr()
    with pytest.raises(SystemExit):
        compare(command)
    # Folds 0 and 1 have seed 1 in common, fold 2 both.
    low, high = mean_interval(differences := [0.8 - 0.7, 0.9 - 0.7, (0.7 - 0.6 + 0.8 - 0.8) / 2])
    found = json.loads(Path("runs/compare_noise/results.json").read_text())
    assert found["variants"]["gce"]["difference"] == pytest.approx(
        {"mean": statistics.mean(differences), "low": low, "high": high, "pairs": FOLDS}, abs=1e-6
    )
    page = Path("runs/compare_noise/results.md").read_text()
    (row,) = (line for line in page.splitlines() if line.startswith("| `gce`"))
    assert "; 4 common runs |" in row


def test_folds_have_one_seed_by_default_and_seeds_alone_three():
    assert parse(["ce.yaml", "--folds", "5"], "").seeds == [0]
    assert parse(["ce.yaml"], "").seeds == [0, 1, 2]


@pytest.mark.slow
def test_the_real_command_cross_validates(monkeypatch):
    use_the_real_command(monkeypatch)
    options = "--trainer.max_epochs=2 --trainer.accelerator=cpu --model.hidden=[16]"
    compare([str(CONFIGS / "digits_mlp.yaml"), "--folds", "2", "--name", "cv", f"--common={options}"])
    rows = rows_in("runs/compare_cv/results.csv")
    assert [row["fold"] for row in rows] == ["0", "1"]
    sizes = []
    for row in rows:
        folder = Path(f"runs/compare_cv/digits_mlp/seed_0_fold_{row['fold']}/version_0")
        metrics = json.loads((folder / "metrics.json").read_text())
        assert not [name for name in metrics if name.startswith("test/")]
        split = json.loads((folder / "splits.json").read_text())
        assert split["fold"] == {"number": int(row["fold"]), "of": 2}
        sizes.append(split["sizes"]["val"])
        assert 0.1 < float(row["val/acc"]) <= 1
    assert abs(sizes[0] - sizes[1]) <= 1


@pytest.mark.slow
def test_labels_that_corrections_change_are_counted_over_all_folds(monkeypatch, capsys):
    use_the_real_command(monkeypatch)
    data = DigitsDataModule()
    data.setup("fit")
    rows = [f"{number},train,{old},relabel,{(old + 1) % 10}" for number, old in enumerate(data.targets[:5].tolist())]
    Path("fixed.csv").write_text("\n".join(["index,part,given,action,label", *rows]) + "\n")
    options = "--trainer.max_epochs=1 --trainer.accelerator=cpu --model.hidden=[8] --trainer.limit_train_batches=2"
    command = [str(CONFIGS / "digits_mlp.yaml"), "--folds", "2", "--name", "labels", f"--common={options}"]
    compare([*command, "--variant", "before:", "--variant", "after: --data.corrections fixed.csv"])
    assert "data.corrections changes 5 labels of after, and none of before." in capsys.readouterr().out
    counts = [
        json.loads(path.read_text())["corrections"]["relabelled"].get("val", 0)
        for path in Path("runs/compare_labels/after").glob("*/version_0/splits.json")
    ]
    assert len(counts) == 2
    assert sum(counts) == 5
    assert max(counts) < 5
