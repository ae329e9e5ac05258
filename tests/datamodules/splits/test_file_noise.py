"""Labels from a file of the user's own replace those of the data set."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from litzoo.datamodules import (
    BreastCancerDataModule,
    CSVClassificationDataModule,
    DigitsDataModule,
    FileNoise,
    ImageFolderDataModule,
)
from tests.counted import count
from tests.scripts.helpers import MLP, SHORT, litzoo

NAMES = ["cat", "dog", "owl"]
TRUE = torch.arange(9) % 3


def given(file, names=("cat", "dog", "owl"), samples=None, ordered=True, column="label"):
    return FileNoise(file, column).given_labels(Path(), TRUE, names, samples or {}, ordered).tolist()


def write(text, file="labels.csv"):
    Path(file).write_text(text, encoding="utf-8")
    return file


WANTED = [2, 2, 2, 0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.float64, str])
def test_an_array_has_one_label_for_each_sample(dtype):
    labels = np.array([NAMES[label] for label in WANTED]) if dtype is str else np.array(WANTED, dtype)
    np.save("labels.npy", labels)
    assert given("labels.npy") == WANTED


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("cell", [lambda label: NAMES[label], str, lambda label: f"{label}.0"])
def test_a_table_has_one_row_for_each_sample_or_names_them(separator, cell):
    assert given(write("\n".join(["label", *(cell(label) for label in WANTED)]))) == WANTED
    rows = [f"{index}{separator}{cell(label)}" for index, label in enumerate(WANTED)]
    for order in (rows, rows[::-1]):
        assert given(write("\n".join([f"index{separator}label", *order]))) == WANTED
    assert given(write("\n".join([f"index{separator}mine", *rows])), column="mine") == WANTED


def test_classes_that_are_digits_are_named_by_them():
    assert given(write("label\n" + "\n".join("789789789")), names=("7", "8", "9")) == TRUE.tolist()


def test_samples_that_no_row_names_keep_their_label_with_a_warning():
    files = {"file": [f"{index}.png" for index in range(9)]}
    with pytest.warns(UserWarning, match=r"names 2 of 9 training samples; the others keep their label"):
        labels = given(write("file,label\n3.png,owl\n8.png,cat\n"), samples=files, ordered=False)
    assert labels == [0, 1, 2, 2, 1, 2, 0, 1, 0]
    with pytest.warns(
        UserWarning,
        match=r"1 row of .* names a sample that is not in the training set, and is not used \(file other.png\)",
    ):
        given(write("file,label\n3.png,owl\nother.png,cat\n"), samples=files)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty file"),
        ("label\n", "0 rows"),
        ("index,class\n0,cat\n", "needs a column 'label'"),
        ("label\ncat\n", "has 1 labels, but the full training set has 9 samples"),
        ("index,label\n0,horse\n", "label 1: there is no class 'horse'; the classes are cat, dog, owl"),
        ("index,label\n0,3\n", "there is no class 3"),
        ("index,label\n0,-1\n", "there is no class -1"),
        ("index,label\n0,1.5\n", "there is no class '1.5'"),
        ("index,label\n9,cat\n0,cat\n", "not in the training set .index 9.; it has 9, such as index 0"),
        ("index,label\n0,cat\n0,dog\n", "gives index 0 two labels, in rows 2 and 3"),
        ("index,label\n0,\n", "row 2 has no label"),
        ("index,label\n0,cat,x\n", "row 2 has 3 cells, the header 2"),
        ("file,label\na.png,cat\n", r"not in the training set \(file a.png\)"),
    ],
)
def test_another_content_is_refused(text, words):
    with pytest.raises(ValueError, match=words) as refused:
        given(write(text), samples={"file": list("abcdefghi")})
    assert "FileNoise.file: " in str(refused.value)
    assert "labels.csv" in str(refused.value)
    count("inputs refused")


def test_positions_are_refused_where_they_change():
    np.save("labels.npy", WANTED)
    for file in ("labels.npy", write("index,label\n0,cat\n")):
        with pytest.raises(ValueError, match=r"by their position, which changes when these data grow.*'file'"):
            given(file, samples={"file": list("abcdefghi")}, ordered=False)


@pytest.mark.parametrize("array", [np.zeros((9, 3)), np.array([1, "a"], object), np.zeros(9, complex)])
def test_another_array_is_refused(array):
    np.save("labels.npy", array)
    with pytest.raises(ValueError, match=r"labels.npy (holds|is damaged)"):
        given("labels.npy")
    Path("labels.npy").write_bytes(b"hello")
    with pytest.raises(ValueError, match="it was not loaded"):
        given("labels.npy")
    with pytest.raises(FileNotFoundError, match=r"absent.csv cannot be read"):
        given("absent.csv")
    count("inputs refused", 3)


def test_a_data_set_trains_on_the_labels_and_knows_its_own_as_the_true_ones():
    plain = DigitsDataModule(val_size=100)
    plain.setup("fit")
    wrong = plain.targets.clone()
    wrong[::4] = (wrong[::4] + 1) % 10
    np.save("labels.npy", wrong.numpy())
    modules = [DigitsDataModule(val_size=100, label_noise=FileNoise("labels.npy"), noisy_val=noisy) for noisy in (0, 1)]
    for module in modules:
        module.setup("fit")
        assert torch.equal(module.split.train, plain.split.train)
        assert torch.equal(module.targets[module.split.train], wrong[plain.split.train])
        assert torch.equal(module.clean_targets, plain.targets)
    assert torch.equal(modules[0].targets[plain.split.val], plain.targets[plain.split.val])
    assert torch.equal(modules[1].targets[plain.split.val], wrong[plain.split.val])
    assert len({module.fingerprint() for module in (plain, *modules)}) == 3


def test_labels_of_unknown_classes_are_refused():
    np.save("labels.npy", np.full(1438, 9))
    module = DigitsDataModule(known_classes=[0, 1, 2], label_noise=FileNoise("labels.npy"))
    with pytest.raises(ValueError, match=r"FileNoise labels \d+ training samples with a class that is not in"):
        module.setup("fit")


def test_images_in_a_folder_are_named_by_their_files():
    random = np.random.RandomState(0)
    for number in range(60):
        path = Path("pets", NAMES[number % 3], f"{number}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.randint(0, 256, (6, 6, 3), dtype=np.uint8)).save(path)
    files = sorted(path.relative_to("pets").as_posix() for path in Path("pets").rglob("*.png"))
    write("file,label\n" + "\n".join(f"{file},{NAMES[(NAMES.index(file[:3]) + 1) % 3]}" for file in files))
    module = ImageFolderDataModule("pets", val_size=6, label_noise=FileNoise("labels.csv"))
    with pytest.warns(UserWarning, match="test labels stay as they are"):
        module.setup("fit")
    train = module.split.train
    assert torch.equal(module.targets[train], (module.clean_targets[train] + 1) % 3)
    named = zip(module.files["train"], module.clean_targets, strict=True)
    assert all(name.startswith(NAMES[label]) for name, label in named)


def test_rows_of_a_table_are_named_by_their_number_in_the_file():
    lines = ["size,weight,kind"] + [f"{row * 1.37:.2f},{row % 7},{NAMES[row % 3]}" for row in range(60)]
    write("\n".join(lines), "table.csv")
    plain = CSVClassificationDataModule(file="table.csv", target="kind", val_size=6)
    plain.setup("fit")
    rows = plain.sample_columns("train", torch.arange(len(plain.targets)))["row"]
    write("row,label\n" + "\n".join(f"{row},{NAMES[(int(row) - 1) % 3]}" for row in rows))
    noise = FileNoise("labels.csv")
    module = CSVClassificationDataModule(file="table.csv", target="kind", val_size=6, label_noise=noise)
    module.setup("fit")
    train = module.split.train
    given = [(int(row) - 1) % 3 for row in rows]
    assert module.targets[train].tolist() == torch.tensor(given)[train].tolist()
    np.save("labels.npy", np.zeros(455, int))
    with pytest.raises(ValueError, match="leaves no training sample with the label"):
        BreastCancerDataModule(label_noise=FileNoise("labels.npy")).setup("fit")


def test_the_command_takes_it():
    labels = DigitsDataModule().read(train=True)[1].numpy()
    np.save("labels.npy", np.where(np.arange(len(labels)) % 5, labels, (labels + 1) % 10))
    done = litzoo("fit", *MLP, *SHORT, "--data.label_noise=FileNoise", "--data.label_noise.file=labels.npy")
    assert done.datamodule.split_report()["label_noise"]["train"] == pytest.approx(0.2, abs=0.02)
