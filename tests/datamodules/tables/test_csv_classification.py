"""Classification on tables: class names, and all troubles of labels."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.linear_model import LogisticRegression

from litzoo.callbacks import NoisyLabelFinder, PredictionsCSV
from litzoo.datamodules import (
    BreastCancerDataModule,
    ClassCounts,
    CSVClassificationDataModule,
    SymmetricNoise,
    WineDataModule,
)
from litzoo.datamodules.batch import UNKNOWN
from litzoo.datamodules.tables.naming import apart
from litzoo.lit_modules import MLPClassifier
from litzoo.lit_modules.semi_supervised import FixMatch
from tests.datamodules.tables.test_membership import HEADER, rows, write
from tests.datamodules.tables.test_table_checkpoints import QUIET


def table(**options):
    module = CSVClassificationDataModule(file="table.csv", **{"target": "y", "id_columns": ["id"], **options})
    module.setup("fit")
    return module


def with_classes(*names, count=120):
    write([[*row[:4], names[number % len(names)]] for number, row in enumerate(rows(count))])


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["yes", "no"], ["no", "yes"]),
        (["10", "2", "9"], ["2", "9", "10"]),
        (["True", "False"], ["False", "True"]),
        ([" b", "a "], ["a", "b"]),
        (["01", "1e3"], ["01", "1e3"]),
    ],
)
def test_classes_are_named_as_in_the_table(names, expected):
    with_classes(*names)
    assert table().class_names == tuple(expected)


def test_labels_are_those_of_the_rows():
    write(rows())
    module = table()
    for part in ("train", "test"):
        dataset = getattr(module, f"{part}_set")
        names = module.sample_columns(part, dataset.indices)["id"]
        expected = [int(name[1:]) % 3 for name in names]
        assert dataset.targets[dataset.indices].tolist() == expected
        assert module.true_class_names(torch.arange(len(module.test_set)))[:3] == [
            str(int(name[1:]) % 3) for name in module.sample_columns("test", torch.arange(3))["id"]
        ]


@pytest.mark.parametrize(
    ("cells", "options", "words"),
    [
        (["a", ""], {}, ["'y' has 60 cells that are empty or stand for a missing value", "row 3"]),
        (["a", "NA"], {}, ["row 3", "data.keep_default_missing to false"]),
        (["a"], {}, ["only the class 'a'"]),
        ([f"{value / 7:.3f}" for value in range(120)], {}, ["120 different values", "CSVRegressionDataModule"]),
        (["a", "b"], {"target": "z"}, ["no column 'z' (data.target)", "id, size"]),
        (["a", "b"], {"id_columns": ["y"]}, ["data.id_columns: 'y' is the target"]),
        (["a", "b"], {"id_columns": ["no"]}, ["no column 'no' (data.id_columns)"]),
        (["a", "b"], {"drop_columns": ["size", "weight", "colour"]}, ["no column is left"]),
        (["a", "b"], {"strong_swap": 2}, ["data.strong_swap: 2"]),
    ],
)
def test_a_target_that_is_no_class_is_refused(cells, options, words):
    with_classes(*cells)
    with pytest.raises(ValueError, match=r".+") as error:
        table(**options)
    assert all(word in str(error.value) for word in words), error.value


def test_NA_is_a_class_where_the_user_says_so():  # noqa: N802
    with_classes("a", "NA")
    assert table(keep_default_missing=False).class_names == ("NA", "a")


def test_all_troubles_of_labels_work_together():
    write(rows(600))
    module = table(
        known_classes=["1", "0"],
        imbalance=ClassCounts([100, 60]),
        num_labeled=40,
        label_noise=SymmetricNoise(0.25),
        unlabeled_batch_size=16,
        unknown_unlabeled=10,
    )
    module.setup("test")
    report = module.split_report()
    assert module.class_names == ("1", "0")
    assert report["sizes"]["train"] == 40
    assert report["sizes"]["unlabeled"] == 160 - 40 + 10
    assert report["label_noise"] == {"train": 0.25}
    assert report["unknown"]["unlabeled"] == 10
    assert report["unknown"]["test"] == int((module.test_set.targets == UNKNOWN).sum()) > 0
    assert any("hash of its content" in note for note in report["notes"])


def test_preprocessing_is_fitted_on_labeled_and_unlabeled_training_rows():
    write(rows(600))
    module = table(num_labeled=40, imbalance=ClassCounts([30, 30, 30]))
    used = torch.cat([module.split.train, module.split.unlabeled])
    inputs = module.train_set.inputs[used][:, :2].double()
    assert len(used) == 90
    torch.testing.assert_close(inputs.mean(0), torch.zeros(2).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(inputs.std(0, correction=0), torch.ones(2).double(), atol=1e-6, rtol=0)


def test_the_strong_view_takes_whole_columns_from_other_rows():
    write(rows(600))
    module = table(num_labeled=40, unlabeled_batch_size=64, strong_swap=0.5)
    rows_in = module.train_set.inputs[:64]
    batch = {"labeled": {"input": rows_in}, "unlabeled": {"input": rows_in, "index": torch.arange(64)}}
    views = module.on_after_batch_transfer(batch, 0)["unlabeled"]
    assert torch.equal(views["weak"], rows_in)
    changed = 0
    for features in module.feature_groups.values():
        mine, seen = rows_in[:, features], views["strong"][:, features]
        assert all(any(torch.equal(row, other) for other in mine) for row in seen)
        changed += int((mine != seen).any(dim=1).sum())
    assert 0 < changed < 64 * len(module.feature_groups)


def test_fixmatch_learns_from_a_pool_of_rows_and_suspects_are_named_by_their_identifiers():
    write(rows(300))
    module = CSVClassificationDataModule(
        file="table.csv", target="y", id_columns=["id"], num_labeled=60, unlabeled_batch_size=32, batch_size=16
    )
    model = MLPClassifier(module.input_shape, 3, class_names=module.class_names, pseudo_labels=FixMatch(0.4))
    trainer = Trainer(**QUIET, max_epochs=2, enable_checkpointing=False)
    trainer.fit(model, datamodule=module)
    trainer.test(model, datamodule=module, verbose=False)
    assert np.isfinite(float(trainer.callback_metrics["test/loss"]))


def test_noisy_labels_are_listed_with_row_and_identifier():
    write(rows(300))
    module = CSVClassificationDataModule(
        file="table.csv", target="y", id_columns=["id"], label_noise=SymmetricNoise(0.2)
    )
    model = MLPClassifier(module.input_shape, 3, class_names=module.class_names)
    trainer = Trainer(**QUIET, max_epochs=3, enable_checkpointing=False, callbacks=NoisyLabelFinder())
    trainer.fit(model, datamodule=module)
    (path,) = Path.cwd().rglob("suspects.csv")
    with path.open(newline="") as stream:
        cells = next(csv.DictReader(stream))
    assert rows(300)[int(cells["row"]) - 2][0] == cells["id"]


@pytest.mark.parametrize(
    ("kind", "source", "least"), [(BreastCancerDataModule, load_breast_cancer, 0.9), (WineDataModule, load_wine, 0.9)]
)
def test_embedded_tables_are_those_of_scikit_learn(kind, source, least):
    module, original = kind(val_size=0.1), source()
    module.setup("fit")
    module.setup("test")
    assert len(module.frame) == len(original.data)
    assert module.target_values(module.frame).tolist() == original.target.tolist()
    fractions = [np.bincount(part.targets[part.indices]) / len(part) for part in (module.train_set, module.test_set)]
    np.testing.assert_allclose(*fractions, atol=0.03)
    train, test = module.train_set, module.test_set
    model = LogisticRegression(max_iter=1000).fit(train.inputs[train.indices], train.targets[train.indices])
    assert model.score(test.inputs, test.targets) > least
    assert "data" not in str(module.root) or not module.root.exists()


def test_an_identifier_is_found_by_its_name_and_is_no_input():
    write(rows(), ["customer_id", *HEADER[1:]])
    module = table(id_columns=[])
    assert module.reading.id_columns == ["customer_id"]
    assert set(module.feature_groups) == {"size", "weight", "colour"}
    write(rows(), ["name", *HEADER[1:]])
    with pytest.raises(ValueError, match=r"column 'name' has 120 categories.*data\.id_columns.*data\.drop_columns"):
        table(id_columns=[])


@pytest.mark.parametrize(
    ("names", "first", "second"), [(["1", "1.0", "2"], "'1'", "'1.0'"), (["a", "01", "1"], "'01'", "'1'")]
)
def test_two_spellings_of_a_number_are_refused_with_their_rows(names, first, second):
    with_classes(*names)
    rows_of = {f"{name!r}": row for row, name in enumerate(names, start=2)}
    words = rf"classes {first} \(row {rows_of[first]}\) and {second} \(row {rows_of[second]}\), which are the same"
    with pytest.raises(ValueError, match=words):
        table()


@pytest.mark.parametrize("names", [("Yes", "yes", "no"), ("True", "False", "true"), ("a  b", "A b", "c")])
def test_spellings_that_differ_in_case_or_spaces_are_named(names):
    with_classes(*names)
    with pytest.warns(
        UserWarning, match=r"table\.csv: the target column 'y' has the classes .* spellings of one class"
    ):
        assert len(table().class_names) == 3


def test_identifiers_named_like_our_columns_keep_their_values_under_another_name():
    header = ["index", "size", "weight", "colour", "y", "row", "prediction", "given", "content_id", "file"]
    write([[*each, *(f"{name} {each[0]}" for name in header[5:])] for each in rows(300)], header)
    identifiers = ["index", *header[5:]]
    module = CSVClassificationDataModule(
        file="table.csv", target="y", id_columns=identifiers, label_noise=SymmetricNoise(0.2)
    )
    model = MLPClassifier(module.input_shape, 3, class_names=module.class_names)
    callbacks = [NoisyLabelFinder(), PredictionsCSV()]
    trainer = Trainer(**QUIET, callbacks=callbacks, max_epochs=2, enable_checkpointing=False)
    with pytest.warns(UserWarning, match="suspects.csv: the column 'index' of the table is named 'index_in_file'"):
        trainer.fit(model, datamodule=module)
    with pytest.warns(UserWarning, match=r"predictions.csv: the column 'prediction' .* 'prediction_in_file'"):
        trainer.predict(model, datamodule=module)
    ours = {
        "suspects": ["index", "row", "given", "content_id", "file"],
        "predictions": ["index", "row", "prediction"],
    }
    for name, renamed in ours.items():
        (path,) = Path.cwd().rglob(f"{name}.csv")
        with path.open(newline="") as stream:
            found = list(csv.DictReader(stream))
        for cells in found:
            original = f"r{int(cells['row']) - 2}"
            values = {each: original if each == "index" else f"{each} {original}" for each in identifiers}
            assert {each: cells[f"{each}_in_file" if each in renamed else each] for each in identifiers} == values
        assert cells["index"].isdigit()


def test_a_name_that_is_free_only_at_the_second_attempt():
    with pytest.warns(UserWarning, match="'index_in_file_in_file'"):
        found = apart({"index": 1, "index_in_file": 2, "other": 3}, ["index"], "x.csv")
    assert found == {"index_in_file_in_file": 1, "index_in_file": 2, "other": 3}


def test_the_file_comes_first_in_python():
    with_classes("a", "b")
    assert CSVClassificationDataModule("table.csv", "y").target == "y"
