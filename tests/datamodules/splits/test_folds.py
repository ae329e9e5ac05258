import re

import numpy as np
import pytest
import torch

from litzoo.datamodules import (
    CSVClassificationDataModule,
    CSVRegressionDataModule,
    DiabetesDataModule,
    DigitsDataModule,
    ImageFolderDataModule,
    ShapesDataModule,
    from_datasets,
)
from litzoo.datamodules.splits.folds import Fold, fold_numbers
from litzoo.datamodules.splits.membership import draw_members
from tests.datamodules.image_folder import noise, save


def write_table(rows=400):
    random = np.random.RandomState(0)
    values = random.rand(rows, 2)
    lines = ["a,b,price,kind"]
    lines += [f"{a:.6f},{b:.6f},{a + b:.4f},{'high' if a > 0.5 else 'low'}" for a, b in values]
    with open("table.csv", "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def write_folder(folder, parts, images):
    seed = 0
    for part in parts:
        for kind in ("cat", "dog"):
            for number in range(images):
                seed += 1
                save(f"{folder}/{part}/{kind}/{number}.png", noise(8, 8, 3, seed))


CASES = {
    "digits": lambda **options: DigitsDataModule(**options),
    "diabetes": lambda **options: DiabetesDataModule(**options),
    "shapes": lambda **options: ShapesDataModule(**options),
    "table with classes": lambda **options: CSVClassificationDataModule(file="table.csv", target="kind", **options),
    "table with numbers": lambda **options: CSVRegressionDataModule(file="table.csv", target="price", **options),
    "folder": lambda **options: ImageFolderDataModule("photos", near_duplicates="keep", **options),
    "folder with test images": lambda **options: ImageFolderDataModule("official", **options),
}


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_table()
    write_folder("photos", [""], 30)
    write_folder("official", ["train", "test"], 20)


def test_sizes_and_classes_are_spread_evenly():
    targets = np.repeat(np.arange(4), [50, 31, 7, 5])
    numbers = fold_numbers(np.random.RandomState(0).permutation(targets), 5, seed=0)
    counts = np.bincount(numbers)
    assert counts.max() - counts.min() <= 1
    numbers = fold_numbers(targets, 5, seed=0)
    for label in range(4):
        each = np.bincount(numbers[targets == label], minlength=5)
        assert each.max() - each.min() <= 1
    assert (fold_numbers(targets, 5, seed=0) == numbers).all()
    assert (fold_numbers(targets, 5, seed=1) != numbers).any()
    floats = np.bincount(fold_numbers(np.random.RandomState(0).rand(13), 3, seed=0))
    assert sorted(floats) == [4, 4, 5]


@pytest.mark.parametrize("case", CASES)
def test_every_sample_that_is_not_for_testing_validates_once(case):
    validated, tests = [], set()
    for fold in range(3):
        datamodule = CASES[case](folds=3, fold=fold)
        datamodule.setup("fit")
        datamodule.setup("test")
        train, val = (getattr(datamodule.split, part) for part in ("train", "val"))
        assert not set(train.tolist()) & set(val.tolist())
        assert len(train) + len(val) == len(datamodule.targets)
        assert datamodule.split_report()["fold"] == {"number": fold, "of": 3}
        validated.append(val)
        tests.add(len(datamodule.test_set))
    assert torch.equal(torch.cat(validated).sort().values, torch.arange(len(datamodule.targets)))
    assert len(tests) == 1
    plain = CASES[case]()
    plain.setup("fit")
    plain.setup("test")
    assert {len(plain.test_set)} == tests


def test_folds_of_a_data_set_with_official_parts_are_stratified():
    whole = DigitsDataModule(val_size=0)
    whole.setup("fit")
    totals = np.array(whole.class_counts)
    for fold in range(5):
        datamodule = DigitsDataModule(folds=5, fold=fold)
        datamodule.setup("fit")
        counts = np.bincount(datamodule.targets[datamodule.split.val])
        assert np.abs(counts - totals / 5).max() < 1


def test_the_first_fold_by_content_is_the_validation_set_of_the_same_fraction():
    ids = [f"{number:032x}" for number in range(500)]
    assert (draw_members("val_size", Fold(0, 5), ids, "val 0") == draw_members("val_size", 0.2, ids, "val 0")).all()


def test_a_new_row_moves_no_other_row_to_another_fold():
    def folds():
        found = {}
        for fold in range(3):
            datamodule = CASES["table with classes"](folds=3, fold=fold)
            datamodule.setup("fit")
            ids = datamodule.row_ids("train")
            found |= {ids[row]: fold for row in datamodule.split.val.tolist()}
        return found

    before = folds()
    with open("table.csv", "a", encoding="utf-8") as file:
        file.write("0.9,0.9,1.8,high\n0.1,0.2,0.3,low\n")
    after = folds()
    assert {each: after[each] for each in before} == before


def test_leaving_a_class_out_moves_no_sample_of_another_to_another_fold():
    for fold in range(3):
        whole = DigitsDataModule(folds=3, fold=fold)
        part = DigitsDataModule(folds=3, fold=fold, known_classes=[1, 2, 3])
        whole.setup("fit")
        part.setup("fit")
        kept = torch.isin(whole.targets[whole.split.val], torch.tensor([1, 2, 3]))
        assert torch.equal(whole.split.val[kept], part.split.val)


def test_noise_and_size_of_the_training_set_are_drawn_from_the_other_folds():
    datamodule = DigitsDataModule(folds=4, fold=1, train_size=300)
    datamodule.setup("fit")
    other = DigitsDataModule(folds=4, fold=1)
    other.setup("fit")
    assert len(datamodule.split.train) == 300
    assert set(datamodule.split.train.tolist()) <= set(other.split.train.tolist())
    assert torch.equal(datamodule.split.val, other.split.val)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fold": 1}, "data.fold 1 without data.folds"),
        ({"folds": 1, "fold": 0}, "data.folds: 1; give an integer of at least 2"),
        ({"folds": 5}, "data.fold: None with data.folds 5; give the fold that validates, 0 to 4"),
        ({"folds": 5, "fold": 5}, "data.fold: 5 with data.folds 5; give the fold that validates, 0 to 4"),
    ],
)
def test_options_that_choose_no_fold_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        DigitsDataModule(**options)


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("digits", r"data.folds 200: the class '8' has 1\d\d samples|data.folds 200: the class '0' has"),
        ("diabetes", "data.folds 2000: only 353|data.folds 2000: only 354"),
        (
            "folder with test images",
            "data.folds 200: fold 0 of 200 is empty, since each of the 40 samples is assigned by a hash",
        ),
    ],
)
def test_more_folds_than_samples_of_a_class_are_refused(case, message):
    folds = 2000 if case == "diabetes" else 200
    with pytest.raises(ValueError, match=message):
        CASES[case](folds=folds, fold=0).setup("fit")


@pytest.mark.parametrize("case", ["table with classes", "folder"])
def test_a_fold_by_content_that_holds_a_whole_class_is_refused_with_what_helps(case):
    with open("table.csv", "a", encoding="utf-8") as file:
        file.write("7,7,14,rare\n" * 4)  # equal rows are in one fold
    for number in range(4):
        save(f"photos/rare/{number}.png", noise(8, 8, 3, 999))
    refused = []
    for fold in range(3):
        try:
            CASES[case](folds=3, fold=fold).setup("fit")
        except ValueError as error:
            refused.append(str(error))
        CASES[case](folds=3, fold=fold, known_classes=[0, 1]).setup("fit")
    assert len(refused) == 1
    assert re.match(r"data.folds 3: fold . of 3 holds all 4 samples of the class 'rare' that are not for", refused[0])
    assert "data.known_classes, or collect more samples" in refused[0]
    assert "val_size" not in refused[0]


def test_official_validation_samples_are_refused():
    write_folder("parts", ["train", "val", "test"], 3)
    with pytest.raises(ValueError, match=r"data.folds: parts has validation images of its own; move them"):
        ImageFolderDataModule("parts", folds=3, fold=0)
    samples = [(torch.rand(4), number % 2) for number in range(20)]
    with pytest.raises(ValueError, match="folds: `val` has the validation samples; join them to `train`"):
        from_datasets(samples, val=list(samples), folds=3, fold=0)


def test_a_checkpoint_of_another_fold_is_not_resumed():
    first, second = (DigitsDataModule(folds=3, fold=fold) for fold in (0, 1))
    first.setup("fit")
    with pytest.raises(ValueError, match=r"data\.val_size was fold 0 of 3, is fold 1 of 3"):
        second.load_state_dict(first.state_dict())
