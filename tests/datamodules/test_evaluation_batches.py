"""`evaluation_batches`: the samples of a part as evaluation serves them, for callbacks."""

from types import SimpleNamespace

import pytest
import torch

from litzoo.datamodules import DiabetesDataModule, DigitsDataModule, SymmetricNoise
from tests.datamodules.recording import record

CPU = torch.device("cpu")
PARTS = ["train", "val", "unlabeled"]


def digits(**options):
    return DigitsDataModule(**{"train_size": 60, "val_size": 41, "known_classes": [7, 1, 3], **options})


def served(datamodule, part):
    """Returns all of a part, column by column, and the sizes of its batches."""
    batches = list(datamodule.evaluation_batches(part, CPU))
    columns = {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}
    return columns, [len(batch["index"]) for batch in batches]


@pytest.mark.parametrize("augment", ["none", "shift", "strong"])
@pytest.mark.parametrize("scale", ["standard", "unit"])
def test_validation_samples_are_those_of_the_evaluation_loader(augment, scale):
    datamodule = digits(augment=augment, scale=scale, eval_batch_size=17)
    recorder = record(datamodule, "validate")
    found, sizes = served(datamodule, "val")
    assert sizes == [17, 17, 7]
    assert found.keys() == {"input", "target", "index"}
    assert all(torch.equal(values, recorder.column("val", name)) for name, values in found.items())


@pytest.mark.parametrize("augment", ["none", "strong"])
def test_training_samples_come_once_in_order_and_are_not_augmented(augment):
    datamodule = digits(augment=augment, batch_size=7, eval_batch_size=25, drop_last=True)
    recorder = record(datamodule)
    found, sizes = served(datamodule, "train")
    assert sizes == [25, 25, 10]
    assert torch.equal(found["index"], datamodule.split.train)
    images, labels = datamodule.read(train=True)
    expected = (images[found["index"]] / 255 - 0.3061) / 0.3250
    torch.testing.assert_close(found["input"], expected, atol=1e-5, rtol=1e-5)
    assert [(7, 1, 3)[target] for target in found["target"]] == labels[found["index"]].tolist()
    assert torch.equal(datamodule.train_set.inputs, images)
    assert len(recorder.column("train", "index")) == 56  # `drop_last` is for training alone


def test_not_augmented_during_training_either():
    datamodule = digits(augment="strong", num_labeled=20)
    datamodule.setup("fit")
    datamodule.trainer = SimpleNamespace(training=True, world_size=1, global_rank=0)
    for part in PARTS:
        found, _ = served(datamodule, part)
        assert torch.equal(found["input"], datamodule.normalise(datamodule.train_set.inputs[found["index"]]))


@pytest.mark.parametrize("options", [{}, {"label_noise": SymmetricNoise(0.5)}, {"unlabeled_batch_size": 7}])
def test_the_unlabeled_pool_is_served_once_in_order_without_labels(options):
    datamodule = digits(num_labeled=20, augment="strong", eval_batch_size=15, **options)
    datamodule.setup("fit")
    found, sizes = served(datamodule, "unlabeled")
    assert sizes == [15, 15, 10]
    assert found.keys() == {"input", "index"}
    assert torch.equal(found["index"], datamodule.split.unlabeled)
    expected = (datamodule.read(train=True)[0][found["index"]] / 255 - 0.3061) / 0.3250
    torch.testing.assert_close(found["input"], expected, atol=1e-5, rtol=1e-5)
    # Training batches still have it, for diagnostics.
    assert {"input", "index", "clean_target"} == datamodule.unlabeled_set[0].keys()


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("world", [2, 3, 50])
def test_fractions_of_several_processes_are_equally_long_and_hold_all_samples(part, world):
    datamodule = digits(eval_batch_size=13, num_labeled=33)
    datamodule.setup("fit")
    everything = getattr(datamodule.split, part).tolist()
    fractions = []
    for rank in range(world):
        datamodule.trainer = SimpleNamespace(world_size=world, global_rank=rank)
        fractions.append(served(datamodule, part)[0]["index"].tolist())
    assert {len(fraction) for fraction in fractions} == {-(-len(everything) // world)}
    together = sorted(index for fraction in fractions for index in fraction)
    assert sorted(set(together)) == everything
    assert len(together) - len(everything) < world


def test_labels_are_those_that_were_trained_on():
    datamodule = digits(label_noise=SymmetricNoise(0.5), val_size=40)
    datamodule.setup("fit")
    found, _ = served(datamodule, "train")
    assert torch.equal(found["target"], datamodule.targets[datamodule.split.train])
    assert (found["target"] != found["clean_target"]).sum() == 30


def test_nothing_is_drawn_from_the_global_generator():
    datamodule = digits(augment="strong", num_labeled=20)
    datamodule.setup("fit")
    before = torch.get_rng_state()
    for part in PARTS:
        served(datamodule, part)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_empty_part_has_no_batches():
    datamodule = digits(val_size=0)
    datamodule.setup("fit")
    assert list(datamodule.evaluation_batches("val", CPU)) == []


@pytest.mark.parametrize(
    ("datamodule", "part", "there"),
    [
        (digits(), "unlabeled", "train, val"),
        (digits(num_labeled=60), "unlabeled", "train, val"),
        (digits(num_labeled=20), "test", "train, val, unlabeled"),
        (DiabetesDataModule(), "unlabeled", "train, val"),
    ],
    ids=["no pool asked for", "all labeled", "no part of the split", "table"],
)
def test_an_unavailable_part_raises(datamodule, part, there):
    datamodule.setup("fit"), datamodule.setup("test")
    with pytest.raises(
        ValueError, match=rf"'{part}' is not one of the available parts .*\({there}\).*data\.num_labeled"
    ):
        list(datamodule.evaluation_batches(part, CPU))


def test_no_part_is_available_before_setup():
    with pytest.raises(
        ValueError, match=r"'train' is not one of the available parts .*\(none\); setup\('fit'\) reads them"
    ):
        list(digits().evaluation_batches("train", CPU))


def test_rows_of_tables_come_as_they_are():
    datamodule = DiabetesDataModule(val_size=30)
    recorder = record(datamodule, "validate")
    found, _ = served(datamodule, "val")
    assert all(torch.equal(values, recorder.column("val", name)) for name, values in found.items())
