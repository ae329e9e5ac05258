import re
import unicodedata
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
        PLAIN.replace("file", "Image Path"),
        PLAIN.replace("file,label", "filename,class"),
        "path,file,class,label\nx,a.png,x,oak\nx,sub/b.png,x,elm\nx,c.png,x,elm\nx,d.png,x,oak\n",
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
    with pytest.raises(
        FileNotFoundError, match=r"1 of 5 files that it names are not in shots: gone\.png.*data\.corrupt skip"
    ):
        labels(text)
    assert labels(text, skip_absent=True).left_out == {"named in labels.csv, but absent": ["gone.png"]}


def test_rows_that_are_alike_count_once_with_a_warning():
    with pytest.warns(
        UserWarning, match=r"labels\.csv: 2 files are listed twice with the same label.*: a\.png, c\.png"
    ):
        layout = labels(PLAIN + "a.png,oak\nc.png,elm\nc.png,elm\n")
    assert found(layout, "train") == [("c.png", "elm"), ("sub/b.png", "elm"), ("a.png", "oak"), ("d.png", "oak")]


def test_all_contradictions_and_absent_files_are_in_one_message():
    text = PLAIN + "a.png,elm\nc.png,elm\nd.png,elm\nd.png,ash\n" + "".join(f"gone{n}.png,oak\n" for n in range(5))
    with pytest.raises(ValueError, match="listed twice") as error:
        labels(text)
    assert str(error.value) == (
        "labels.csv: 3 files are listed twice, 2 of them with different labels: a.png (oak in row 2, elm in row 6), "
        "d.png (oak in row 5, elm in row 8, ash in row 9); keep one row of each. Also, 5 of 9 files that it names are "
        "not in shots: gone0.png, gone1.png, gone2.png, …; put them there, set data.folder, or leave them out with "
        "data.corrupt skip"
    )
    with pytest.raises(ValueError, match=r"d\.png \(.*\); keep one row of each$"):
        labels(text, skip_absent=True)


def test_the_documented_lines_leave_out_contradictions():
    page = (Path(__file__).parents[3] / "docs" / "data.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"^```python\n([^`]*clean_labels.*?)^```", page, re.DOTALL | re.MULTILINE)
    Path("labels.csv").write_text((PLAIN + "a.png,elm\nc.png,elm\n").replace(",", ";"))
    exec(program, {})
    assert Path("clean_labels.csv").read_text() == "file;label\nsub/b.png;elm\nc.png;elm\nd.png;oak\n"


def test_contradictions_of_both_kinds_are_shown():
    text = "file,label,split\na.png,oak,train\na.png,elm,train\nc.png,elm,train\nc.png,elm,test\n"
    with pytest.raises(ValueError, match="listed twice") as error:
        labels(text)
    assert str(error.value) == (
        "labels.csv: 2 files are listed twice, 1 of them with different labels, 1 in different splits: a.png (oak in "
        "row 2, elm in row 3), c.png (train in row 4, test in row 5); keep one row of each"
    )


def test_an_image_has_one_label_however_its_path_is_written():
    inside = (Path("shots") / "a.png").absolute()
    Path("link").symlink_to("shots")
    for file in ("sub/../a.png", "./a.png", str(inside), str(inside.parent / "sub/../a.png"), ".\\a.png"):
        with pytest.raises(ValueError, match=r"listed twice.*: a\.png \(oak in row 2, elm in row 6\)"):
            labels(PLAIN + f"{file},elm\n")
        layout = labels(PLAIN.replace("a.png", file))
        assert layout.left_out == {}
        assert found(layout, "train")[2] == ("a.png", "oak")
    assert LabelFile(Path("labels.csv"), Path("link")).left_out == {}


def test_paths_of_windows_name_files_in_subfolders():
    assert found(labels(PLAIN.replace("/", "\\")), "train") == found(labels(PLAIN), "train")
    save("shots/sub\\b.png", noise(5, 5, seed=9))  # a name that Linux and macOS allow
    layout = labels(PLAIN.replace("/", "\\"))
    assert layout.left_out == {"not named in labels.csv": ["sub/b.png"]}


def test_a_folder_is_no_image():
    with pytest.raises(FileNotFoundError, match=r"1 of 5 files that it names are not in shots: sub \(a folder\);"):
        labels(PLAIN + "sub,oak\n")


def test_files_that_are_there_in_other_case_are_named():
    text = PLAIN.replace("a.png", "a.PNG").replace("b.png", "B.png") + "gone.png,oak\n"
    with pytest.raises(FileNotFoundError) as error:
        labels(text)
    assert str(error.value) == (
        "labels.csv: 3 of 5 files that it names are not in shots: a.PNG, sub/B.png, gone.png; 2 of these are there in "
        "other case, such as a.png for a.PNG: write the names as the files have them; put them there, set data.folder, "
        "or leave them out with data.corrupt skip"
    )


def test_files_that_are_all_absent_are_refused_in_any_case():
    text = "file,label,split\nx.png,oak,train\ny.png,elm,train\n"
    for skip in (False, True):
        with pytest.raises(
            FileNotFoundError, match=r"all of 2 files that it names are not in shots: x\.png, y\.png; put"
        ):
            labels(text, skip_absent=skip)
    with pytest.raises(ValueError, match="all files of the split train are absent;"):
        labels(text + "a.png,oak,test\n", skip_absent=True)


def test_cells_may_hold_line_breaks_and_rows_are_numbered_by_their_lines():
    text = '\nfile,label,note\n\na.png,oak,"two\nlines"\n \nsub/b.png,elm,\n'
    assert found(labels(text), "train") == [("sub/b.png", "elm"), ("a.png", "oak")]
    with pytest.raises(ValueError, match="row 8 has no label"):
        labels(text + "\nc.png,,\n".lstrip("\n"))
    with pytest.raises(ValueError, match=r"row 2 has a label that cannot be displayed, 'o\\nak'"):
        labels('file,label\na.png,"o\nak"\n')


def test_a_file_in_two_splits_is_refused():
    with pytest.raises(
        ValueError, match=r"1 file is listed twice, 1 in different splits: a\.png \(train in row 2, test"
    ):
        labels("file,label,split\na.png,oak,train\nc.png,elm,train\na.png,oak,test\n")


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
        (
            "filename,image,label\na.png,a.png,oak\n",
            "needs one column 'file'; it has 'filename', 'image', 'label'.*path",
        ),
        (
            "file,label\na.png,\nc.png,oak\n,elm\nd.png,\n",
            r"row 2 has no label \(3 such rows; row 4 has no file, row 5 has no label\); put images without",
        ),
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


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
@pytest.mark.parametrize("in_table", ["NFC", "NFD"])
def test_names_are_found_with_accents_composed_or_not(on_disk, in_table):
    name = unicodedata.normalize(on_disk, "äpfel/größe.png")
    save(f"shots/{name}", noise(5, 5, seed=9))
    layout = labels(PLAIN + unicodedata.normalize(in_table, "äpfel/größe.png,elm\n"))
    assert (name, "elm") in found(layout, "train")
