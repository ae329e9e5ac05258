"""Photos of many sizes, transformed at their original size."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from litzoo.datamodules.images import image_folder
from litzoo.datamodules.images.photos import EvaluationReader, Photos, fit
from litzoo.datamodules.io.images import ImageReader
from tests.datamodules.image_folder import as_tensor, folder_data, noise, save
from tests.datamodules.recording import record

LAZY = {"memory_limit": 0}
HOW_READ = pytest.mark.parametrize("options", [{}, LAZY], ids=["memory", "lazy"])
CROP = v2.RandomResizedCrop(16, antialias=True)


@pytest.fixture
def photos():
    """Photos of 20 to 60 pixels a side: 12 a class to train on, 3 to test on."""
    random = np.random.RandomState(0)
    for part, count in {"train": 12, "test": 3}.items():
        for label, name in enumerate(("cat", "dog")):
            for number in range(count):
                height, width = random.randint(20, 60, 2)
                save(f"photos/{part}/{name}/{number:02}.png", noise(height, width, seed=1000 * label + number))
    return Path("photos")


def photo_data(**options):
    defaults = {"size": 16, "original_size": True, "augment": [CROP, v2.RandomHorizontalFlip()], "batch_size": 5}
    return folder_data("photos", **(defaults | options))


def served(datamodule, epochs=1, part="train"):
    recorder = record(datamodule, "fit", epochs)
    columns = ("index", "target", "input")
    return [torch.cat([recorder.column(part, name, epoch) for epoch in range(epochs)]) for name in columns]


def expected(datamodule, index, epoch, number=0, transforms=None):
    """Transforms the file of a sample as torchvision does, with the draws of seed, epoch and sample."""
    image = as_tensor(Image.open(Path("photos", datamodule.files["train"][index])))
    seed = int(os.environ.get("PL_GLOBAL_SEED", 0))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(
            int(np.random.SeedSequence([seed, epoch, index, number]).generate_state(1, np.uint64)[0] >> 1)
        )
        for transform in transforms or [CROP, v2.RandomHorizontalFlip()]:
            image = transform(image)
    return image


def test_photos_that_are_too_large_together_stay_in_their_files_unless_a_larger_limit_is_asked(photos, monkeypatch):
    sizes = [Image.open(path).size for path in (photos / "train").rglob("*.png")]
    total = sum(3 * width * height for width, height in sizes)
    for most, options, kept in [(total, {}, True), (total - 1, {}, False), (total - 1, {"memory_limit": 1}, True)]:
        monkeypatch.setattr(image_folder, "MOST_PHOTO_BYTES", most)
        datamodule = photo_data(**options)
        datamodule.setup("fit")
        assert (datamodule.photos.images is not None) == kept


@HOW_READ
@pytest.mark.parametrize("num_workers", [0, 2])
def test_each_photo_is_transformed_at_its_original_size(photos, options, num_workers):
    datamodule = photo_data(num_workers=num_workers, scale="unit", **options)
    index, target, images = served(datamodule, epochs=2)
    assert len(index) == 2 * len(datamodule.train_set)
    half = len(index) // 2
    for row, sample in enumerate(index.tolist()):
        image = expected(datamodule, sample, epoch=int(row >= half))
        assert torch.equal((images[row] * 255).round().to(torch.uint8), image)
        assert datamodule.files["train"][sample].split("/")[1] == datamodule.class_names[target[row]]


@HOW_READ
def test_evaluation_gets_the_photos_resized_and_cropped_as_ever(photos, options):
    with_crops, plain = photo_data(**options), folder_data("photos", size=16, **options)
    for each in (with_crops, plain):
        each.setup("fit")
    for part in ("val_set", "test_set"):
        ours, theirs = (getattr(each, part) for each in (with_crops, plain))
        for position in range(len(ours)):
            assert torch.equal(ours[position]["input"], theirs[position]["input"])
    assert (with_crops.mean, with_crops.std) == (plain.mean, plain.std)
    assert with_crops.fingerprint() == plain.fingerprint()


@HOW_READ
def test_evaluation_transforms_get_the_original_size_too(photos, options):
    transforms = [v2.Resize(20, antialias=True), v2.CenterCrop(16)]
    datamodule = photo_data(eval_transform=transforms, **options)
    datamodule.setup("fit")
    for position in range(len(datamodule.test_set)):
        image = as_tensor(Image.open(photos / "test" / datamodule.files["test"][position].removeprefix("test/")))
        assert torch.equal(datamodule.test_set[position]["input"], transforms[1](transforms[0](image)))
    torch.save(datamodule.state_dict(), "state.pt")
    saved = EvaluationReader.from_state(torch.load("state.pt", weights_only=True)["images"])
    for position, name in enumerate(datamodule.files["test"]):
        assert torch.equal(saved(photos / name), datamodule.test_set[position]["input"])
    fresh = photo_data(eval_transform=transforms, predict_folder="photos/test")
    fresh.setup("predict")
    assert torch.equal(fresh.new_set[0]["input"], datamodule.test_set[0]["input"])


def test_named_augmentations_follow_on_the_batch(photos):
    images = served(photo_data(augment=[CROP, v2.RandomInvert(1.0), "crop_flip"], scale="unit"))[2]
    assert images.shape[1:] == (3, 16, 16)
    assert (images == 0).float().mean() > served(photo_data(augment=[CROP]))[2].eq(0).float().mean() + 0.01  # padded


def test_both_views_of_unlabeled_photos_are_drawn_at_their_original_size(photos):
    datamodule = photo_data(
        num_labeled=6, unlabeled_batch_size=4, strong_augment=[CROP, v2.RandomInvert(1.0)], scale="unit", val_size=4
    )
    datamodule.setup("fit")
    loader = datamodule.train_dataloader()
    batch = next(iter(loader))[0]
    unlabeled = batch["unlabeled"]
    assert set(unlabeled) >= {"weak", "strong", "index"}
    assert "input" not in unlabeled
    for row, sample in enumerate(unlabeled["index"].tolist()):
        strong = expected(datamodule, sample, 0, number=1, transforms=[CROP, v2.RandomInvert(1.0)])
        assert torch.equal(unlabeled["weak"][row], expected(datamodule, sample, 0))
        assert torch.equal(unlabeled["strong"][row], strong)
    ready = datamodule.on_after_batch_transfer(batch, 0)
    assert ready["unlabeled"]["weak"].shape == ready["unlabeled"]["strong"].shape == (4, 3, 16, 16)


def test_nothing_that_is_drawn_advances_the_global_generator(photos):
    datamodule = photo_data()
    datamodule.setup("fit")
    state = torch.get_rng_state()
    next(iter(datamodule.train_dataloader()))
    assert torch.equal(torch.get_rng_state(), state)


def test_photos_are_kept_in_memory_only_if_they_fit(photos):
    paths = sorted(photos.rglob("train/*/*.png"))
    reader = ImageReader((3, 16, 16), resize=True)
    needed = sum(3 * image.width * image.height for image in map(Image.open, paths))
    kept, lazy = Photos(paths, reader, needed), Photos(paths, reader, needed - 1)
    assert (kept.images is None, lazy.images is None) == (False, True)
    for ours, theirs, path in zip(kept.read(range(24)), lazy.read(range(24)), paths, strict=True):
        assert torch.equal(ours, theirs)
        assert torch.equal(ours, as_tensor(Image.open(path)))


@pytest.mark.parametrize("size", [(20, 60), (60, 20), (10, 10), (16, 16), (17, 300), (33, 47)])
def test_what_has_another_size_is_resized_to_cover_and_cropped_around_its_centre(size):
    image = torch.zeros(3, *size, dtype=torch.uint8)
    image[:, size[0] // 2 - 2 : size[0] // 2 + 2, size[1] // 2 - 2 : size[1] // 2 + 2] = 255
    found = fit(image, (3, 16, 16))
    assert found.shape == (3, 16, 16)
    assert found[:, 7:9, 7:9].float().mean() > 100


def test_without_a_size_there_is_nothing_to_bring_photos_to(photos):
    with pytest.raises(ValueError, match=r"data\.original_size: needs data\.size"):
        photo_data(size=None)
    with pytest.raises(ValueError, match=r"data\.augment: 'rotate' is not one of"):
        photo_data(augment=[CROP, "rotate"])
