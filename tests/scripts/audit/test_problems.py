"""Copies with different labels, and samples far from every class, in an audit."""

import csv
import json
import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
import torch
from PIL import Image

from litzoo.datamodules import DigitsDataModule
from litzoo.scripts.audit.command import audit
from litzoo.scripts.audit.pool import pool_of
from litzoo.scripts.audit.problems import disputed_copies, far_samples, nearest_in_fold
from tests.scripts.audit.test_audit import OPTIONS, write_photos
from tests.scripts.helpers import QUIET


def clusters(samples=300, classes=3, strange=0, dimensions=16):
    """Returns features of clusters in different directions, the first ones strange, and the number of each cluster."""
    generator = torch.Generator().manual_seed(0)
    label = torch.arange(samples) % classes
    features = torch.eye(dimensions)[label] * 10 + torch.randn(samples, dimensions, generator=generator)
    features[:strange] = torch.eye(dimensions)[classes] * 10 + torch.randn(strange, dimensions, generator=generator)
    return features, label


@pytest.mark.parametrize("strange", [1, 10])
def test_samples_in_a_direction_of_their_own_are_far_also_several_together(strange):
    features, label = clusters(strange=strange)
    far = far_samples(features, torch.zeros(300, dtype=torch.int64), label)
    assert far[:strange].all()
    assert far[strange:].double().mean() < 0.03


def test_folds_are_compared_within_themselves():
    features, label = clusters()
    turned = features.roll(5, dims=1)  # another model has other features
    fold = torch.arange(2).repeat_interleave(300)
    far = far_samples(torch.cat([features, turned]), fold, label.repeat(2))
    assert torch.equal(far[:300], far[300:])
    assert far.double().mean() < 0.03


def test_without_features_nothing_is_far():
    assert not far_samples(
        torch.zeros(5, 0), torch.zeros(5, dtype=torch.int64), torch.zeros(5, dtype=torch.int64)
    ).any()


def test_neighbours_are_those_of_largest_cosine_similarity_without_the_sample_itself():
    features = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
    inside, rows = torch.arange(5, 40), torch.tensor([7, 30])
    near, similar = nearest_in_fold(features, rows, inside, 3)
    for row, found, values in zip(rows.tolist(), near, similar, strict=True):
        cosines = torch.nn.functional.cosine_similarity(features[row][None], features)
        cosines[[*range(5), row]] = -2
        assert found.tolist() == cosines.argsort(descending=True)[:3].tolist()
        torch.testing.assert_close(values, cosines[found])


def test_copies_of_digits_with_another_label_are_found():
    datamodule = DigitsDataModule()
    for stage in ("fit", "test"):
        datamodule.setup(stage)
    clean = pool_of(datamodule)
    assert not disputed_copies(clean, clean.chosen, [])
    images = datamodule.train_set.inputs
    train = datamodule.split.train
    one, other = (int(train[datamodule.targets[train] == label][0]) for label in (3, 8))
    images[other] = (images[one].int() + 2).clamp(max=255).byte()  # a little brighter
    same = int(train[datamodule.targets[train] == 3][1])
    images[same] = images[one]  # a copy with the same label is no contradiction
    pool = pool_of(datamodule)
    found = disputed_copies(pool, pool.chosen, [])
    assert found == {one: other, same: other, other: min(one, same)}


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """The folder of an audit of photos, among them a copy in a wrong folder and some digits."""
    folder = tmp_path_factory.mktemp("problems")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        photos = Path("data/photos")
        write_photos(photos, wrong=0)
        image = Image.open(photos / "plain/plain_7.png")
        image.save(photos / "dots/copy.png", compress_level=0)  # other bytes, the same pixels
        for number in range(3):
            black = torch.zeros(24, 32, 3, dtype=torch.uint8)
            black[:, ::2] = 255
            black[number] = 128
            Image.fromarray(black.numpy()).save(photos / f"dots/strange_{number}.png")
        (photos / "dots/notes.txt").write_text("taken in May")
        with redirect_stdout(StringIO()) as printed:
            audit([*OPTIONS, "--folds=3", "--data.near_duplicates=keep"])
        Path("printed.txt").write_text(printed.getvalue())
    return folder / "runs/mine/audit"


def test_the_files_and_the_page_tell_them(audited):
    with (audited / "suspects.csv").open(newline="", encoding="utf-8") as stream:
        rows = {row["file"]: row for row in csv.DictReader(stream)}
    pair = {"plain/plain_7.png": "dots/copy.png", "dots/copy.png": "plain/plain_7.png"}
    assert {name: row["copy_with_other_label"] for name, row in rows.items() if row["copy_with_other_label"]} == pair
    assert "its copy plain/plain_7.png is labelled plain" in rows["dots/copy.png"]["reason"]
    far = {name for name, row in rows.items() if row["far"] == "True"}
    assert {f"dots/strange_{number}.png" for number in range(3)} <= far
    assert len(far) <= 24  # of 184
    found = json.loads((audited / "label_issues.json").read_text())
    assert (found["copies_with_other_label"], found["far"]) == (2, len(far))
    page = (audited / "report.html").read_text(encoding="utf-8")
    suspects = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])["suspects"]
    shown = {each["file"]: each for each in suspects}
    assert far | set(pair) <= set(shown)
    assert "copy" in shown["plain/plain_7.png"]["kinds"]
    assert shown["plain/plain_7.png"]["neighbours"][0]["given"] == "dots"
    assert f"2 samples have a copy with another label, {len(far)} are far from every class" in page
    flagged = [each["file"] for each in suspects if "label" in each["kinds"]]
    assert flagged == [name for name, row in rows.items() if row["flagged"] == "True"]


def test_files_that_are_not_judged_are_counted_beside_the_result(audited):
    printed = (audited.parents[2] / "printed.txt").read_text()
    assert "; 1 file is left out of the data, as warned, and not judged: runs/mine/audit/report.html" in printed


def test_rows_of_a_table_with_the_same_cells_and_another_class_are_copies(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [f"{number},{number % 2},{'ab'[number % 2]}" for number in range(60)]
    Path("table.csv").write_text("\n".join(["x,y,kind", *lines, "4,0,b"]) + "\n", encoding="utf-8")
    options = ["--data=CSVClassificationDataModule", "--data.file=table.csv", "--data.target=kind"]
    options += ["--model=MLPClassifier", "--model.hidden=[4]", "--experiment=rows", *QUIET]
    folder = audit([*options, "--folds=2", "--trainer.max_epochs=1"])
    with (folder / "suspects.csv").open(newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["copy_with_other_label"]]
    assert sorted((row["given"], row["content_id"]) for row in rows) == [
        ("a", rows[0]["content_id"]),
        ("b", rows[0]["content_id"]),
    ]
