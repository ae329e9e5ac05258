"""Another data set in the test set as samples of unknown classes, and the class names of the test set."""

from pathlib import Path
from unittest.mock import patch

import pytest
import torch
import yaml

from litzoo.datamodules import (
    UNKNOWN,
    CIFAR10DataModule,
    DigitsDataModule,
    FashionMNISTDataModule,
    ImageFolderDataModule,
    MNISTDataModule,
)
from tests.datamodules.recording import record
from tests.scripts.helpers import SHORT, litzoo

CLOTHES = FashionMNISTDataModule.class_names


def ready(datamodule, *stages):
    for stage in stages or ("fit", "test"):
        datamodule.setup(stage)
    return datamodule


@pytest.fixture
def clothes(tiny_data):
    return FashionMNISTDataModule(root=str(tiny_data))


@pytest.mark.parametrize("known", [None, [4, 0, 9]])
def test_their_test_images_join_the_test_set_as_unknown(known, clothes, tiny_data):
    datamodule = ready(MNISTDataModule(root=str(tiny_data), known_classes=known, unknowns=clothes))
    (digits, labels), (others, other_labels) = datamodule.read(train=False), clothes.read(train=False)
    order = list(range(10)) if known is None else known
    expected = [order.index(label) if label in order else UNKNOWN for label in labels.tolist()] + [UNKNOWN] * 40
    recorder = record(datamodule, "test")
    assert recorder.column("test", "index").tolist() == list(range(80))
    assert recorder.column("test", "target").tolist() == expected
    images = torch.cat([digits, others])
    assert torch.equal(recorder.column("test", "input"), datamodule.normalise(images))
    assert torch.equal(datamodule.test_images(torch.tensor([3, 40, 79])), images[[3, 40, 79]])
    names = [str(label) for label in labels.tolist()] + [CLOTHES[label] for label in other_labels.tolist()]
    assert datamodule.true_class_names(torch.arange(80)) == names
    assert datamodule.true_class_names(torch.tensor([79, 0])) == [names[79], names[0]]
    unlearned = [str(label) for label in range(10) if label not in order]
    assert datamodule.unknown_class_names == [*unlearned, *CLOTHES]
    assert datamodule.test_class_names == (*"0123456789", *CLOTHES)


@pytest.mark.parametrize("known", [None, [4, 0, 9]])
def test_nothing_else_changes(known, clothes, tiny_data):
    options = {"root": str(tiny_data), "known_classes": known, "val_size": 20, "seed": 3}
    without, joined = (ready(MNISTDataModule(**options, unknowns=each)) for each in (None, clothes))
    assert joined.class_names == without.class_names
    assert joined.num_classes == without.num_classes
    assert joined.class_counts == without.class_counts
    assert joined.fingerprint() == without.fingerprint()
    assert joined.split_options() == without.split_options()
    assert torch.equal(joined.train_set.inputs, without.train_set.inputs)
    reports = [each.split_report() for each in (joined, without)]
    sizes = [report.pop("sizes") for report in reports]
    unknown = [report.pop("unknown", {"test": 0})["test"] for report in reports]
    assert reports[0] == reports[1]
    assert sizes[0].pop("test") - sizes[1].pop("test") == unknown[0] - unknown[1] == 40
    assert sizes[0] == sizes[1]


def test_classes_that_both_have_are_kept_apart_by_name():
    datamodule = ready(DigitsDataModule(known_classes=[1, 2], unknowns=DigitsDataModule()), "test")
    assert datamodule.test_class_names == (*"0123456789", *(f"other {digit}" for digit in range(10)))
    assert datamodule.unknown_class_names == [*"03456789", *(f"other {digit}" for digit in range(10))]
    labels = datamodule.read(train=False)[1].tolist()
    names = datamodule.true_class_names(torch.arange(718))
    assert names == [str(label) for label in labels] + [f"other {label}" for label in labels]
    assert (datamodule.test_set.targets[359:] == UNKNOWN).all()


def test_what_the_unknowns_themselves_would_learn_does_not_matter(tiny_data):
    clothes = FashionMNISTDataModule(root=str(tiny_data), known_classes=["Bag", "Coat"], val_size=0, scale="unit")
    datamodule = ready(MNISTDataModule(root=str(tiny_data), unknowns=clothes), "test")
    other_labels = clothes.read(train=False)[1].tolist()
    assert datamodule.true_class_names(torch.arange(40, 80)) == [CLOTHES[label] for label in other_labels]
    assert datamodule.unknown_class_names == list(CLOTHES)


def test_names_without_unknowns():
    datamodule = ready(DigitsDataModule(known_classes=[5, 2, 7]), "test")
    assert datamodule.unknown_class_names == list("0134689")
    assert datamodule.test_class_names == tuple("0123456789")
    labels = datamodule.read(train=False)[1]
    chosen = torch.tensor([358, 0, 77])
    assert datamodule.true_class_names(chosen) == [str(label) for label in labels[chosen].tolist()]
    assert DigitsDataModule().unknown_class_names == []


def test_images_of_another_shape_are_refused_at_once(tiny_data):
    with pytest.raises(ValueError, match=r"data\.unknowns: images of \[3, 32, 32\]; .* \[1, 28, 28\]"):
        DigitsDataModule(unknowns=CIFAR10DataModule(root=str(tiny_data)))


@pytest.mark.parametrize("known", [DigitsDataModule, MNISTDataModule])
def test_what_the_unknowns_lack_is_downloaded_with_the_rest(known, tiny_data):
    unknowns = FashionMNISTDataModule(root=str(tiny_data))
    with patch.object(unknowns, "prepare_data") as downloads:
        known(root=str(tiny_data), unknowns=unknowns).prepare_data()
    downloads.assert_called_once_with()


def folder(tiny_data, **options):
    return ImageFolderDataModule(root=str(tiny_data), folder="cifar10", **options)


def test_images_that_are_read_one_by_one_are_refused(tiny_data, any_checksum):
    with pytest.raises(ValueError, match=r"data\.unknowns: .*raise memory_limit"):
        CIFAR10DataModule(root=str(tiny_data), unknowns=folder(tiny_data, memory_limit=0)).setup("test")


def test_a_folder_of_images_can_be_the_unknown(tiny_data, any_checksum):
    datamodule = ready(CIFAR10DataModule(root=str(tiny_data), unknowns=folder(tiny_data)), "test")
    assert len(datamodule.test_set) == 80
    assert datamodule.unknown_class_names == [f"other {name}" for name in datamodule.class_names]


def test_in_yaml(tiny_data):
    data = {
        "class_path": "DigitsDataModule",
        "init_args": {
            "val_size": 20,
            "known_classes": [0, 1],
            "unknowns": {
                "class_path": "FashionMNISTDataModule",
                "init_args": {"root": str(tiny_data), "known_classes": ["Bag", "Coat"]},
            },
        },
    }
    Path("far.yaml").write_text(yaml.safe_dump({"data": data}))
    cli = litzoo("fit", "--config=far.yaml", "--model=SoftmaxRegression", *SHORT)
    assert isinstance(cli.datamodule.unknowns, FashionMNISTDataModule)
    assert cli.model.class_names == ["0", "1"]
    tested = litzoo("test", "--config", str(cli.run_folder / "config.yaml"))
    assert len(tested.datamodule.test_set) == 359 + 40
    plain = litzoo("test", "--config", str(cli.run_folder / "config.yaml"), "--data.unknowns=null")
    assert len(plain.datamodule.test_set) == 359
    assert tested.trainer.callback_metrics.keys() == plain.trainer.callback_metrics.keys()
    for name, value in tested.trainer.callback_metrics.items():
        assert value == pytest.approx(plain.trainer.callback_metrics[name]), name


def test_on_the_command_line(tiny_data):
    options = ["--data=DigitsDataModule", "--data.unknowns=FashionMNISTDataModule", "--model=SoftmaxRegression"]
    cli = litzoo("fit", *options, f"--data.unknowns.root={tiny_data}", *SHORT, "--test_after_fit=true")
    assert len(cli.datamodule.test_set) == 399
