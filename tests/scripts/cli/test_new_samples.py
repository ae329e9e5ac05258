import csv
from pathlib import Path

import pytest
from PIL import Image

from tests.data.builders import write_image_folder
from tests.scripts.helpers import CONFIGS, QUIET, litzoo

CNN = ["--model=CNNClassifier", "--model.widths=[4]", "--experiment=mine", *QUIET]
SHAPES = ["--config", str(CONFIGS / "shapes_maskrcnn.yaml"), "--trainer.accelerator=cpu", "--trainer.precision=32"]
SHAPES += ["--data.images=6", "--data.train_size=4", "--data.val_size=2", "--data.side=48", "--trainer.max_steps=1"]


def rows_of(name):
    with Path(f"runs/{name}/version_0/predictions.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def new():
    """The option that has other images predicted."""
    Path("new/within").mkdir(parents=True)
    Image.new("RGB", (40, 30), "red").save("new/within/b.jpg")
    Image.new("L", (70, 50)).save("new/a.png")
    return "--data.predict_folder=new"


def test_a_run_predicts_images_of_another_folder(new):
    write_image_folder(Path("data/mine"), train=60, test=20)
    data = ["--data=ImageFolderDataModule", "--data.folder=mine", "--data.val_size=20"]
    litzoo("fit", *data, *CNN, "--trainer.max_epochs=1", "--trainer.callbacks=NoisyLabelFinder")
    with Path("runs/mine/version_0/suspects.csv").open(newline="") as stream:
        suspects = list(csv.DictReader(stream))
    assert len(suspects) == 40
    assert all(Path("data/mine", row["file"]).parent.name == row["given"] for row in suspects)

    litzoo("predict", "--config", "runs/mine/version_0/config.yaml")
    tested = rows_of("mine")
    assert len(tested) == 20
    assert all(Path("data/mine", row["file"]).is_file() for row in tested)

    litzoo("predict", "--config", "runs/mine/version_0/config.yaml", new)
    assert [(row["index"], row["file"]) for row in rows_of("mine")] == [("0", "a.png"), ("1", "within/b.jpg")]


def test_a_detector_finds_objects_in_images_of_another_folder(new):
    litzoo("fit", *SHAPES, *QUIET, "--test_after_fit=false")
    litzoo("predict", "--config", "runs/shapes_maskrcnn/version_0/config.yaml", new, "--model.min_score=0")
    found = rows_of("shapes_maskrcnn")
    assert {(row["index"], row["file"]) for row in found} == {("0", "a.png"), ("1", "within/b.jpg")}
    assert {row["class_name"] for row in found} <= {"circle", "square", "triangle"}
    assert max(float(row["x1"]) for row in found if row["index"] == "0") <= 70
