"""Images without labels are the pool of every semi-supervised method."""

import csv
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from litzoo.datamodules import DigitsDataModule, SymmetricNoise
from litzoo.datamodules.images.digits import _digits
from tests.datamodules.image_folder import as_tensor, folder_data, save, write_class, write_pets
from tests.datamodules.recording import record
from tests.scripts.helpers import litzoo

POOL = {"unlabeled_folder": "more", "unlabeled_batch_size": 8, "batch_size": 4}


def write_more(count=30, folder="more"):
    write_class(f"{folder}/camera one", count // 2, seed=50_000)
    return write_class(f"{folder}/deep/camera two", count - count // 2, seed=60_000)


@pytest.mark.parametrize("memory_limit", [4, 0])
@pytest.mark.parametrize("parts", [True, False])
def test_the_pool_is_served_in_two_views_without_a_label(parts, memory_limit):
    if parts:
        write_pets()
    else:
        write_class("pets/cat", 20), write_class("pets/dog", 20, seed=100)
    write_more()
    datamodule = folder_data(**POOL, memory_limit=memory_limit, scale="unit", strong_augment="none")
    recorder = record(datamodule)
    batches = [batch["unlabeled"] for batch in recorder.seen["train", 0]]
    assert all(set(batch) == {"weak", "strong", "index"} for batch in batches)
    index = torch.cat([batch["index"] for batch in batches])
    assert sorted(index.unique().tolist()) == datamodule.split.unlabeled.tolist()
    names = datamodule.file_names("train", index)
    assert len(set(names)) == 30
    for name, image in zip(names, torch.cat([batch["weak"] for batch in batches]), strict=True):
        assert torch.allclose(image * 255, as_tensor(Image.open(Path("more", name))).float(), atol=0.01)
    report = datamodule.split_report()
    assert (report["sizes"]["unlabeled"], report["without_label"]) == (30, {"unlabeled": 30})
    assert "unknown" not in report


def test_the_labeled_images_are_split_as_without_a_pool():
    write_pets()
    write_more()
    with_pool, without = (
        folder_data(**POOL, label_noise=SymmetricNoise(0.2)),
        folder_data(label_noise=SymmetricNoise(0.2)),
    )
    for each in (with_pool, without):
        each.setup("fit")
    for part in ("train", "val"):
        assert torch.equal(with_pool.split.parts()[part], without.split.parts()[part])
    labeled = len(without.targets)
    assert torch.equal(with_pool.targets[:labeled], without.targets)
    assert with_pool.targets[labeled:].tolist() == [-1] * 30
    assert with_pool.class_counts == without.class_counts
    assert (with_pool.mean, with_pool.std) == (without.mean, without.std)


def test_without_a_batch_size_only_the_labeled_images_are_served():
    write_pets()
    write_more()
    recorder = record(folder_data(unlabeled_folder="more", batch_size=4, val_size=8))
    assert len(recorder.column("train", "target")) == 32


@pytest.mark.parametrize("parts", [True, False])
def test_copies_of_labeled_images_are_left_out_of_the_pool(parts):
    if parts:
        write_pets()
    else:
        write_class("pets/cat", 20), write_class("pets/dog", 20, seed=100)
    write_more()
    files = sorted(Path("pets").rglob("*.png"))
    for path in files:
        shutil.copy(path, f"more/{'-'.join(path.parts)}")
    datamodule = folder_data(**POOL)
    with pytest.warns(UserWarning, match=rf"{len(files)} files are left out: pets-.* \(like "):
        datamodule.setup("fit")
    assert len(datamodule.split.unlabeled) == 30


def test_a_pool_of_known_images_only_is_refused():
    write_pets()
    shutil.copytree("pets", "more")
    with pytest.raises(ValueError, match=r"data\.unlabeled_folder: each of its 48 images duplicates a labeled one"):
        folder_data(**POOL).setup("fit")


def test_files_of_the_pool_that_are_no_images_are_named():
    write_pets()
    write_more()
    Path("more/notes.txt").write_text("hello")
    with pytest.warns(UserWarning, match=r"1 file is left out: notes\.txt \(no images, in more\)"):
        datamodule = folder_data(**POOL)
    datamodule.setup("fit")
    assert datamodule.split_report()["left_out"] == {"no images, in unlabeled_folder": ["notes.txt"]}


def test_a_damaged_image_of_the_pool_is_refused_or_left_out():
    write_pets()
    write_more()[0].write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"more/deep/camera two/000\.png cannot be read"):
        folder_data(**POOL).setup("fit")
    datamodule = folder_data(**POOL, corrupt="skip")
    with pytest.warns(UserWarning, match=r"left out: deep/camera two/000\.png"):
        datamodule.setup("fit")
    assert len(datamodule.split.unlabeled) == 29


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        (
            {"unlabeled_folder": "none"},
            FileNotFoundError,
            r"data\.unlabeled_folder: none is not a folder; .*data\.root",
        ),
        ({"unlabeled_folder": "empty"}, FileNotFoundError, r"data\.unlabeled_folder: empty holds no image"),
        ({"num_labeled": 9}, ValueError, r"data\.num_labeled 9 hides labels, but data\.unlabeled_folder"),
        ({"unlabeled_batch_size": 0}, ValueError, r"data\.unlabeled_batch_size 0 .*give at least 1"),
        ({"known_classes": ["cat", "dog"], "unknown_unlabeled": 5}, ValueError, r"data\.unknown_unlabeled 5 with"),
    ],
)
def test_impossible_options_are_refused(options, error, words):
    write_pets()
    write_more()
    Path("empty").mkdir()
    with pytest.raises(error, match=words):
        folder_data(**(POOL | options))


def write_digits():
    """Writes 60 digits in class folders and 300 without labels."""
    images, labels = _digits()
    for number in range(360):
        place = f"labeled/{labels[number]}" if number < 60 else "unlabeled"
        save(f"{place}/{number}.png", Image.fromarray(images[number, 0].numpy()))
    return labels


METHODS = {
    "FixMatch": ["--model.pseudo_labels=FixMatch", "--model.pseudo_labels.threshold=0.3"],
    "FreeMatch": ["--model.pseudo_labels=FreeMatch"],
    "SoftMixUp": ["--model.pseudo_labels=SoftMixUp"],
    "online": ["--model.pseudo_labels=OnlinePseudoLabels", "--model.pseudo_labels.threshold=0.3"],
}
DATA = ["--data=ImageFolderDataModule", "--data.folder=labeled", "--data.grey=true", "--data.val_size=10"]
DATA += ["--data.test_size=10", "--data.unlabeled_folder=unlabeled", "--data.batch_size=16"]
MODEL = ["--model=MLPClassifier", "--model.hidden=[16]", "--trainer.accelerator=cpu"]
MODEL += ["--trainer.enable_progress_bar=false", "--test_after_fit=false"]


def check_report(run):
    logged = run.trainer.callback_metrics
    assert any(name.startswith("train/pseudo/coverage") for name in logged)
    assert not any(name.startswith("train/pseudo/accuracy") for name in logged)
    with open(run.run_folder / "pseudo_labels.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["index", "file", "label", "confidence", "used"]
    pool = {path.name for path in Path("unlabeled").iterdir()}
    left_out = run.datamodule.split_report().get("left_out", {}).get("duplicates", [])
    assert {row["file"] for row in rows} == pool - {text.split(" (like")[0] for text in left_out}
    return rows


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_from_it_and_its_labels_name_the_files(method):
    write_digits()
    run = litzoo("fit", *DATA, "--data.unlabeled_batch_size=64", *MODEL, *METHODS[method], "--trainer.max_epochs=2")
    check_report(run)


@pytest.mark.slow
def test_frozen_pseudo_labels_of_a_teacher_name_the_files():
    write_digits()
    teacher = litzoo("fit", *DATA, *MODEL, "--trainer.max_epochs=20", "--experiment=teacher")
    frozen = ["--model.pseudo_labels=AssignedLabels", "--trainer.callbacks+=TeacherLabels"]
    frozen += [f"--trainer.callbacks.teacher={teacher.run_folder / 'checkpoints' / 'best.ckpt'}"]
    frozen += ["--trainer.callbacks.threshold=0.2"]
    run = litzoo("fit", *DATA, "--data.unlabeled_batch_size=64", *MODEL, *frozen, "--trainer.max_epochs=2")
    assert any(row["used"] == "True" for row in check_report(run))


def test_other_data_sets_hide_labels_instead():
    assert not DigitsDataModule(num_labeled=100, unlabeled_batch_size=8).has_unlabeled_samples
