"""Any map-style torch data sets become a datamodule, with all options of ours."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from lightning.pytorch import Trainer
from torch import nn
from torch.utils.data import TensorDataset
from torchvision.transforms import v2

from litzoo import Classifier, FixMatch, MLPClassifier
from litzoo.datamodules import (
    ArrayDatasetsDataModule,
    ImageDatasetsDataModule,
    LongTailed,
    MNISTDataModule,
    SymmetricNoise,
    from_datasets,
)
from tests.datamodules.own_datasets import TO_FLOAT, Vectors, pixels
from tests.scripts.helpers import litzoo


def quick(**options):
    return Trainer(max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False, **options)


def test_torchvisions_mnist_becomes_the_images_of_our_own(tiny_data):
    own = MNISTDataModule(root=str(tiny_data))
    for transform in (None, TO_FLOAT, torchvision.transforms.ToTensor(), torchvision.transforms.PILToTensor()):
        mnist = [torchvision.datasets.MNIST(tiny_data, train=train, transform=transform) for train in (True, False)]
        module = from_datasets(mnist[0], test=mnist[1], val_size=20)
        assert isinstance(module, ImageDatasetsDataModule)
        for train in (True, False):
            for got, expected in zip(module.read(train), own.read(train), strict=True):
                assert torch.equal(got, expected)
        assert module.class_names == tuple(mnist[0].classes)
    values = own.read(train=True)[0].double() / 255
    assert module.mean[0] == pytest.approx(values.mean().item())
    assert module.std[0] == pytest.approx(values.std(correction=0).item())


@pytest.mark.parametrize(
    "as_given",
    [
        lambda x: x,
        lambda x: x.permute(1, 2, 0).numpy(),
        lambda x: x.permute(1, 2, 0),
        lambda x: x.numpy(),
        lambda x: x / 255,
        lambda x: (x.permute(1, 2, 0) / 255).double().numpy(),
        v2.functional.to_pil_image,
        torchvision.tv_tensors.Image,
    ],
)
def test_images_of_every_kind_are_the_same(as_given):
    images = pixels()
    module = from_datasets([(as_given(image), label % 2) for label, image in enumerate(images)])
    assert torch.equal(module.read(train=True)[0], images)


@pytest.mark.parametrize(
    ("sample", "keys"),
    [
        (lambda x, y: (x, y), None),
        (lambda x, y: [x, np.int32(y)], None),
        (lambda x, y: {"image": x, "label": y, "id": "a"}, None),
        (lambda x, y: {"pixel_values": x.numpy(), "labels": np.array([y])}, None),
        (lambda x, y: {"photo": x, "species": torch.tensor(y)}, ("photo", "species")),
        (lambda x, y: (x, "a name", y), (0, 2)),
    ],
)
def test_samples_are_pairs_or_dictionaries(sample, keys):
    vectors = Vectors(30)
    module = from_datasets([sample(x, int(y)) for x, y in zip(vectors.x, vectors.y, strict=True)], keys=keys)
    assert isinstance(module, ArrayDatasetsDataModule)
    assert torch.equal(module.read(train=True)[0], vectors.x)
    assert torch.equal(module.read(train=True)[1], vectors.y)
    assert (module.input_shape, module.num_classes) == ((8,), 3)


def test_a_validation_set_of_its_own_is_used_and_else_one_is_drawn():
    module = from_datasets(Vectors(), Vectors(30, seed=1), Vectors(30, seed=2), train_size=60)
    module.setup("fit"), module.setup("test")
    assert module.split.val.tolist() == list(range(120, 150))
    assert torch.equal(module.val_set.inputs[module.val_set.indices], Vectors(30, seed=1).x)
    assert (len(module.train_set), len(module.test_set)) == (60, 30)
    module = from_datasets(Vectors(), val_size=30)
    module.setup("fit")
    assert (len(module.train_set), len(module.val_set)) == (90, 30)
    with pytest.raises(ValueError, match="there is no test set: give from_datasets a data set `test`"):
        module.setup("test")
    with pytest.warns(UserWarning, match="val_size 7 is not used"):
        from_datasets(Vectors(), Vectors(30, seed=1), val_size=7)


def test_every_problem_can_be_simulated():
    module = from_datasets(
        *(Vectors(300), Vectors(30, seed=1), Vectors(30, seed=2)),
        known_classes=["b", "c"],
        class_names=["a", "b", "c"],
        imbalance=LongTailed(2),
        num_labeled=40,
        unknown_unlabeled=10,
        label_noise=SymmetricNoise(0.25),
        unlabeled_batch_size=20,
    )
    module.setup("fit"), module.setup("test")
    report = module.split_report()
    assert report["sizes"] == {"train": 40, "val": 20, "unlabeled": 120, "test": 30}
    assert report["label_noise"] == {"train": 0.25}
    assert report["unknown"] == {"unlabeled": 10, "test": 10}


def test_ones_own_network_trains_and_a_pool_without_labels_joins():
    module = from_datasets(
        Vectors(60), test=Vectors(90, seed=1), unlabeled=TensorDataset(Vectors(90, seed=2).x), unlabeled_batch_size=30
    )
    model = Classifier(nn.Linear(8, 3), 3, pseudo_labels=FixMatch())
    trainer = quick()
    trainer.fit(model, module)
    assert trainer.test(model, module, verbose=False)[0]["test/acc"] > 0.2
    assert module.split.unlabeled.tolist() == list(range(60, 150))
    batch = next(iter(module.train_dataloader()))[0]["unlabeled"]
    rows = batch["input"].clone()
    views = module.on_after_batch_transfer({"unlabeled": batch}, 0)["unlabeled"]
    assert torch.equal(views["weak"], rows)
    changed = (views["strong"] != rows).double().mean().item()
    assert 0.1 < changed < 0.5


def test_the_fingerprint_is_of_the_contents():
    fingerprints = set()
    for seed in (0, 0, 1):
        module = from_datasets(Vectors(seed=seed))
        module.setup("fit")
        fingerprints.add(module.fingerprint())
    assert len(fingerprints) == 2


def test_a_checkpoint_of_other_data_is_refused():
    module = from_datasets(Vectors())
    trainer = quick()
    trainer.fit(MLPClassifier((8,), 3), module)
    trainer.save_checkpoint("a.ckpt")
    content = torch.load("a.ckpt", weights_only=True)["ArrayDatasetsDataModule"]
    from_datasets(Vectors()).load_state_dict(content)
    with pytest.raises(ValueError, match="split"):
        from_datasets(Vectors(seed=1)).load_state_dict(content)


def test_the_command_takes_data_sets_by_class_path():
    Path("own.yaml").write_text(
        """
data:
  class_path: ArrayDatasetsDataModule
  init_args:
    train: {class_path: tests.datamodules.own_datasets.Vectors}
    test: {class_path: tests.datamodules.own_datasets.Vectors, init_args: {size: 60, seed: 1}}
    class_names: [a, b, c]
    label_noise: {class_path: SymmetricNoise, init_args: {rate: 0.2}}
    batch_size: 10
model: MLPClassifier
trainer: {max_epochs: 2}
"""
    )
    done = litzoo("fit", "--config", "own.yaml")
    assert tuple(done.model.class_names) == ("a", "b", "c")
    assert done.datamodule.split_report()["sizes"] == {"train": 108, "val": 12, "test": 60}


def test_the_parts_come_first_in_python():
    rows = [(torch.randn(4), label % 2) for label in range(40)]
    module = ArrayDatasetsDataModule(rows[:30], rows[30:], strong_swap=0.5)
    module.setup("fit")
    assert (len(module.split.train), len(module.split.val), module.strong_swap) == (30, 10, 0.5)
