import json
from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningDataModule

from litzoo.callbacks import SplitSummary
from litzoo.callbacks.reporting.split_summary import print_split
from litzoo.datamodules import DiabetesDataModule, DigitsDataModule, LongTailed, SymmetricNoise
from litzoo.lit_modules import Regressor, SoftmaxRegression
from tests.callbacks.scripted import Scripted
from tests.training import cpu_trainer

OPTIONS = {
    "known_classes": [3, 5, 8, 9],
    "val_size": 40,
    "train_size": {"per_class": 40},
    "imbalance": LongTailed(4),
    "label_noise": SymmetricNoise(0.2),
    "num_labeled": 0.5,
    "balance_labeled": False,
    "seed": 6,
}
FILE = Path("run/splits.json")


def fit(datamodule, model=None):
    model = model or SoftmaxRegression((1, 28, 28), datamodule.num_classes)
    trainer = cpu_trainer(callbacks=[SplitSummary()])
    trainer.fit(model, datamodule)
    return trainer, model


def rows(printed):
    """Returns the cells of each line of a printed table, without its frame."""
    lines = [line for line in printed.splitlines() if line[:1] in "┃│"]
    return [[cell.strip() for cell in line.strip("┃│ ").replace("┃", "│").split("│")] for line in lines]


def test_the_file_describes_the_split():
    datamodule = DigitsDataModule(**OPTIONS)
    fit(datamodule)
    kept, split, labels = json.loads(FILE.read_text()), datamodule.split, datamodule.read(train=True)[1]
    positions = {"train": split.train, "val": split.val, "unlabeled": split.unlabeled}
    given = {name: [datamodule.targets[part].tolist().count(k) for k in range(4)] for name, part in positions.items()}
    true = torch.tensor([3, 5, 8, 9])[datamodule.targets[split.train]] != labels[split.train]
    assert kept == {
        "seed": 6,
        "fingerprint": datamodule.fingerprint(),
        "sizes": {name: len(part) for name, part in positions.items()},
        "class_names": ["3", "5", "8", "9"],
        "per_class": given,
        "label_noise": {"train": true.double().mean().item()},
        "not_used": int(torch.isin(labels, torch.tensor([3, 5, 8, 9])).sum()) - sum(map(len, positions.values())),
    }
    assert kept["label_noise"]["train"] == pytest.approx(0.2, abs=0.5 / len(split.train))


def test_a_test_adds_only_the_test_set():
    trainer, model = fit(DigitsDataModule(**OPTIONS))
    before = json.loads(FILE.read_text())
    trainer.save_checkpoint("trained.ckpt")
    datamodule = DigitsDataModule(**OPTIONS)
    fresh = cpu_trainer(callbacks=[SplitSummary()])
    for _ in range(2):
        fresh.test(model, datamodule, ckpt_path="trained.ckpt", weights_only=True, verbose=False)
    after = json.loads(FILE.read_text())
    labels = datamodule.read(train=False)[1].tolist()
    counts = [labels.count(digit) for digit in (3, 5, 8, 9)]
    assert after["sizes"].pop("test") == len(labels)
    assert after["per_class"].pop("test") == counts
    assert after.pop("unknown") == {"test": len(labels) - sum(counts)}
    assert after == before


@pytest.mark.parametrize("stage", ["validate", "predict"])
def test_validation_and_prediction_leave_the_file_unchanged(stage):
    trainer, model = fit(DigitsDataModule())
    before = FILE.read_bytes()
    getattr(trainer, stage)(model, DigitsDataModule())
    assert FILE.read_bytes() == before


def test_training_prints_the_samples_per_class_and_part(capsys):
    datamodule = DigitsDataModule(val_size=100, label_noise=SymmetricNoise(0.1))
    fit(datamodule)
    printed = capsys.readouterr().out
    wrong = round(0.1 * 1338) / 1338
    assert f"split 0, fingerprint {datamodule.fingerprint()}, {wrong:.2%} of the train labels wrong" in printed
    counts = [datamodule.targets[part].bincount().tolist() for part in datamodule.split[:2]]
    expected = [["class", "train", "val"], *([str(k), str(counts[0][k]), str(counts[1][k])] for k in range(10))]
    assert rows(printed) == [*expected, ["all", "1,338", "100"]]


def test_unknown_samples_of_pool_and_test_set_are_reported(capsys):
    options = {"known_classes": [3, 5], "val_size": 20, "num_labeled": 30, "unknown_unlabeled": 50}
    datamodule = DigitsDataModule(**options)
    trainer, model = fit(datamodule)
    printed = rows(capsys.readouterr().out)
    assert printed[-2] == ["unknown", "", "", "50"]
    assert printed[-1] == ["all", "30", "20", str(len(datamodule.split.unlabeled))]
    trainer.test(model, DigitsDataModule(**options), verbose=False)
    unknown = sum(label not in (3, 5) for label in datamodule.read(train=False)[1].tolist())
    assert json.loads(FILE.read_text())["unknown"] == {"unlabeled": 50, "test": unknown}


def test_many_classes_are_printed_as_smallest_median_and_largest_count(capsys):
    counts = {"train": [1000 + k for k in range(30)][::-1], "val": [7] * 29 + [1]}
    sizes = {name: sum(column) for name, column in counts.items()} | {"test": 12}
    names = [f"class {k}" for k in range(30)]
    per_class = counts | {"test": [0] * 30}
    report = {"seed": 1, "fingerprint": "abc", "sizes": sizes, "class_names": names, "per_class": per_class}
    print_split(report | {"unknown": {"test": 12}})
    assert rows(capsys.readouterr().out) == [
        ["30 classes", "train", "val", "test"],
        ["smallest", "1,000", "1", "0"],
        ["median", "1,014", "7", "0"],
        ["largest", "1,029", "7", "0"],
        ["unknown", "", "", "12"],
        ["all", "30,435", "204", "12"],
    ]


def test_a_pool_without_labels_and_notes_are_printed(capsys):
    sizes, counts = {"train": 5, "unlabeled": 2000}, {"train": [3, 2], "unlabeled": [0, 0]}
    report = {"seed": 0, "fingerprint": "f", "sizes": sizes, "per_class": counts, "class_names": ("cat", "dog")}
    print_split(report | {"without_label": {"unlabeled": 2000}, "notes": ["no sample of dog in [test]"]})
    printed = capsys.readouterr().out
    assert rows(printed)[1:] == [
        ["cat", "3"],
        ["dog", "2"],
        ["without label", "", "2,000"],
        ["all", "5", "2,000"],
    ]
    assert printed.rstrip().splitlines()[-1] == "no sample of dog in [test]"


def test_class_names_are_not_parsed_as_markup(capsys):
    names = ["[red]", "dog [old]", "[/b]", "Käse"]
    print_split(
        {"seed": 0, "fingerprint": "a", "sizes": {"train": 4}, "class_names": names, "per_class": {"train": [1] * 4}}
    )
    assert [row[0] for row in rows(capsys.readouterr().out)] == ["class", *names, "all"]


def test_data_without_classes_have_only_sizes(capsys):
    datamodule = DiabetesDataModule(val_size=50)
    fit(datamodule, Regressor((10,), 150.0, 77.0))
    sizes = {"train": 442 - 50 - 88, "val": 50, "test": 88}
    assert json.loads(FILE.read_text()) == {"seed": 0, "fingerprint": datamodule.fingerprint(), "sizes": sizes}
    assert rows(capsys.readouterr().out) == [["samples", *sizes], ["all", *map(str, sizes.values())]]


class PlainDataModule(LightningDataModule):
    """Has no split report."""

    def train_dataloader(self):
        return Scripted().train_dataloader()


def test_a_datamodule_without_split_report_gets_no_file():
    cpu_trainer(callbacks=[SplitSummary()]).fit(Scripted(), datamodule=PlainDataModule())
    assert not FILE.exists()
