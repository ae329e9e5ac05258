import pytest
import torch

from litzoo.datamodules import LongTailed, MNISTDataModule, SymmetricNoise
from tests.datamodules.recording import record


def noisy(root, rate=0.25, **options):
    return MNISTDataModule(
        **{"root": str(root), "label_noise": SymmetricNoise(rate), "val_size": 20, "batch_size": 16, **options}
    )


def columns(recorder, stage, *names):
    return [recorder.column(stage, name) for name in names]


@pytest.mark.parametrize("rate", [0.0, 0.25, 1.0])
def test_training_batches_hold_the_files_labels_beside_the_wrong_ones(tiny_data, rate):
    datamodule = noisy(tiny_data, rate)
    labels = datamodule.read(train=True)[1]
    recorder = record(datamodule)
    index, target, clean = columns(recorder, "train", "index", "target", "clean_target")
    assert sorted(index.tolist()) == datamodule.split.train.tolist()
    assert torch.equal(clean, labels[index])
    assert int((target != clean).sum()) == round(rate * 80)


def test_the_same_labels_are_wrong_in_every_epoch_and_every_run(tiny_data):
    wrong = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        recorder = record(noisy(tiny_data), epochs=2)
        for epoch in (0, 1):
            index, target, clean = (recorder.column("train", n, epoch) for n in ("index", "target", "clean_target"))
            wrong.append({(int(i), int(t)) for i, t, c in zip(index, target, clean, strict=True) if t != c})
    assert len(wrong[0]) == 20
    assert wrong[0] == wrong[1] == wrong[2] == wrong[3]


def test_evaluation_has_right_labels_and_no_other_ones(tiny_data):
    datamodule = noisy(tiny_data)
    recorder = record(datamodule)
    index, target = columns(recorder, "val", "index", "target")
    assert torch.equal(target, datamodule.read(train=True)[1][index])
    assert "clean_target" not in recorder.seen["val", 0][0]
    recorder = record(datamodule, "test")
    assert torch.equal(recorder.column("test", "target"), datamodule.read(train=False)[1])
    assert "clean_target" not in recorder.seen["test", 0][0]


def test_validation_has_the_noise_of_training_when_asked_and_training_keeps_its_own(tiny_data):
    plain, both = (record(noisy(tiny_data, noisy_val=value)) for value in (False, True))
    index, target, clean = columns(both, "val", "index", "target", "clean_target")
    assert torch.equal(index, plain.column("val", "index"))
    assert torch.equal(clean, plain.column("val", "target"))
    assert int((target != clean).sum()) == 5
    # With or without noise in validation, the same labels of training are wrong.
    trained = [torch.stack(columns(recorder, "train", "index", "target")).T.tolist() for recorder in (plain, both)]
    assert sorted(trained[0]) == sorted(trained[1])


def test_without_noise_there_is_no_clean_target(tiny_data):
    recorder = record(MNISTDataModule(root=str(tiny_data), val_size=20))
    assert set(recorder.seen["train", 0][0]) == {"input", "target", "index"}


def test_noise_goes_with_few_labels_and_a_long_tail(tiny_data):
    datamodule = noisy(
        tiny_data,
        val_size=3,
        known_classes=["3", "5", "8"],
        imbalance=LongTailed(2),
        num_labeled=9,
        unlabeled_batch_size=2,
        rate=1 / 3,
    )
    labels = datamodule.read(train=True)[1]
    recorder = record(datamodule)
    for part in ("labeled", "unlabeled"):
        index, clean = (recorder.column("train", name, part=part) for name in ("index", "clean_target"))
        assert torch.equal(torch.tensor([3, 5, 8])[clean], labels[index])
    wrong = datamodule.targets != datamodule.clean_targets
    assert int(wrong.sum()) == int(wrong[datamodule.split.train].sum()) == 3
