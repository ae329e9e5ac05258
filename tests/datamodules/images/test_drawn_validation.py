"""With test files of its own and no validation files, a folder's validation images are drawn by their content."""

import shutil
import tempfile
import warnings
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.datamodules.image_folder import change_at_random, folder_data, noise, part_by_content, save, write_class
from tests.datamodules.recording import Recorder, quiet_trainer

CLASSES = ("cat", "dog")
EXACT = {"near_duplicates": "keep", "size": 6}
CHECKPOINT = "trained.ckpt"


def write_folders(folder="pets", train=60, test=10):
    for number, (part, count) in enumerate([("train", train), ("test", test)]):
        for label, name in enumerate(CLASSES):
            write_class(Path(folder, part, name), count // 2, seed=10000 * number + 1000 * label)
    return Path(folder)


def parts_of(folder, table=False, **options):
    """Returns file content -> part."""
    return part_by_content(folder, table, **(EXACT | options))


@pytest.mark.parametrize("table", [False, True], ids=["folders", "table"])
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_adding_removing_renaming_and_relabelling_moves_no_other_image(table, data):
    with tempfile.TemporaryDirectory() as place:
        folder = write_folders(Path(place, "pets"))
        before = parts_of(folder, table)
        change_at_random(folder, CLASSES, 30, data)
        after = parts_of(folder, table)
    assert set(before.values()) == {"train", "val", "test"}
    assert {content: part for content, part in after.items() if content in before} == {
        content: part for content, part in before.items() if content in after
    }


def test_labels_are_drawn_by_content_too():
    folder = write_folders()
    options = {"num_labeled": 20, "val_size": 8}
    before = parts_of(folder, **options)
    assert sorted(before.values()).count("val") == 8
    save(folder / "train" / "cat" / "0 first.png", noise(6, 6, seed=10**6))
    after = parts_of(folder, **options)
    moved = [content for content in before if before[content] != after[content]]
    assert len(moved) <= 4  # the newcomer can take the place of one validation and of one labeled image, and these


def test_neither_the_place_nor_the_seed_moves_a_test_image(tmp_path):
    folder = write_folders()
    other = shutil.copytree(folder, tmp_path / "elsewhere" / "animals")
    first, second = (folder_data(str(each), **EXACT) for each in (folder, other))
    for each in (first, second):
        each.find_split()
    assert first.fingerprint() == second.fingerprint()
    parts = [parts_of(folder, seed=seed) for seed in (0, 1)]
    assert parts[0] != parts[1]
    assert [{content for content, part in each.items() if part == "test"} for each in parts] == [
        {path.read_bytes() for path in Path(folder, "test").rglob("*.png")}
    ] * 2


def test_the_table_says_what_is_drawn():
    folder = write_folders()
    datamodule = folder_data(str(folder), **EXACT)
    datamodule.setup("fit")
    note = datamodule.split_report()["notes"][0]
    assert note.startswith("a sample's part, training or validation, is drawn by a hash of its content")
    datamodule = folder_data(str(folder), **EXACT | {"val_size": 0})
    datamodule.setup("fit")
    assert "notes" not in datamodule.split_report()
    shutil.copytree(folder / "test", folder / "val")
    datamodule = folder_data(str(folder), **EXACT | {"val_size": 0.1})
    datamodule.setup("fit")
    assert "notes" not in datamodule.split_report()


def test_near_duplicates_of_training_and_validation_are_left_out_but_no_test_image():
    for part, seed in {"train": 0, "test": 500}.items():
        for label, name in enumerate(CLASSES):
            for number in range(30):
                photo = Image.fromarray(noise(6, 6, seed=seed + 100 * label + number)).resize((64, 64))
                save(f"photos/{part}/{name}/{number:02}.png", photo)
                save(f"photos/{part}/{name}/{number:02}.jpg", photo, quality=80)
    datamodule = folder_data("photos", size=16)
    with pytest.warns(UserWarning, match=r"files are left out: .* \(like .*copies of images in another part"):
        datamodule.setup("fit")
    side = {}
    for part, indices in datamodule.split.parts().items():
        for i in indices:
            name = Path(datamodule.files["train"][i]).with_suffix("")
            assert side.setdefault(name, part) == part
    assert len(side) == 60
    assert len(datamodule.files["test"]) == 120


def test_test_images_that_are_copies_of_training_images_are_tested_with_a_warning():
    folder = write_folders()
    for name in ("000.png", "001.png"):
        shutil.copy(folder / "test" / "cat" / name, folder / "train" / "cat" / f"copy of {name}")
    datamodule = folder_data(**EXACT)
    with pytest.warns(UserWarning, match=r"2 test images are copies of training images: test/cat/000\.png, test/cat/0"):
        datamodule.setup("fit")
    assert len(datamodule.test_set) == 10


def train(**options):
    datamodule, trainer = folder_data(**options), quiet_trainer(Path.cwd())
    trainer.fit(Recorder(), datamodule=datamodule)
    trainer.save_checkpoint(CHECKPOINT)
    return datamodule


def use(stage, **options):
    datamodule, recorder, trainer = folder_data(**options), Recorder(), quiet_trainer(Path.cwd(), 2)
    getattr(trainer, stage)(recorder, datamodule=datamodule, ckpt_path=CHECKPOINT, weights_only=True)
    return datamodule, recorder


def contents(datamodule, part):
    return [Path("pets", datamodule.files["train"][i]).read_bytes() for i in datamodule.split.parts()[part]]


def test_a_resumed_run_uses_the_samples_that_it_has_recorded():
    folder = write_folders()
    trained, unbroken = train(), Recorder()
    quiet_trainer(Path.cwd(), 2).fit(unbroken, datamodule=folder_data())
    before = {part: contents(trained, part) for part in ("train", "val")}
    (folder / "train" / "cat" / "000.png").rename(folder / "train" / "cat" / "zzz.png")
    write_class(folder / "train" / "dog" / "later", 12, seed=7777)
    write_class(folder / "test" / "dog" / "later", 3, seed=8888)
    with pytest.warns(UserWarning, match=r"12 files are left out: train/dog/later/.* \(new since the checkpoint"):
        resumed, recorder = use("fit")
    assert {part: contents(resumed, part) for part in ("train", "val")} == before
    assert torch.equal(*(each.column("train", "index", 1) for each in (recorder, unbroken)))
    assert len(resumed.test_set) == 13


def test_a_checkpoint_is_tested_on_a_grown_folder_and_copies_of_its_training_images_are_named():
    folder = write_folders()
    trained = train()
    write_class(folder / "train" / "dog" / "later", 12, seed=7777)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*copies of training images")
        _, recorder = use("test")
    assert len(recorder.column("test", "index")) == 10
    seen = Path("pets", trained.files["train"][int(trained.split.train[0])])
    shutil.copy(seen, folder / "test" / "cat" / "seen.png")
    with pytest.warns(UserWarning, match=r"1 test image is a copy of a training image: test/cat/seen\.png"):
        _, recorder = use("test")
    assert len(recorder.column("test", "index")) == 11


def test_a_training_image_that_is_gone_is_named_also_if_it_is_tested_now():
    folder = write_folders()
    trained = train()
    name = trained.files["train"][int(trained.split.train[0])]
    Path("pets", name).rename(folder / "test" / "cat" / "moved.png")
    with pytest.raises(FileNotFoundError, match=rf"1 of the \d+ images .* absent .*: {name}; restore"):
        use("fit")
