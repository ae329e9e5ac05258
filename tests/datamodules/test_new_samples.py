"""Unlabeled images and rows to predict instead of the test set."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from litzoo.datamodules import (
    CSVRegressionDataModule,
    DigitsDataModule,
    ImageFolderDataModule,
    PennFudanDataModule,
    ShapesDataModule,
)
from litzoo.datamodules.io.images import DamagedImageError
from tests.data.builders import write_image_folder, write_instances

EVERY = torch.arange(2)


@pytest.fixture
def new():
    """A folder of two images of other sizes and a file that is not an image."""
    Path("new/within").mkdir(parents=True)
    Image.fromarray(np.full((40, 60, 3), (255, 0, 0), np.uint8)).save("new/within/red.jpg", quality=100)
    Image.fromarray(np.full((50, 20), 128, np.uint8)).save("new/grey.png")
    Path("new/notes.txt").write_text("nothing")
    return "new"


def served(datamodule):
    datamodule.setup("predict")
    (batch,) = datamodule.predict_dataloader()
    return batch


def test_new_images_are_served_as_those_that_were_trained_on(new):
    write_image_folder(Path("mine"))
    batch = served(ImageFolderDataModule(folder="mine", root=".", predict_folder=new))
    assert set(batch) == {"input", "index"}
    assert batch["index"].tolist() == [0, 1]
    assert batch["input"].shape == (2, 3, 32, 32)
    assert batch["input"][0].unique().tolist() == [128]
    assert batch["input"][1, :, 5, 5].tolist() == pytest.approx([255, 0, 0], abs=2)


def test_they_need_no_data_set(new):
    datamodule = DigitsDataModule(predict_folder=new)
    batch = served(datamodule)
    assert batch["input"].shape == (2, 1, 28, 28)
    assert datamodule.test_set is None
    assert datamodule.file_names("predict", EVERY) == ["grey.png", "within/red.jpg"]


def test_a_detector_gets_them_in_their_own_size(new):
    batch = served(ShapesDataModule(images=4, predict_folder=new))
    assert [image.shape for image in batch["input"]] == [(3, 50, 20), (3, 40, 60)]
    assert [len(target["labels"]) for target in batch["target"]] == [0, 0]


def test_without_them_the_files_are_those_of_the_test_set():
    write_image_folder(Path("mine"))
    datamodule = ImageFolderDataModule(folder="mine", root=".")
    datamodule.setup("fit")
    datamodule.setup("predict")
    for part, rows in [
        ("predict", datamodule.test_set),
        ("test", datamodule.test_set),
        ("train", datamodule.train_set),
    ]:
        for position in (0, 7):
            (name,) = datamodule.file_names(part, torch.tensor([position]))
            image = torch.from_numpy(np.array(Image.open(Path("mine", name)).convert("RGB"))).permute(2, 0, 1)
            assert torch.equal(rows.inputs[position], image)
            target = datamodule.class_names.index(Path(name).parts[1])
            assert rows.targets[position] == target


def test_unknown_images_have_other_names_than_known_ones():
    write_image_folder(Path("mine"), test=10)
    write_image_folder(Path("other"), test=10)
    others = ImageFolderDataModule(folder="other", root=".", size=28, grey=True)
    known = ImageFolderDataModule(folder="mine", root=".", size=28, grey=True, unknowns=others)
    known.setup("test")
    name = known.files["test"][0]
    assert known.file_names("test", torch.tensor([0, 10])) == [name, f"unknowns/{name}"]
    digits = DigitsDataModule(unknowns=others)
    digits.setup("test")
    assert digits.file_names("test", torch.tensor([0, 359])) == ["", f"unknowns/{name}"]


def test_annotated_images_have_names_too():
    write_instances(Path("cells/train"), 4)
    write_instances(Path("cells/test"), 3)
    datamodule = PennFudanDataModule(root=".", folder="cells", val_size=1)
    datamodule.setup("fit")
    names = sorted(path.name for path in Path("cells/test/PNGImages").iterdir())
    assert datamodule.file_names("test", torch.arange(3)) == names
    assert DigitsDataModule().file_names("test", EVERY) == []


@pytest.mark.parametrize(
    ("folder", "message"),
    [("none", "'none' is not a folder"), ("", "'' is not a folder"), ("empty", "'empty' holds no image")],
)
def test_a_folder_without_images_is_refused(folder, message):
    Path("empty").mkdir()
    with pytest.raises(FileNotFoundError, match=rf"data\.predict_folder: {message}"):
        DigitsDataModule(predict_folder=folder).setup("predict")


def test_a_link_to_another_disk_is_followed_and_a_damaged_image_refused(new):
    Image.new("L", (5, 5)).save("elsewhere.png")
    link = Path(new, "link.png")
    link.symlink_to(Path("elsewhere.png").absolute())
    datamodule = DigitsDataModule(predict_folder=new)
    datamodule.setup("predict")
    assert "link.png" in datamodule.files["predict"]
    link.unlink()
    link.write_bytes(b"nothing")
    with pytest.raises(DamagedImageError, match=r"link\.png cannot be read"):
        served(DigitsDataModule(predict_folder=new))


TABLE = "size,colour,id,y\n" + "".join(f"{row},{'red' if row % 2 else 'blue'},x{row},{2 * row}\n" for row in range(40))


def table(new=None):
    Path("table.csv").write_text(TABLE)
    if new is not None:
        Path("new.csv").write_text(new)
    options = {"root": ".", "file": "table.csv", "target": "y", "drop_columns": ["id"]}
    return CSVRegressionDataModule(**options, predict_file="new.csv")


def test_new_rows_are_prepared_with_the_statistics_of_training():
    """Other column order and separator, no target, a missing number and an unseen category."""
    datamodule = table("colour;size\nred;4\ngreen;\nblue;38\n")
    with pytest.warns(UserWarning, match=r"new\.csv: column 'colour' has categories in 1 of 3 rows .*: 'green'"):
        inputs = served(datamodule)["input"]
    trained = np.arange(40)[_training_rows(datamodule)]
    size = (np.array([4, np.median(trained), 38]) - trained.mean()) / trained.std()
    assert inputs[:, 0].tolist() == pytest.approx(size.tolist(), rel=1e-4)
    assert inputs[:, -2:].tolist() == [[0, 1], [0, 0], [1, 0]]


def _training_rows(datamodule):
    datamodule.setup("fit")
    kept = datamodule.train_set.indices
    return (datamodule.train_set.targets[kept] / 2).long().numpy()


@pytest.mark.parametrize(
    ("new", "error", "message"),
    [
        (None, FileNotFoundError, r"new\.csv cannot be read .*data\.predict_file"),
        ("size,y\n1,2\n", ValueError, r"new\.csv: no column 'colour', which was used in training"),
        ("size,color\n1,red\n", ValueError, r"new\.csv: no column 'colour'.* is 'color' the renamed 'colour'"),
        ("size,colour,more\n1,red,?\n", ValueError, r"new\.csv: column 'more' did not exist in training"),
        ("size,colour\nlarge,red\n", ValueError, r"new\.csv: column 'size' has text, but was numeric in training"),
        ("size,colour\ninf,red\n", ValueError, r"new\.csv: column 'size' has infinite numbers; repair it"),
    ],
)
def test_rows_that_were_not_trained_on_are_refused(new, error, message):
    with pytest.raises(error, match=message):
        table(new).setup("predict")
