"""The troubles of the data, asked for on the command line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from litzoo.datamodules import DigitsDataModule, LongTailed
from tests.scripts.helpers import MLP, SHORT, litzoo, short_fit


def splits(**expected):
    report = json.loads(Path("runs/digits_mlp/version_0/splits.json").read_text())
    assert {name: report[name] for name in expected} == expected
    return report


def test_symmetric_noise_is_measured():
    short_fit("--data.label_noise=SymmetricNoise", "--data.label_noise.rate=0.2", "--data.noisy_val=true")
    report = splits(seed=0)
    # 0.2 of 1294 and of 144, rounded
    assert report["label_noise"] == {"train": pytest.approx(259 / 1294), "val": pytest.approx(29 / 144)}


def test_a_long_tail_has_the_counts_of_the_formula():
    cli = short_fit("--data.imbalance=LongTailed", "--data.imbalance.factor=10", "--data.train_size={per_class: 100}")
    datamodule = DigitsDataModule(imbalance=LongTailed(10), train_size={"per_class": 100})
    datamodule.setup("fit")
    tail = [100, 77, 60, 46, 36, 28, 22, 17, 13, 10]  # 100 · 10^(-i/9)
    report = splits(fingerprint=datamodule.fingerprint(), class_names=list("0123456789"))
    assert report["per_class"]["train"] == tail
    assert (report["sizes"]["train"], report["sizes"]["val"]) == (sum(tail), 144)
    assert cli.datamodule.class_counts == tail


def test_known_classes_size_the_network_and_few_labels_leave_a_pool_that_others_join():
    cli = short_fit(
        "--data.known_classes=[7,1,5]", "--data.num_labeled=30", "--data.val_size=43", "--data.unknown_unlabeled=0.1"
    )
    assert cli.model.net.head.out_features == 3
    unknown = sum((cli.datamodule.read_labels() == label).sum().item() for label in (0, 2, 3, 4, 6, 8, 9))
    report = splits(class_names=["7", "1", "5"], unknown={"unlabeled": round(0.1 * unknown)})
    total = sum((cli.datamodule.read_labels() == label).sum().item() for label in (1, 5, 7))
    sizes = {part: report["sizes"][part] for part in ("train", "val", "unlabeled")}
    assert sizes == {"train": 30, "val": 43, "unlabeled": total - 73 + round(0.1 * unknown)}
    assert report["per_class"]["train"] == [10, 10, 10]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--data.label_noise=SymmetricNoise", "--data.label_noise.rate=1.5"], ["SymmetricNoise.rate", "1.5"]),
        (["--data.imbalance=StepImbalance", "--data.imbalance.factor=0.1"], ["StepImbalance.factor", "0.1"]),
        (["--data.known_classes=[1,twelve]"], ["twelve"]),
        (["--data.num_labeled=2000"], ["num_labeled", "2000", "1294"]),
        (["--data.unknown_unlabeled=0.5", "--data.num_labeled=20"], ["data.unknown_unlabeled 0.5", "10 of 10"]),
        (["--data.train_size={per_class: 500}"], ["train_size", "500", "128"]),
    ],
)
def test_what_cannot_be_granted_is_refused_before_there_is_a_run_folder(options, words):
    with pytest.raises(BaseException, match=r"\w") as error:
        short_fit(*options)
    assert [word for word in words if word not in str(error.value)] == [], error.value
    assert not list(Path("runs").rglob("version_*"))


@pytest.mark.parametrize("subcommand", ["fit", "test"])
def test_a_run_whose_data_have_changed_is_neither_resumed_nor_tested(subcommand):
    short_fit()
    with pytest.raises(ValueError, match=r"data\.imbalance was None, is LongTailed\(factor=2\.0, round_down=False\)"):
        litzoo(
            subcommand,
            *MLP,
            *(SHORT if subcommand == "fit" else []),
            "--ckpt_path=last",
            "--data.imbalance=LongTailed",
            "--data.imbalance.factor=2",
            *(["--trainer.max_epochs=2"] if subcommand == "fit" else []),
        )


COUNTS = """
from typing import Optional, Union
Optional[Union[float, int]]  # as an imported library has it: Python takes `Optional[Union[int, float]]` for the same
from litzoo.scripts.cli.main import run
counts = ["--data.train_size=80", "--data.num_labeled=40", "--trainer.val_check_interval=2"]
cli = run(["fit", "--config", "digits_mlp", *counts, "--trainer.max_epochs=1", "--test_after_fit=false"])
print([len(part) for part in cli.datamodule.split.parts().values()], cli.trainer.val_check_batch)
"""


def test_counts_are_counts_where_a_library_has_a_union_of_float_and_int():
    ended = subprocess.run([sys.executable, "-c", COUNTS], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "[40, 144, 40] 2"
