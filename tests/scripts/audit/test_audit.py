"""The loop of `litzoo audit`: find, look, correct, train again, on a folder of images with some wrong labels."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from litzoo.callbacks.files import write_csv
from litzoo.scripts.audit.command import audit, main
from tests.scripts.helpers import MLP, QUIET, TABLE, litzoo

CLASSES = ("plain", "stripes", "dots")
MODEL = ["--model=MLPClassifier", "--model.hidden=[32]", "--model.optimizer=torch.optim.Adam"]
DATA = ["--data=ImageFolderDataModule", "--data.folder=photos", "--data.size=12", "--data.batch_size=16"]
OPTIONS = [*DATA, *MODEL, "--model.optimizer.lr=0.003", "--experiment=mine", *QUIET, "--trainer.max_epochs=12"]


def write_photos(folder, of_each=60, wrong=6):
    """Writes images of three patterns; the first ones of each class lie in the folder of the next."""
    random, moved = np.random.RandomState(0), set()
    for number, name in enumerate(CLASSES):
        for count in range(of_each):
            pixels = random.normal(90, 25, (24, 32, 3))
            if name == "stripes":
                pixels[:, ::8] += 120
                pixels[:, 1::8] += 120
            if name == "dots":
                pixels[4:12, 8:24] += 120
            place = CLASSES[(number + 1) % 3] if count < wrong else name
            path = folder / place / f"{name}_{count}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
            if count < wrong:
                moved.add(f"{place}/{path.name}")
    return moved


def rows_in(path):
    with Path(path).open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """The folder of an audit of 180 photos, and the names of the 18 that lie in a wrong class folder."""
    folder = tmp_path_factory.mktemp("audited")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        moved = write_photos(Path("data/photos"))
        audit([*OPTIONS, "--folds=3"])
    return folder, moved


def test_every_sample_is_judged_once_and_the_wrong_labels_come_first(audited):
    folder, moved = audited
    rows = rows_in(folder / "runs/mine/audit/suspects.csv")
    assert len({row["file"] for row in rows}) == len(rows) == 180
    assert {row["part"] for row in rows} == {"train", "val", "test"}
    flagged = {row["file"] for row in rows if row["flagged"] == "True"}
    assert len(flagged & moved) >= 16
    assert len(flagged) <= 20
    for row in rows[:10]:
        assert row["suggested"] == Path(row["file"]).stem.split("_")[0]
        assert row["given"] == Path(row["file"]).parent.name
    found = json.loads((folder / "runs/mine/audit/label_issues.json").read_text())
    assert found["flagged"] == len(flagged) == sum(found["flagged_by_part"].values())


def test_no_checkpoint_metric_or_run_is_left(audited):
    folder, _ = audited
    names = {path.relative_to(folder / "runs").as_posix() for path in (folder / "runs").rglob("*") if path.is_file()}
    files = ["audit.json", "label_issues.json", "proposed_corrections.csv", "report.html", "suspects.csv"]
    assert names == {f"mine/audit/{name}" for name in [*files, "fold_0.pt", "fold_1.pt", "fold_2.pt"]}


def test_corrections_are_applied_in_the_next_training(audited, monkeypatch):
    folder, _ = audited
    monkeypatch.chdir(folder)
    proposed = rows_in("runs/mine/audit/proposed_corrections.csv")
    cli = litzoo("fit", *OPTIONS, "--data.corrections=runs/mine/audit/proposed_corrections.csv")
    datamodule = cli.datamodule
    splits = json.loads(Path("runs/mine/version_0/splits.json").read_text())
    assert sum(splits["corrections"]["relabelled"].values()) == len(proposed) >= 16
    right = [
        datamodule.class_names[label] == Path(name).stem.split("_")[0]
        for label, name in zip(datamodule.targets.tolist(), datamodule.files["train"], strict=True)
    ]
    assert np.mean(right) > 0.98
    plain = type(datamodule)(folder="photos", size=12)
    plain.setup("fit")
    assert torch.equal(plain.split.train, datamodule.split.train)
    assert torch.equal(plain.split.val, datamodule.split.val)


def test_the_second_audit_has_a_file_of_its_own(audited, monkeypatch, capsys):
    monkeypatch.chdir(audited[0])
    assert "Download corrections.csv<" in Path("runs/mine/audit/report.html").read_text(encoding="utf-8")
    first = "runs/mine/audit/proposed_corrections.csv"
    audit([*OPTIONS, "--folds=2", "--trainer.max_epochs=1", f"--data.corrections={first}", "--output=second"])
    assert f"--data.corrections '[{first}, corrections_2.csv]'" in capsys.readouterr().out
    page = Path("second/report.html").read_text(encoding="utf-8")
    assert "Download corrections_2.csv<" in page
    assert '"file": "corrections_2.csv"' in page


def test_a_finished_fold_is_not_trained_again(audited, monkeypatch, capsys):
    folder, _ = audited
    monkeypatch.chdir(folder)
    place = Path("runs/mine/audit")
    before, times = (place / "suspects.csv").read_text(), (place / "fold_0.pt").stat().st_mtime_ns
    (place / "fold_1.pt").unlink()
    (place / "suspects.csv").unlink()
    audit([*OPTIONS, "--folds=3"])
    printed = capsys.readouterr().out
    assert "fold 1 of 3: has been judged" in printed
    assert "fold 2 of 3: 120 samples to train on, 60 to judge" in printed
    assert (place / "suspects.csv").read_text() == before
    assert (place / "fold_0.pt").stat().st_mtime_ns == times


def test_the_page_holds_all_it_shows(audited):
    page = (audited[0] / "runs/mine/audit/report.html").read_text(encoding="utf-8")
    content = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])
    assert "http" not in page.replace("{{", "")
    assert page.count("{{") == 0
    for suspect in content["suspects"]:
        assert suspect["image"].startswith("data:image/jpeg;base64,")
        assert len(suspect["neighbours"]) == 4
    assert content["classes"] == sorted(CLASSES)


def test_an_audit_of_other_options_is_not_overwritten(audited, monkeypatch):
    folder, _ = audited
    monkeypatch.chdir(folder)
    with pytest.raises(ValueError, match=r"runs/mine/audit holds another audit: folds was 3, is 4; remove the folder"):
        audit([*OPTIONS, "--folds=4"])
    Path("other").mkdir(exist_ok=True)
    write_csv(Path("other/mine.csv"), {"a": [1]})
    with pytest.raises(ValueError, match="other holds something else; remove the folder, or give another --output"):
        audit([*OPTIONS, "--folds=3", "--output=other"])
    assert [path.name for path in Path("other").iterdir()] == ["mine.csv"]


def test_more_folds_than_a_class_has_samples_are_refused(audited, monkeypatch):
    monkeypatch.chdir(audited[0])
    with pytest.raises(ValueError, match="--folds 61: the class 'dots' has 60 samples; give at most as many folds"):
        audit([*OPTIONS, "--folds=61", "--output=new"])
    assert not Path("new").exists()


def test_what_cannot_be_audited_is_refused():
    with pytest.raises(ValueError, match="--folds 1: give at least 2"):
        audit([*MLP, "--folds=1"])
    with pytest.raises(TypeError, match="judges labels of classes, which DiabetesDataModule does not have"):
        audit([*TABLE, *QUIET])


def test_help_explains_the_files(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["litzoo", "audit", "--help"])
    main()
    assert "proposed_corrections.csv" in capsys.readouterr().out


def test_folds_of_another_model_or_of_other_images_are_not_reused(audited, monkeypatch):
    folder, _ = audited
    monkeypatch.chdir(folder)
    with pytest.raises(
        ValueError, match=r"holds another audit: --model.hidden was \[32\], is \[16\]; remove the folder"
    ):
        audit([*OPTIONS, "--folds=3", "--model.hidden=[16]"])
    audit([*OPTIONS, "--folds=3", "--trainer.max_epochs=12"])  # said in other words
    path = next(Path("data/photos/dots").glob("dots_*.png"))
    before = path.read_bytes()
    with Image.open(path) as image:
        image.point(lambda value: min(255, value + 3)).save(path)
    try:
        with pytest.raises(
            ValueError, match=r"holds another audit: (the samples or|the samples' content have changed)"
        ):
            audit([*OPTIONS, "--folds=3"])
    finally:
        path.write_bytes(before)


def test_the_report_says_how_far_the_models_agree_with_the_labels(audited):
    place = audited[0] / "runs/mine/audit"
    found = json.loads((place / "label_issues.json").read_text())["agreement"]
    rows = rows_in(place / "suspects.csv")
    assert found["predicted_as_labelled"] == pytest.approx(
        np.mean([row["given"] == row["predicted"] for row in rows]), abs=1e-4
    )
    assert found["largest_class"] == pytest.approx(1 / 3, abs=1e-4)
    assert (
        f"The models predict {found['predicted_as_labelled']:.1%} of the labels" in (place / "report.html").read_text()
    )


def test_a_weak_model_is_doubted_and_unused_samples_are_named(audited, monkeypatch, capsys):
    monkeypatch.chdir(audited[0])
    weak = ["--model.optimizer.lr=0", "--data.train_size=60", "--folds=2", "--output=weak"]
    audit([*OPTIONS, *weak, "--trainer.max_epochs=1"])
    printed = capsys.readouterr().out
    assert re.search(r"\d+ training samples are not judged, since data.train_size", printed)
    assert "most suggested labels are the model&#x27;s own mistakes" in Path("weak/report.html").read_text()
    assert "most suggested labels are the model's own mistakes" in printed
    assert json.loads(Path("weak/label_issues.json").read_text())["not_judged"] > 0


def test_photos_at_their_original_size_are_audited(audited, monkeypatch):
    monkeypatch.chdir(audited[0])
    Path("crop.yaml").write_text(
        "data:\n  class_path: ImageFolderDataModule\n"
        "  init_args:\n    folder: photos\n    size: 12\n    original_size: true\n"
        "    augment: [{class_path: torchvision.transforms.v2.RandomResizedCrop, init_args: {size: 12}}]\n"
    )
    options = ["--config=crop.yaml", *MODEL, *QUIET, "--trainer.max_epochs=1", "--folds=2", "--output=large"]
    audit(options)
    assert len(rows_in("large/suspects.csv")) == 180


def test_rows_of_a_table_are_named_by_their_content(audited, monkeypatch):
    monkeypatch.chdir(audited[0])
    random = np.random.RandomState(0)
    x = random.normal(size=120).round(4)
    write_csv(Path("data/rows.csv"), {"x": x.tolist(), "y": ["high" if each > 0 else "low" for each in x]})
    data = ["--data=CSVClassificationDataModule", "--data.file=rows.csv", "--data.target=y", "--data.batch_size=16"]
    options = [*data, *MODEL, "--model.optimizer.lr=0.01", "--experiment=rows", *QUIET, "--trainer.max_epochs=1"]
    audit([*options, "--folds=2"])
    proposed = rows_in("runs/rows/audit/suspects.csv")
    assert len({row["content_id"] for row in proposed}) == len(set(x.tolist()))
    litzoo("fit", *options, "--data.corrections=runs/rows/audit/proposed_corrections.csv")
