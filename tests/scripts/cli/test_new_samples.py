import csv
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from pycocotools.coco import COCO
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from litzoo.scripts.compare.command import compare
from litzoo.scripts.export.command import export_checkpoint
from tests.data.builders import write_image_folder
from tests.scripts.helpers import CONFIGS, QUIET, litzoo

CNN = ["--model=CNNClassifier", "--model.widths=[4]", "--experiment=mine", *QUIET]
SHAPES = ["--config", str(CONFIGS / "shapes_maskrcnn.yaml"), "--trainer.accelerator=cpu", "--trainer.precision=32"]
SHAPES += ["--data.images=6", "--data.train_size=4", "--data.val_size=2", "--data.side=48", "--trainer.max_steps=1"]


VALIDATED = ["--trainer.max_steps=-1", "--trainer.max_epochs=1", "--trainer.limit_train_batches=1"]
VALIDATED += ["--trainer.check_val_every_n_epoch=1", "--model.proposals=20"]


def rows_of(name, of=""):
    with Path(f"runs/{name}/version_0/predictions{of}.csv").open(newline="") as stream:
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
    assert [(row["index"], row["file"]) for row in rows_of("mine", "_new")] == [("0", "a.png"), ("1", "within/b.jpg")]
    assert rows_of("mine") == tested  # those of the test set stay


def test_each_folder_and_file_that_is_predicted_has_files_of_its_own(new):
    litzoo("fit", "--config", str(CONFIGS / "digits_cnn.yaml"), *QUIET, "--trainer.max_steps=1")
    predict = ["predict", "--config", "runs/digits_cnn/version_0/config.yaml"]
    shutil.copytree("new/within", "more/NEW")
    for folder in ("new", "more/NEW", "more/../new/"):
        litzoo(*predict, f"--data.predict_folder={folder}")
    assert [len(rows_of("digits_cnn", of)) for of in ("_new", "_NEW-2")] == [2, 1]
    written = {path.name for path in Path("runs/digits_cnn/version_0").glob("predict*")}
    assert written == {"predictions_new.csv", "predictions_NEW-2.csv", "predicted_inputs.json"}
    named = json.loads(Path("runs/digits_cnn/version_0/predicted_inputs.json").read_text())
    assert named == {"new": str(Path("new").absolute()), "NEW-2": str(Path("more/NEW").absolute())}


def test_a_detector_finds_objects_in_images_of_another_folder_and_writes_them_as_coco_reads_them(new):
    litzoo("fit", *SHAPES, *QUIET, "--test_after_fit=false")
    predict = ["predict", "--config", "runs/shapes_maskrcnn/version_0/config.yaml", "--model.min_score=0"]
    litzoo(*predict)
    folder = Path("runs/shapes_maskrcnn/version_0")
    before = {name: (folder / name).read_bytes() for name in ("predictions.csv", "detections.json")}
    litzoo(*predict, new)
    assert {name: (folder / name).read_bytes() for name in before} == before  # those of the test set stay
    assert {"detections.png", "detections_new.png"} <= {path.name for path in (folder / "figures").iterdir()}
    found = rows_of("shapes_maskrcnn", "_new")
    assert {(row["index"], row["file"]) for row in found} == {("0", "a.png"), ("1", "within/b.jpg")}
    assert {row["class_name"] for row in found} <= {"circle", "square", "triangle"}
    assert max(float(row["x1"]) for row in found if row["index"] == "0") <= 70
    path = folder / "detections_new.json"
    written = json.loads(path.read_text())
    assert [(str(each["image_id"]), each["file"], each["class_name"]) for each in written] == [
        (row["index"], row["file"], row["class_name"]) for row in found
    ]
    images = COCO()
    images.dataset = {
        "images": [{"id": 0, "width": 70, "height": 50}, {"id": 1, "width": 40, "height": 30}],
        "categories": [{"id": number} for number in (1, 2, 3)],
        "annotations": [],
    }
    images.createIndex()
    loaded = images.loadRes(str(path))
    for row, each in zip(found, loaded.loadAnns(loaded.getAnnIds()), strict=True):
        mask = loaded.annToMask(each)
        assert mask.shape == ((50, 70) if row["index"] == "0" else (30, 40))
        assert mask.sum() == int(row["area"])
        left, top, width, height = each["bbox"]
        assert [left, top, left + width, top + height] == pytest.approx(
            [float(row[name]) for name in ("x0", "y0", "x1", "y1")], abs=0.02
        )


def test_a_detector_has_its_metrics_in_the_table_of_runs_and_is_not_exported():
    cli = litzoo("fit", *SHAPES, *QUIET, *VALIDATED)
    metrics = json.loads((cli.run_folder / "metrics.json").read_text())
    events = EventAccumulator(str(cli.run_folder)).Reload()
    for name in ("val/mask_map_50", "test/mask_map_50"):
        (event,) = events.Scalars(f"best/{name}")
        assert event.value == pytest.approx(metrics[name])
    content = events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    options = metadata.parse_session_start_info_plugin_data(content).hparams
    assert options["model"].string_value == "MaskRCNNSegmenter"
    checkpoint = str(cli.run_folder / "checkpoints" / "best.ckpt")
    with pytest.raises(ValueError, match=r"MaskRCNNSegmenter.*litzoo predict --config"):
        export_checkpoint(["--ckpt_path", checkpoint, "--format", "torch"])


@pytest.mark.slow
def test_detectors_are_compared():
    options = " ".join([*SHAPES[2:], *VALIDATED])
    config = str(CONFIGS / "shapes_maskrcnn.yaml")
    variants = ["--variant=plain:", "--variant=large: --model.min_size=96"]
    compare([config, *variants, f"--common={options}", "--seeds", "0", "--name", "it"])
    results = json.loads(Path("runs/compare_it/results.json").read_text())
    assert results["metric"] == "test/mask_map_50"
    assert list(results["curves"]) == ["val/mask_map_50"]
    assert results["variants"]["large"]["difference"]["pairs"] == 1
    assert Path("runs/compare_it/differences.png").is_file()
