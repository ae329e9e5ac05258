import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from litzoo.datamodules import LongTailed, SymmetricNoise
from litzoo.datamodules.io.images import ImagesOnDisk
from tests.data.builders import CIFAR_CLASSES
from tests.datamodules.image_folder import folder_data, noise, save, write_class, write_pets
from tests.datamodules.recording import record

LAZY = {"memory_limit": 0}


def served(datamodule, stage="fit", part="train"):
    """Returns index, target and input of every batch that Lightning hands over."""
    recorder = record(datamodule, stage)
    return [recorder.column(part, name) for name in ("index", "target", "input")]


def test_each_image_is_served_with_the_class_of_its_folder():
    save("pets/train/a cat/x.png", noise(4, 5, seed=1))
    save("pets/train/a cat/deep/er/Y.PNG", noise(4, 5, seed=2))
    save("pets/train/Löwe/z.bmp", noise(4, 5, seed=3))
    save("pets/train/Löwe/.hidden.png", noise(9, 9))
    Path("pets/train/Löwe/notes.txt").write_text("no image")
    save("pets/test/a cat/t.png", noise(4, 5, seed=4))
    save("pets/test/Löwe/t.png", noise(4, 5, seed=5))
    datamodule = folder_data(val_size=0)
    assert (datamodule.class_names, datamodule.input_shape) == (("Löwe", "a cat"), (3, 4, 5))
    for train, seeds, labels in [(True, [3, 2, 1], [0, 1, 1]), (False, [5, 4], [0, 1])]:
        images, found = datamodule.read(train)
        assert found.tolist() == labels
        expected = torch.stack([torch.from_numpy(noise(4, 5, seed=seed)).permute(2, 0, 1) for seed in seeds])
        assert torch.equal(images, expected)


@pytest.mark.parametrize("seed", [0, 5])
def test_without_parts_about_a_fifth_is_held_out_whatever_the_seed(seed):
    for label, name in enumerate("abc"):
        write_class(Path("flat", name), 40, seed=100 * label)
    datamodule = folder_data("flat", seed=seed)
    (trained, labels), (tested, test_labels) = (
        datamodule.folder_files.files(train=True),
        datamodule.folder_files.files(train=False),
    )
    assert sorted([*trained, *tested]) == sorted(Path("flat").rglob("*.png"))
    assert [path.parent.name for path in tested] == ["abc"[label] for label in test_labels]
    assert [path.parent.name for path in trained] == ["abc"[label] for label in labels]
    assert abs(len(tested) - 24) < 3 * (120 * 0.2 * 0.8) ** 0.5  # three standard deviations: a hash draws the samples
    assert tested == folder_data("flat", seed=seed + 1, train_size=5).folder_files.files(train=False)[0]


def test_a_folder_of_training_and_validation_images_is_not_taken_for_two_classes():
    for number, part in enumerate(("train", "val")):
        for label, name in enumerate(("cat", "dog")):
            write_class(Path("pets", part, name), 20, seed=200 * number + 100 * label)
    datamodule = folder_data()
    datamodule.setup("fit")
    assert datamodule.class_names == ("cat", "dog")
    assert [datamodule.files["train"][i].split("/")[0] for i in datamodule.split.val] == ["val"] * 40
    assert {name.split("/")[0] for name in datamodule.files["test"]} == {"train"}


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("stage", ["fit", "test"])
def test_files_give_the_batches_that_memory_gives(stage, num_workers, tiny_data):
    part, options = "train" if stage == "fit" else "test", {"root": str(tiny_data), "size": 16, "batch_size": 24}
    memory, files = folder_data("cifar10", **options), folder_data("cifar10", **options, **LAZY)
    files.num_workers = num_workers
    for ours, theirs in zip(served(memory, stage, part), served(files, stage, part), strict=True):
        assert torch.equal(ours, theirs)
    dataset = files.train_set if stage == "fit" else files.test_set
    assert isinstance(dataset.inputs, ImagesOnDisk)


@pytest.mark.parametrize(("spare", "kept"), [(0, True), (-1, False)])
def test_the_memory_limit_counts_the_bytes_of_a_part(spare, kept):
    write_pets(train=20, side=6)
    images, labels = folder_data(memory_limit=(40 * 3 * 6 * 6 + spare) / 2**30).read(train=True)
    assert isinstance(images, torch.Tensor) == kept
    assert len(images) == len(labels) == 40


@pytest.mark.parametrize("options", [{}, LAZY])
@pytest.mark.parametrize(("size", "shape"), [(4, (4, 4)), ((3, 5), (3, 5)), ([8, 2], (8, 2)), (None, (6, 6))])
@pytest.mark.parametrize("grey", [False, True])
def test_images_get_the_size_and_the_channels_that_are_asked(size, shape, grey, options):
    write_pets()
    datamodule = folder_data(size=size, grey=grey, val_size=8, **options)
    assert datamodule.input_shape == (1 if grey else 3, *shape)
    assert served(datamodule)[2].shape == (32, *datamodule.input_shape)
    datamodule.setup("test")
    assert datamodule.test_images(torch.tensor([3, 0])).shape == (2, *datamodule.input_shape)


def test_images_of_all_sizes_can_be_brought_to_one():
    write_pets()
    save("pets/train/cat/large.jpg", noise(300, 200))
    save("pets/train/dog/small.png", noise(1, 2))
    assert served(folder_data(size=5, val_size=0))[2].shape == (42, 3, 5, 5)


def test_images_that_their_camera_turned_have_the_size_that_they_are_shown_with():
    lying = Image.Exif()
    lying[0x0112] = 6  # as a phone that was held upright notes it
    for name in ("cat", "dog"):
        for number in range(5):
            save(f"pets/{name}/{number}.png", noise(4, 6, seed=10 * ord(name[0]) + number), exif=lying)
    datamodule = folder_data(val_size=0, test_size=2)
    assert datamodule.input_shape == (3, 6, 4)
    assert datamodule.read(train=True)[0].shape == (8, 3, 6, 4)


def test_a_test_class_may_have_no_image():
    write_pets()
    shutil.rmtree("pets/test/dog")
    Path("pets/test/dog").mkdir()
    assert folder_data().read(train=False)[1].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("options", [{}, LAZY])
def test_label_options_work_with_an_image_folder(options, tiny_data):
    datamodule = folder_data(
        "cifar10",
        root=str(tiny_data),
        val_size=10,
        known_classes=["ship", "cat", "dog", "frog"],
        imbalance=LongTailed(4),
        train_size={"per_class": 6},
        label_noise=SymmetricNoise(0.5),
        **options,
    )
    recorder = record(datamodule)
    index, target, clean = (recorder.column("train", name) for name in ("index", "target", "clean_target"))
    folders = [path.parent.name for path in datamodule.folder_files.files(train=True)[0]]
    assert [folders[i] for i in index] == [datamodule.class_names[label] for label in clean]
    assert clean.bincount().tolist() == [6, 4, 2, 2]  # 6 · 4^(-i/3), rounded
    assert int((target != clean).sum()) == 7
    tested = record(datamodule, "test").column("test", "target")
    assert (tested == -1).sum() == 40 - 16
    names = [CIFAR_CLASSES[label] for label in torch.arange(10).repeat_interleave(4)]
    assert [datamodule.class_names[i] if i >= 0 else "?" for i in tested] == [
        name if name in datamodule.class_names else "?" for name in names
    ]
