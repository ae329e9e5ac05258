"""Mean and standard deviation are those of the training images, and are stored in checkpoints."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from litzoo.datamodules import ImageFolderDataModule
from litzoo.datamodules.images import image_folder
from tests.datamodules.image_folder import folder_data, write_pets
from tests.datamodules.recording import Recorder, quiet_trainer, record
from tests.scripts.helpers import CONFIGS, litzoo

CONFIG = ["--config", str(CONFIGS / "image_folder.yaml"), "--data.val_size=20", "--model.widths=[4]", "--model.depth=1"]
HOW_READ = pytest.mark.parametrize("options", [{}, {"memory_limit": 0}], ids=["memory", "lazy"])


def brute_force(datamodule, indices):
    images, _ = folder_data(size=datamodule.reader.shape[1:]).read(train=True)
    pixels = images.numpy()[indices.numpy()] / 255
    return pixels.mean(axis=(0, 2, 3)), pixels.std(axis=(0, 2, 3))


@HOW_READ
def test_they_are_those_of_the_training_images_alone(options):
    write_pets()
    datamodule = folder_data(train_size=6, **options)
    datamodule.setup("fit")
    mean, std = brute_force(datamodule, datamodule.split.train)
    assert datamodule.mean == pytest.approx(mean)
    assert datamodule.std == pytest.approx(std)
    assert mean != pytest.approx(brute_force(datamodule, datamodule.split.val)[0], rel=1e-3)


def test_of_many_images_they_are_those_of_evenly_spread_ones(monkeypatch):
    write_pets()
    monkeypatch.setattr(image_folder, "STATISTICS_IMAGES", 10)
    datamodule = folder_data()
    datamodule.setup("fit")
    mean, std = brute_force(datamodule, datamodule.split.train[::4])  # 8 of 32
    assert (datamodule.mean, datamodule.std) == (pytest.approx(mean), pytest.approx(std))


@HOW_READ
@pytest.mark.parametrize("scale", ["standard", "unit"])
def test_batches_are_on_the_scale_that_is_asked(scale, options):
    write_pets()
    datamodule = folder_data(scale=scale, val_size=8, **options)
    images = record(datamodule).column("train", "input").double().numpy()
    assert len(images) == 32
    if scale == "standard":
        assert images.mean(axis=(0, 2, 3)) == pytest.approx([0, 0, 0], abs=1e-5)
        assert images.std(axis=(0, 2, 3)) == pytest.approx([1, 1, 1], abs=1e-5)
    else:
        assert (images.min(), images.max()) == (0, pytest.approx(1))


def test_a_test_without_a_checkpoint_measures_them():
    write_pets()
    trained, tested = folder_data(), folder_data()
    trained.setup("fit")
    images = record(tested, "test").column("test", "input")
    assert (tested.mean, tested.std) == (trained.mean, trained.std)
    raw = torch.from_numpy(np.array(folder_data().read(train=False)[0])).double() / 255
    expected = (raw - torch.tensor(trained.mean)[:, None, None]) / torch.tensor(trained.std)[:, None, None]
    assert torch.allclose(images.double(), expected, atol=1e-5)


def test_a_loaded_datamodule_has_those_that_were_saved():
    write_pets()
    datamodule, trainer = folder_data(size=5, grey=True, val_size=0.1), quiet_trainer(Path.cwd())
    trainer.fit(Recorder(), datamodule=datamodule)
    trainer.save_checkpoint("saved.ckpt")
    assert "state_dict" in torch.load("saved.ckpt", weights_only=True)
    loaded = ImageFolderDataModule.load_from_checkpoint(
        "saved.ckpt", folder="pets", root=".", size=5, grey=True, val_size=0.1, weights_only=True
    )
    assert (loaded.mean, loaded.std) == (datamodule.mean, datamodule.std)
    loaded.setup("fit")
    assert (loaded.mean, loaded.std) == (datamodule.mean, datamodule.std)
    assert loaded.fingerprint() == datamodule.fingerprint()


def test_those_of_a_checkpoint_count_even_after_others_have_been_used():
    write_pets()
    datamodule = folder_data()
    datamodule.setup("fit")
    datamodule.normalise(datamodule.train_set.inputs)
    datamodule.load_state_dict({"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 0.5]})
    white = datamodule.normalise(torch.full((1, 3, 1, 1), 255, dtype=torch.uint8))
    assert white.flatten().tolist() == pytest.approx([1, 1, 2])


@pytest.mark.slow
def test_a_checkpoint_is_tested_without_reading_a_training_image(tiny_data, monkeypatch):
    root = Path(shutil.copytree(tiny_data / "cifar10", "mine/cifar10")).parent
    monkeypatch.setenv("LITZOO_DATA_DIR", str(root))
    trained = litzoo("fit", *CONFIG, "--trainer.max_epochs=1", "--trainer.limit_train_batches=2")
    before = json.loads((trained.run_folder / "metrics.json").read_text())
    for image in (root / "cifar10" / "train").rglob("*.png"):
        image.write_bytes(b"")
    for subcommand in ("test", "predict"):
        tested = litzoo(subcommand, *CONFIG)
        assert tested.datamodule.train_set is None
        assert (tested.datamodule.mean, tested.datamodule.std) == (trained.datamodule.mean, trained.datamodule.std)
    assert json.loads((tested.run_folder / "metrics.json").read_text()) == before
    assert "test/acc" in before


def test_a_resumed_run_uses_those_of_its_checkpoint():
    write_pets()
    shutil.copytree("pets/test", "pets/val")  # now no part is drawn by content, so that other images pass for these
    first, trainer = folder_data(), quiet_trainer(Path.cwd())
    trainer.fit(Recorder(), datamodule=first)
    trainer.save_checkpoint("saved.ckpt")
    shutil.rmtree("pets")
    write_pets(seed=7)
    shutil.copytree("pets/test", "pets/val")
    resumed, recorder = folder_data(), Recorder()
    quiet_trainer(Path.cwd(), epochs=2).fit(recorder, datamodule=resumed, ckpt_path="saved.ckpt", weights_only=True)
    assert (resumed.mean, resumed.std) == (first.mean, first.std)
    images = recorder.column("train", "input", epoch=1)
    assert images.mean(dim=(0, 2, 3)).abs().min() > 1e-3
