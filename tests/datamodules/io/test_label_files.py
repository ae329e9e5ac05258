from pathlib import Path

import pytest

from litzoo.datamodules.io.label_files import LabelFile
from tests.datamodules.image_folder import folder_data, noise, save

FILES = ("a.png", "sub/b.png", "c.png", "d.png")


@pytest.fixture(autouse=True)
def images():
    """Four images without class folders."""
    for number, name in enumerate(FILES):
        save(f"shots/{name}", noise(5, 5, seed=number))


def labels(text, encoding="utf-8", **options):
    Path("labels.csv").write_text(text, encoding=encoding)
    return LabelFile(Path("labels.csv"), Path("shots"), **options)


def found(layout, part):
    paths, numbers = layout.files(part)
    return [
        (path.relative_to("shots").as_posix(), layout.class_names[n]) for path, n in zip(paths, numbers, strict=True)
    ]


PLAIN = "file,label\na.png,oak\nsub/b.png,elm\nc.png,elm\nd.png,oak\n"


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace("\n", "\r\n"),
        "\n" + PLAIN + "\n\n",
        "Label, FILE ,who\noak,a.png,x\nelm,sub/b.png,y\nelm,c.png,z\noak, d.png ,\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_files_get_the_label_of_their_row(text, encoding):
    layout = labels(text, encoding)
    assert (layout.class_names, layout.parts, layout.left_out) == (("elm", "oak"), ("train",), {})
    assert found(layout, "train") == [("c.png", "elm"), ("sub/b.png", "elm"), ("a.png", "oak"), ("d.png", "oak")]


def test_a_column_gives_the_parts():
    layout = labels("file,label,split\na.png,oak,Training\nsub/b.png,elm,train\nc.png,elm,VALID\nd.png,oak,test\n")
    assert layout.parts == ("train", "val", "test")
    assert [found(layout, part) for part in layout.parts[1:]] == [[("c.png", "elm")], [("d.png", "oak")]]


def test_files_without_a_row_are_named():
    assert labels("file,label\na.png,oak\nc.png,elm\n").left_out == {"not named in labels.csv": ["d.png", "sub/b.png"]}


def test_absent_files_are_refused_or_left_out():
    text = PLAIN + "gone.png,oak\n"
    with pytest.raises(FileNotFoundError, match=r"1 of 5 files that are not in shots: gone\.png.*data\.corrupt skip"):
        labels(text)
    assert labels(text, skip_absent=True).left_out == {"named in labels.csv, but absent": ["gone.png"]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "needs one column 'file'; it has nothing"),
        ("file,label\n", "has no row below its header"),
        ("name,label\na.png,oak\n", "needs one column 'file'; it has 'name', 'label'"),
        ("file,label,label\na.png,oak,oak\n", "needs one column 'label'"),
        ("file,label\na.png\n", "row 2 has 1 cell, the header 2"),
        ("file,label\na.png,\n", r"row 2 has no label; .*data\.unlabeled_folder"),
        ("file,label\n,oak\n", "row 2 has no file"),
        ("file,label,split\na.png,oak,train\nc.png,elm,\n", "row 3 has no split"),
        ("file,label,split\na.png,oak,dev\n", "row 2 has the split 'dev'; give one of train, training, val"),
        (PLAIN + "a.png,elm\n", r"row 6 names a\.png again, after row 2"),
        ("file,label\na.png,oak\nc.png,oak\n", r"1 class \(oak\) in training; it needs at least 2"),
        ("file,label,split\na.png,oak,test\nc.png,elm,test\n", "no row has the split train"),
        ("file,label\na.png,o\x07ak\n", "row 2 has a label that cannot be displayed"),
    ],
)
def test_a_file_with_a_mistake_is_refused_by_its_row(text, words):
    with pytest.raises(ValueError, match=words):
        labels(text)


def test_a_label_that_training_lacks_is_refused():
    layout = labels("file,label,split\na.png,oak,train\nc.png,elm,train\nd.png,ash,test\n")
    with pytest.raises(ValueError, match=r"test has labels that the training set does not have: ash; .*data\.unknowns"):
        layout.files("test")


def test_a_file_that_is_not_text_is_refused():
    Path("labels.csv").write_bytes(b"file,label\na.png,\xe9\n")
    with pytest.raises(ValueError, match="not text in UTF-8"):
        LabelFile(Path("labels.csv"), Path("shots"))


def test_the_datamodule_finds_the_file_in_the_working_folder_the_root_or_the_folder():
    text = "file,label,split\na.png,oak,train\nsub/b.png,elm,train\nc.png,elm,val\nd.png,oak,test\n"
    for place in (Path("labels.csv"), Path("root/labels.csv"), Path("shots/labels.csv")):
        place.parent.mkdir(exist_ok=True)
        place.write_text(text)
        datamodule = folder_data("shots", root="root", labels_file="labels.csv")
        datamodule.setup("fit")
        assert datamodule.files == {"train": ["sub/b.png", "a.png", "c.png"], "test": ["d.png"]}
        assert (datamodule.split.train.tolist(), datamodule.split.val.tolist()) == ([0, 1], [2])
        place.unlink()
    with pytest.raises(FileNotFoundError, match=r"data\.labels_file: root/labels\.csv cannot be read"):
        folder_data("shots", root="root", labels_file="labels.csv")
