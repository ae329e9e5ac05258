"""Class folders of files as people have them, through the datamodule and its checkpoints."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from litzoo.datamodules.io.value_range import range_of
from tests.datamodules.image_folder import folder_data, noise, save, write_pets

LAZY = {"memory_limit": 0}
HOW_READ = pytest.mark.parametrize("options", [{}, LAZY], ids=["memory", "lazy"])


def write_deep(train=(100, 300), test=(50, 400), kind=np.uint16, suffix="png"):
    """Writes images of more than 8 bits, whose values span exactly these ranges."""
    for seed, (part, (low, high)) in enumerate({"train": train, "test": test}.items()):
        for label, name in enumerate(("cat", "dog")):
            for number in range(10):
                values = np.random.RandomState(100 * seed + 10 * label + number).uniform(low, high, (6, 6))
                values[0, :2] = low, high
                save(f"deep/{part}/{name}/{number}.{suffix}", values.astype(kind))


def images(datamodule, part="train"):
    rows = (datamodule.train_set if part == "train" else datamodule.test_set).inputs
    return rows.index_select(0, torch.arange(len(rows)))


def image_of(datamodule, name):
    part = name.split("/")[0]
    return images(datamodule, part)[datamodule.files[part].index(name)]


@HOW_READ
@pytest.mark.parametrize(("kind", "suffix"), [(np.uint16, "png"), (np.float32, "tif"), (np.int32, "tif")])
def test_deep_images_span_all_levels_and_test_images_are_scaled_alike(kind, suffix, options):
    write_deep(kind=kind, suffix=suffix)
    datamodule = folder_data("deep", grey=True, val_size=4, **options)
    with pytest.warns(UserWarning, match=r"all 20 files have values outside of 100 to 300 .*clipped"):
        datamodule.setup("fit")
    train = images(datamodule)
    assert (train.min(), train.max()) == (0, 255)
    for part in ("train", "test"):
        stored = np.asarray(Image.open(f"deep/{part}/cat/0.{suffix}")).astype(np.float64)
        expected = ((stored - 100) / 200 * 255).clip(0, 255)
        assert np.abs(image_of(datamodule, f"{part}/cat/0.{suffix}")[0].numpy() - expected).max() <= 0.51
    assert datamodule.split_report()["decoded"]["train"] == [
        "all 20 files have more than 8 bits: values from 100 to 300 are scaled to 0 to 255 (data.value_range)"
    ]


def test_the_range_of_each_file_is_measured_once(monkeypatch):
    write_deep()
    measured = []

    def count(path, page):
        measured.append(path)
        return range_of(path, page)

    monkeypatch.setattr("litzoo.datamodules.images.folders.reading.range_of", count)
    with pytest.warns(UserWarning, match="clipped"):
        folder_data("deep").setup("fit")  # compares small versions of the images, and reads them
    assert sorted(measured) == sorted(Path("deep").rglob("*.png"))


def test_the_range_travels_in_the_checkpoint_and_training_images_are_not_measured_again():
    write_deep()
    trained = folder_data("deep")
    with pytest.warns(UserWarning, match="clipped"):
        trained.setup("fit")
    torch.save(trained.state_dict(), "state.pt")
    state = torch.load("state.pt", weights_only=True)
    assert state["images"]["reading"] == {
        "shape": [3, 6, 6],
        "resize": True,
        "value_range": [100.0, 300.0],
        "background": [255, 255, 255],
        "page": 0,
    }
    for number in range(10):  # other training images: another range, which must not count
        save(f"deep/train/cat/{number}.png", np.linspace(0, 9000, 36).astype(np.uint16).reshape(6, 6))
    tested = folder_data("deep")
    tested.load_state_dict(state)
    with pytest.warns(UserWarning, match="clipped"):
        tested.setup("test")
    assert torch.equal(images(tested, "test"), images(trained, "test"))
    late = folder_data("deep")  # as Lightning does it: reads first, restores then
    late.setup("test")
    with pytest.warns(UserWarning, match="clipped"):
        late.load_state_dict(state)
    assert torch.equal(images(late, "test"), images(trained, "test"))


def test_new_images_are_read_by_the_rules_of_the_checkpoint():
    write_deep()
    trained = folder_data("deep", page=0, background="black")
    with pytest.warns(UserWarning, match="clipped"):
        trained.setup("fit")
    save("new/a.jfif.bin", Image.open("deep/train/cat/0.png"), format="PNG")
    fresh = folder_data("deep", background="black", predict_folder="new")
    fresh.setup("predict")
    fresh.load_state_dict(trained.state_dict())
    assert torch.equal(fresh.new_set[0]["input"], image_of(trained, "train/cat/0.png"))


def test_another_option_than_the_checkpoints_is_said():
    write_pets()
    trained = folder_data()
    trained.setup("fit")
    with pytest.warns(UserWarning, match=r"data\.background is \(0, 0, 0\), but the checkpoint.*\(255, 255, 255\)"):
        folder_data(background="black").load_state_dict(trained.state_dict())
    with pytest.warns(UserWarning, match=r"data\.value_range is \(0\.0, 9\.0\), but the checkpoint.*None"):
        folder_data(value_range=(0, 9)).load_state_dict(trained.state_dict())


@HOW_READ
def test_a_transparent_drawing_is_visible(options):
    for part in ("train", "test"):
        for name in ("circle", "square"):
            for number in range(5):
                layers = np.zeros((6, 6, 4), dtype=np.uint8)
                layers[1:4, number % 3 : number % 3 + 2, 3] = 255
                save(f"drawn/{part}/{name}/{number}.png", layers)
    options = {"val_size": 0, **options}  # with few different files a fraction could come out empty
    white, black = folder_data("drawn", **options), folder_data("drawn", background=(0, 0, 0), **options)
    for datamodule in (white, black):
        datamodule.setup("fit")
    assert set(images(white).unique().tolist()) == {0, 255}
    assert images(black).max() == 0
    assert "transparent" in str(white.split_report()["decoded"])


def test_files_count_by_content_and_others_are_left_out_and_named():
    write_pets()
    for number, kind in enumerate(["JPEG", "PNG", "WEBP", "TIFF"]):
        Image.fromarray(noise(6, 6)).save(f"pets/train/cat/photo{number}.data", format=kind)
    Path("pets/train/cat/notes.md").write_text("seen in May")
    Path("pets/train/dog/labels.csv").write_text("a,b")
    Path("pets/train/dog/Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    datamodule = folder_data()
    with pytest.warns(
        UserWarning, match=r"2 files are left out: .*cat/notes\.md.*dog/labels\.csv \(no images, in train"
    ):
        images_, labels = datamodule.read(train=True)
    assert labels.bincount().tolist() == [24, 20]
    assert len(images_) == 44
    assert ["train/cat/notes.md", "train/dog/labels.csv"] in datamodule.folder_files.left_out.values()


def test_pages_are_chosen_by_the_option_and_warned_about_without():
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            for number in range(5):
                pages = [Image.fromarray(noise(6, 6, seed=number + 10 * page)) for page in range(3)]
                save(f"stacks/{part}/{name}/{number}.tif", pages[0], save_all=True, append_images=pages[1:])
    first, third = folder_data("stacks", val_size=2), folder_data("stacks", page=2, val_size=2)
    with pytest.warns(UserWarning, match=r"all 10 files have several pages: page 0 is read \(data\.page.*cat/0\.tif"):
        first.read(train=True)
    rows, _ = third.read(train=True)
    first_file = third.folder_files.files(train=True)[0].index(Path("stacks/train/cat/0.tif"))
    assert np.array_equal(rows[first_file].permute(1, 2, 0), noise(6, 6, seed=20))
    with pytest.raises(ValueError, match=r"it has 3 pages, numbered from 0, but data\.page is 7"):
        folder_data("stacks", page=7, val_size=2).setup("fit")


def test_a_few_deep_files_among_others_are_warned_about():
    write_pets()
    save("pets/train/dog/deep.png", np.arange(36, dtype=np.uint16).reshape(6, 6))
    with pytest.warns(UserWarning, match=r"1 of 41 files have more than 8 bits.*deep\.png; the others have 8 bits"):
        folder_data().read(train=True)


@pytest.mark.parametrize("options", [{"value_range": (2, 1)}, {"background": "no colour"}, {"page": -2}])
def test_impossible_options_are_refused_by_name(options):
    write_pets()
    with pytest.raises(ValueError, match=f"data.{next(iter(options))}: "):
        folder_data(**options)
