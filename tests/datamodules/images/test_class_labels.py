from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from litzoo.datamodules import (
    UNKNOWN,
    AsymmetricNoise,
    ClassCounts,
    DigitsDataModule,
    FashionMNISTDataModule,
    LongTailed,
    MatrixNoise,
    MNISTDataModule,
    StepImbalance,
    SymmetricNoise,
)
from tests.datamodules.recording import record

properties = settings(deadline=None, max_examples=30)
KNOWN = st.none() | st.lists(st.integers(0, 9), min_size=2, max_size=10, unique=True)


@st.composite
def training_options(draw):
    """A random combination of options of the training set."""
    wanted = {
        "train_size": st.sampled_from([130, 0.4, {"per_class": 60}]),
        "imbalance": st.sampled_from([LongTailed(3), StepImbalance(2)]),
        "num_labeled": st.sampled_from([40, 0.3]),
        "balance_labeled": st.booleans(),
        "label_noise": st.sampled_from([SymmetricNoise(0.3), SymmetricNoise(0.5, keeps_some=True)]),
        "class_weighting": st.just("sqrt"),
    }
    asked = draw(st.lists(st.sampled_from(sorted(wanted)), unique=True))
    return {name: draw(wanted[name]) for name in asked}


def ready(stage="fit", **options):
    datamodule = DigitsDataModule(**options)
    datamodule.setup(stage)
    return datamodule


def batch_of(part):
    return part.__getitems__(range(len(part)))


@properties
@given(training_options(), KNOWN, st.sampled_from([0.1, 77]), st.integers(0, 99))
def test_validation_does_not_depend_on_the_options_of_the_training_set(asked, known, val_size, seed):
    same = {"known_classes": known, "val_size": val_size, "seed": seed}
    plain, troubled = batch_of(ready(**same).val_set), batch_of(ready(**same, **asked).val_set)
    assert plain.keys() == troubled.keys() == {"input", "target", "index"}
    assert all(torch.equal(plain[name], troubled[name]) for name in plain)


@properties
@given(training_options(), KNOWN, st.integers(0, 99))
def test_remapping_is_reversible_and_what_is_unknown_is_never_trained_on(asked, known, seed):
    datamodule = ready(known_classes=known, seed=seed, **asked)
    datamodule.setup("test")
    names = [str(label) for label in (range(10) if known is None else known)]
    assert datamodule.class_names == tuple(names)
    assert datamodule.num_classes == len(names)
    labels = datamodule.read(train=True)[1]
    for part in (datamodule.train_set, datamodule.val_set, datamodule.unlabeled_set):
        if not len(part):
            continue
        batch = batch_of(part)
        targets = batch.get("clean_target", batch.get("target"))
        assert [names[target] for target in targets] == [str(label.item()) for label in labels[batch["index"]]]
        assert batch.get("target", targets).min() >= 0
    shown = datamodule.test_set.targets.tolist()
    truth = [str(label.item()) for label in datamodule.read(train=False)[1]]
    assert [names[target] if target != UNKNOWN else None for target in shown] == [
        label if label in names else None for label in truth
    ]


@properties
@given(training_options(), KNOWN, st.booleans(), st.integers(0, 99))
def test_the_report_counts_what_is_served(asked, known, noisy_val, seed):
    noise = {"label_noise": SymmetricNoise(0.25), "noisy_val": noisy_val}
    datamodule = ready(known_classes=known, seed=seed, **(asked | noise))
    datamodule.setup("test")
    report = datamodule.split_report()
    names = {"train": "train_set", "val": "val_set", "unlabeled": "unlabeled_set", "test": "test_set"}
    parts = {part: getattr(datamodule, name) for part, name in names.items()}
    batches = {part: batch_of(rows) for part, rows in parts.items() if len(rows)}
    assert report["sizes"] == {part: len(batch["index"]) for part, batch in batches.items()}
    for part, batch in batches.items():
        counted = Counter(batch.get("target", batch.get("clean_target")).tolist())
        assert report["per_class"][part] == [counted[target] for target in range(datamodule.num_classes)]
        assert report.get("unknown", {}).get(part, 0) == counted[UNKNOWN]
    assert report["label_noise"].keys() == ({"train", "val"} if noisy_val else {"train"})
    for part, fraction in report["label_noise"].items():
        wrong = (batches[part]["target"] != batches[part]["clean_target"]).sum().item()
        assert fraction * len(batches[part]["index"]) == pytest.approx(wrong)
        assert wrong == pytest.approx(len(batches[part]["index"]) / 4, abs=0.5)


def test_the_report_describes_the_split():
    datamodule = ready(known_classes=[7, 1, 5], seed=4, val_size=0)
    report = datamodule.split_report()
    assert (report["seed"], report["fingerprint"]) == (4, datamodule.fingerprint())
    assert report["class_names"] == ("7", "1", "5")
    labels = datamodule.read_labels().tolist()
    assert report["per_class"] == {"train": [labels.count(label) for label in (7, 1, 5)], "val": [0, 0, 0]}
    assert "label_noise" not in report


def test_no_fraction_of_wrong_labels_is_reported_for_a_validation_set_that_is_turned_off():
    report = ready(label_noise=SymmetricNoise(0.2), noisy_val=True, val_size=0).split_report()
    assert report["label_noise"] == {"train": pytest.approx(0.2, abs=0.5 / 1438)}


def test_noisy_validation_has_its_own_draw_of_the_same_noise():
    matrix = torch.eye(10).roll(1, dims=1).tolist()
    datamodule = ready(label_noise=MatrixNoise(matrix, 0.5), noisy_val=True, val_size=700)
    again = ready(label_noise=MatrixNoise(matrix, 0.5), noisy_val=True, val_size=700, train_size=100)
    batch = batch_of(datamodule.val_set)
    assert (batch["target"] != batch["clean_target"]).sum() == 350
    assert torch.equal(batch["target"], batch_of(again.val_set)["target"])
    assert set(((batch["target"] - batch["clean_target"]) % 10).tolist()) == {0, 1}


def test_the_pool_hides_its_labels_and_noise_does_not_touch_what_it_keeps_for_diagnostics():
    datamodule = ready(num_labeled=50, label_noise=SymmetricNoise(1))
    pool, labels = batch_of(datamodule.unlabeled_set), datamodule.read(train=True)[1]
    assert pool.keys() == {"input", "index", "clean_target"}
    assert torch.equal(pool["clean_target"], labels[pool["index"]])
    train = batch_of(datamodule.train_set)
    assert (train["target"] != train["clean_target"]).all()
    assert len(pool["index"]) + 50 + len(datamodule.val_set) == 1438


def test_lightning_serves_the_samples_and_labels_of_the_split():
    datamodule = DigitsDataModule(
        known_classes=[7, 1, 2, 3], imbalance=LongTailed(4), label_noise=AsymmetricNoise(0.4), batch_size=50
    )
    recorder = record(datamodule)
    index, order = recorder.column("train", "index").sort()
    assert torch.equal(index, datamodule.split.train)
    labels = datamodule.read_labels()[index]
    names = torch.tensor([7, 1, 2, 3])
    assert torch.equal(names[recorder.column("train", "clean_target")[order]], labels)
    given_out = names[recorder.column("train", "target")[order]]
    flips = Counter(zip(labels.tolist(), given_out.tolist(), strict=True))
    assert {pair for pair in flips if pair[0] != pair[1]} == {(7, 1), (2, 7)}
    for label in (7, 2):
        assert flips[label, {7: 1, 2: 7}[label]] == pytest.approx(0.4 * (labels == label).sum().item(), abs=0.999)


def test_classes_of_clothing_go_by_name_or_label(tiny_data):
    splits = []
    for known in (["Bag", "Ankle boot", 0], [8, 9, "T-shirt/top"]):
        datamodule = FashionMNISTDataModule(root=str(tiny_data), known_classes=known)
        datamodule.setup("fit")
        assert datamodule.class_names == ("Bag", "Ankle boot", "T-shirt/top")
        splits.append(datamodule.fingerprint())
    assert splits[0] == splits[1]


def test_the_labels_alone_give_the_split_of_labels_and_images(tiny_data):
    options = {"root": str(tiny_data), "num_labeled": 20, "imbalance": ClassCounts([5] * 10), "seed": 3}
    quick, whole = MNISTDataModule(**options), MNISTDataModule(**options)
    quick.find_split(), whole.setup("fit")
    assert quick.train_set is None
    assert quick.fingerprint() == whole.fingerprint()
