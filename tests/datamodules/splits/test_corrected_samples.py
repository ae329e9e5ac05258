"""Corrections find their samples again: among images with equal names, and among the rows of another table."""

import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from litzoo.datamodules import CSVClassificationDataModule, ImageFolderDataModule
from litzoo.datamodules.splits.corrections import Corrections
from tests.datamodules.splits.test_corrections import write


def write_images(folder, seed, count=20):
    random = np.random.RandomState(seed)
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = np.kron(random.randint(0, 256, (4, 4, 3)), np.ones((8, 8, 1))).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


def photos(**options):
    datamodule = ImageFolderDataModule(folder="photos", size=16, **options)
    datamodule.setup("fit")
    return datamodule


@pytest.mark.parametrize("action", ["relabel", "drop"])
def test_a_pool_image_of_the_same_name_is_not_meant(action, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "photos", 3)
    write_images(tmp_path / "pool", 4)
    options = {"unlabeled_folder": "pool", "unlabeled_batch_size": 4}
    plain = photos(**options)
    first = next(index for index in plain.split.train.tolist() if plain.targets[index] == 0)
    rows = [{"file": plain.files["train"][first], "action": action, "label": "b" if action == "relabel" else ""}]
    corrected = photos(**options, corrections=write(rows))
    assert corrected.split.unlabeled.tolist() == plain.split.unlabeled.tolist()
    assert (corrected.targets[first] == 1) == (action == "relabel")
    assert (first in corrected.split.train.tolist()) == (action == "relabel")


def test_an_image_left_out_as_a_copy_is_no_mistake(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "photos", 3)
    for path in sorted((tmp_path / "photos/a").iterdir()):
        with Image.open(path) as image:
            image.resize((64, 64)).save(path.with_name(f"big{path.name}"))
    plain = photos()
    copies = [text.split(" (like")[0] for text in plain.folder_files.left_out["duplicates"]]
    corrected = photos(corrections=write([{"file": copies[0], "given": "a", "action": "drop"}]))
    assert corrected.fingerprint() == plain.fingerprint()


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
@pytest.mark.parametrize("in_file", ["NFC", "NFD"])
def test_files_are_found_with_accents_composed_or_not(on_disk, in_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "photos", 3)
    for folder, name in (("a", "für"), ("b", "übrig")):
        (tmp_path / "photos" / folder).rename(tmp_path / "photos" / unicodedata.normalize(on_disk, name))
    plain = photos()
    index = next(index for index in plain.split.train.tolist() if plain.class_names[plain.targets[index]] == "für")
    row = {"file": plain.files["train"][index], "given": "für", "action": "relabel", "label": "übrig"}
    corrected = photos(corrections=write([{name: unicodedata.normalize(in_file, each) for name, each in row.items()}]))
    assert corrected.class_names[corrected.targets[index]] == "übrig"


def table(frame, **options):
    frame.to_csv("rows.csv", index=False)
    datamodule = CSVClassificationDataModule(file="rows.csv", target="y", **options)
    datamodule.setup("fit")
    datamodule.setup("test")
    return datamodule


def labels_of(datamodule):
    targets = {}
    for part, values in (("train", datamodule.targets), ("test", datamodule.test_set.targets)):
        cells = datamodule.frame.iloc[datamodule.rows_of(part)]["x"].astype(float)
        targets |= {x: datamodule.class_names[int(target)] for x, target in zip(cells, values, strict=True)}
    return targets


def test_rows_are_found_by_their_content_wherever_they_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random = np.random.RandomState(0)
    frame = pd.DataFrame({"x": np.arange(200) / 10, "z": random.normal(size=200), "y": random.choice(["p", "q"], 200)})
    plain = table(frame)
    rows, changed = [], {}
    for part, values in (("train", plain.targets), ("test", plain.test_set.targets)):
        index = int(np.flatnonzero(values.numpy() == 0)[3])
        content = plain.content_ids(part)[index]
        changed[float(plain.frame.iloc[plain.rows_of(part)[index]]["x"])] = "q"
        each = {"index": index, "part": part, "content_id": content, "given": "p", "action": "relabel", "label": "q"}
        rows.append(each)
    path = write(rows)
    others = frame[~frame["x"].isin(changed)]
    for other in (frame, frame.sample(frac=1, random_state=1), frame.drop(index=others.index[:20])):
        expected = dict(zip(other["x"], other["y"], strict=True)) | changed
        assert labels_of(table(other, corrections=path)) == expected
    with pytest.raises(
        ValueError, match=r"names 2 rows by a content_id that the table does not have: \w{32} \(row 2\)"
    ):
        table(others, corrections=path)


def test_of_rows_with_equal_content_the_one_with_the_given_label_is_corrected(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame({"x": np.repeat(np.arange(60), 2), "y": ["p", "q"] * 60})
    plain = table(frame)
    content = plain.content_ids("train")[0]
    rows = [{"content_id": content, "given": "q", "action": "drop", "label": ""}]
    corrected = table(frame, corrections=write(rows))
    dropped = set(plain.split.train.tolist() + plain.split.val.tolist())
    dropped -= set(corrected.split.train.tolist() + corrected.split.val.tolist())
    (row,) = dropped
    assert plain.content_ids("train")[row] == content
    assert plain.class_names[int(plain.targets[row])] == "q"


def test_a_second_file_speaks_of_the_equal_row_that_the_first_one_has_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame({"x": [*np.arange(58), 5, 5], "y": ["p", "q"] * 30})
    plain = table(frame)
    by_content = dict.fromkeys(plain.content_ids("train"), 0)
    for each in plain.content_ids("train"):
        by_content[each] += 1
    content = max(by_content, key=lambda each: by_content[each])
    given = [
        plain.class_names[int(plain.targets[row])]
        for row, each in enumerate(plain.content_ids("train"))
        if each == content
    ]
    twice = max(set(given), key=given.count)
    assert given.count(twice) >= 2
    drop = {"content_id": content, "given": twice, "action": "drop", "label": ""}
    Path(write([drop])).rename("one.csv")
    left = [len(table(frame, corrections=files).split.train) for files in ("one.csv", ["one.csv", write([drop])])]
    assert [len(plain.split.train) - each for each in left] == [1, 2]


def test_rows_named_by_index_alone_are_warned_of(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame({"x": np.arange(60), "y": ["p", "q"] * 30})
    with pytest.warns(UserWarning, match="names rows of a table by their index"):
        table(frame, corrections=write([{"index": 1, "action": "keep"}]))


def test_each_of_several_files_corrects_what_the_ones_before_have_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "photos", 3)
    plain = photos()
    first, second, third = [each for each in plain.split.train.tolist() if plain.targets[each] == 0][:3]
    name = plain.files["train"]
    one = write([{"file": name[each], "given": "a", "action": "relabel", "label": "b"} for each in (first, second)])
    Path(one).rename("one.csv")
    # The second audit has seen the corrected labels.
    two = write(
        [
            {"file": name[first], "given": "b", "action": "relabel", "label": "a"},
            {"file": name[second], "given": "b", "action": "drop", "label": ""},
            {"file": name[third], "given": "a", "action": "drop", "label": ""},
        ]
    )
    both = photos(corrections=["one.csv", two])
    assert int(both.targets[first]) == 0
    assert not {second, third} & set(both.split.train.tolist())
    assert both.split_report()["corrections"]["file"] == f"one.csv, {two}"
    with pytest.raises(ValueError, match="was made for other labels"):
        photos(corrections=two)


@pytest.mark.parametrize("in_table", ["NFC", "NFD"])
@pytest.mark.parametrize("in_file", ["NFC", "NFD"])
def test_classes_of_a_table_are_found_with_accents_composed_or_not(in_table, in_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [unicodedata.normalize(in_table, name) for name in ("Bär", "Hündin")]
    frame = pd.DataFrame({"a": range(40), "y": [names[row % 2] for row in range(40)]})
    plain = table(frame)
    index = next(index for index in plain.split.train.tolist() if plain.targets[index] == 1)
    label = unicodedata.normalize(in_file, "Bär")
    corrected = table(frame, corrections=write([{"index": index, "action": "relabel", "label": label}]))
    assert corrected.targets[index] == 0


def test_of_two_files_that_differ_in_form_the_one_named_exactly_is_meant(tmp_path):
    composed, apart = unicodedata.normalize("NFC", "é.png"), unicodedata.normalize("NFD", "é.png")
    path = write([{"file": apart, "action": "relabel", "label": "dog"}], str(tmp_path / "c.csv"))
    files, labels = [composed, apart, "o.png"], torch.zeros(3, dtype=torch.int64)
    assert Corrections(Path(path)).resolve("train", files, labels, ["cat", "dog"]) == ({1: 1}, set())
