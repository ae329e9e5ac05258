"""What was fitted in training is used ever after; columns are taken by name; a table may grow."""

from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer

from litzoo.datamodules import BreastCancerDataModule, CSVClassificationDataModule, CSVRegressionDataModule
from litzoo.datamodules.restored import restored_from
from litzoo.lit_modules import MLPClassifier, Regressor
from tests.datamodules.tables.test_membership import HEADER, rows, write

CHECKPOINT = "trained.ckpt"
QUIET = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}


def table(kind=CSVRegressionDataModule, file="table.csv", **options):
    return kind(file=file, target="y", id_columns=["id"], **options)


def trainer(epochs=1):
    return Trainer(**QUIET, max_epochs=epochs, enable_checkpointing=False, num_sanity_val_steps=0)


def train(body, kind=CSVRegressionDataModule, **options):
    write(body)
    datamodule, runs = table(kind, **options), trainer()
    if kind is CSVRegressionDataModule:
        model = Regressor(datamodule.input_shape, datamodule.target_mean, datamodule.target_std)
    else:
        model = MLPClassifier(datamodule.input_shape, len(datamodule.class_names), class_names=datamodule.class_names)
    runs.fit(model, datamodule=datamodule)
    runs.save_checkpoint(CHECKPOINT)
    return model, datamodule


def predictions(model, datamodule, stage="test"):
    """Returns the identifiers and the outputs of the test set, or of new rows."""
    runs = trainer()
    if stage == "test":
        runs.test(model, datamodule=datamodule, ckpt_path=CHECKPOINT, weights_only=True, verbose=False)
    outputs = runs.predict(model, datamodule=datamodule, ckpt_path=CHECKPOINT, weights_only=True)
    index = torch.cat([each["index"] for each in outputs])
    names = datamodule.sample_columns("predict", index)["id"]
    return dict(zip(names, torch.cat([each["prediction"] for each in outputs]).tolist(), strict=True))


KINDS = pytest.mark.parametrize("kind", [CSVRegressionDataModule, CSVClassificationDataModule])


@KINDS
def test_columns_and_rows_in_another_order_give_the_same_predictions_to_the_bit(kind):
    model, datamodule = train(rows(), kind)
    before = predictions(model, table(kind))
    write([[row[at] for at in (3, 1, 4, 0, 2)] for row in rows()[::-1]], [HEADER[at] for at in (3, 1, 4, 0, 2)])
    after = predictions(model, table(kind))
    assert after == before
    assert len(before) == len(datamodule.test_set)


def test_what_was_fitted_stays_when_the_table_grows():
    """New rows with far larger numbers and a new category change neither the old rows' inputs nor their predictions."""
    model, _ = train(rows())
    before = predictions(model, table())
    new = [[f"new{row}", f"{1000 + row}", "5000", "violet", "1"] for row in range(40)]
    write([*new, *rows()])
    with pytest.warns(UserWarning, match=r"column 'colour' has categories in .* did not occur in training.*'violet'"):
        after = predictions(model, table())
    assert {name: after[name] for name in before} == before
    assert len(after) > len(before)


@KINDS
def test_a_resumed_training_uses_the_rows_it_recorded_and_counts_the_new_ones(kind):
    model, datamodule = train(rows(), kind)
    write([*rows(30, seed=5), *rows()[::-1]])
    resumed, runs = table(kind), trainer(epochs=2)
    with pytest.warns(UserWarning, match="^30 new rows are not used by the resumed training"):
        runs.fit(model, datamodule=resumed, ckpt_path=CHECKPOINT, weights_only=True)
    assert resumed.fingerprint() == datamodule.fingerprint()
    for part in ("train", "val"):
        before, after = getattr(datamodule, f"{part}_set"), getattr(resumed, f"{part}_set")
        assert torch.equal(before.inputs[before.indices], after.inputs[after.indices])
        assert torch.equal(before.indices, after.indices)
        assert torch.equal(before.targets[before.indices], after.targets[after.indices])
    assert sorted(resumed.row_ids("test")) == sorted(datamodule.row_ids("test"))
    runs.test(model, datamodule=resumed, ckpt_path=CHECKPOINT, weights_only=True, verbose=False)
    assert len(resumed.test_set) == len(datamodule.row_ids("test"))


def test_a_training_cannot_be_resumed_without_its_rows_or_with_other_targets():
    model, datamodule = train(rows())
    gone = datamodule.sample_columns("train", datamodule.split.train[:3])["id"]
    write([row for row in rows() if row[0] not in gone])
    with pytest.raises(ValueError, match=r"table\.csv: 3 rows the training used are gone \(row \d+, \d+, \d+ "):
        trainer(2).fit(model, datamodule=table(), ckpt_path=CHECKPOINT, weights_only=True)
    changed = rows()
    next(row for row in changed if row[0] == gone[0])[4] = "77"
    write(changed)
    with pytest.raises(ValueError, match="another split of the data"):
        trainer(2).fit(model, datamodule=table(), ckpt_path=CHECKPOINT, weights_only=True)
    assert predictions(model, table())


@pytest.mark.parametrize("stage", ["fit", "validate", "test"])
def test_another_seed_or_size_is_refused_with_the_option(stage):
    model, _ = train(rows())
    for options, words in [({"seed": 1}, r"data\.seed was 0, is 1"), ({"val_size": 0.3}, r"data\.val_size was 0\.1")]:
        with pytest.raises(ValueError, match=words):
            getattr(trainer(2), stage)(model, datamodule=table(**options), ckpt_path=CHECKPOINT, weights_only=True)


@pytest.mark.parametrize("stage", ["fit", "test"])
def test_other_missing_values_than_those_of_training_are_refused(stage):
    """By the content of a row it is known whether it was trained on, and a missing cell is part of that."""
    model, _ = train(rows(), keep_default_missing=False, missing_values=["n.a."])
    with pytest.raises(
        ValueError, match=r"give data\.missing_values \['n\.a\.'\] and data\.keep_default_missing false"
    ):
        getattr(trainer(2), stage)(
            model, datamodule=table(missing_values=["n.a."]), ckpt_path=CHECKPOINT, weights_only=True
        )


def test_a_test_row_that_was_trained_on_is_left_out_and_counted():
    """With a count, the smallest hashes are the test set: rows leave it when others come, and return when they go."""
    new = [[f"new{row[0]}", *row[1:]] for row in rows(200, seed=9)]
    model, datamodule = train([*rows(), *new], test_size=20)
    trained = set(datamodule.sample_columns("train", torch.arange(len(datamodule.rows_of("train"))))["id"])
    write(rows())
    with pytest.warns(UserWarning, match=r"rows of the test set are left out: the checkpoint was trained on them"):
        found = predictions(model, table(test_size=20))
    assert found
    assert not trained & set(found)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda head: [name if name != "size" else "length" for name in head], ["no column 'size'"]),
        (lambda head: [name if name != "colour" else "color" for name in head], ["is 'color' the renamed 'colour'"]),
    ],
)
def test_a_table_with_other_columns_is_refused_by_name(change, words):
    model, _ = train(rows())
    write(rows(), change(HEADER))
    with pytest.raises(ValueError, match=r"table\.csv") as error:
        predictions(model, table())
    assert all(word in str(error.value) for word in words), error.value


@KINDS
def test_new_rows_are_predicted_without_the_training_table(kind):
    model, datamodule = train(rows(), kind)
    test = predictions(model, table(kind))
    write(rows(), separator=";")
    Path("table.csv").rename("new.csv")
    content = torch.load(CHECKPOINT, weights_only=True)
    with restored_from(content):
        fresh = table(kind, predict_file="new.csv")
    assert fresh.input_shape == datamodule.input_shape
    if kind is CSVClassificationDataModule:
        assert fresh.class_names == datamodule.class_names
    else:
        assert (fresh.target_mean, fresh.target_std) == (datamodule.target_mean, datamodule.target_std)
    found = predictions(model, fresh, "predict")
    assert len(found) == 120
    assert {name: found[name] for name in test} == pytest.approx(test)


def test_a_class_that_training_did_not_have_is_refused_in_a_test():
    _, datamodule = train(rows(), CSVClassificationDataModule)
    changed = rows()
    tested = datamodule.sample_columns("test", torch.arange(1))["id"][0]
    next(row for row in changed if row[0] == tested)[4] = "9"
    write(changed)
    with restored_from(torch.load(CHECKPOINT, weights_only=True)):
        fresh = table(CSVClassificationDataModule)
    with pytest.raises(ValueError, match=r"has the class '9', which did not exist in training \(classes: 0, 1, 2\)"):
        fresh.setup("test")


def test_embedded_tables_keep_what_was_fitted_too():
    datamodule, runs = BreastCancerDataModule(), trainer()
    model = MLPClassifier(datamodule.input_shape, 2, class_names=datamodule.class_names)
    runs.fit(model, datamodule=datamodule)
    runs.save_checkpoint(CHECKPOINT)
    restored = BreastCancerDataModule.load_from_checkpoint(CHECKPOINT)
    assert restored.reading.state() == datamodule.reading.state()
    with pytest.raises(ValueError, match=r"data\.seed was 0, is 1"):
        BreastCancerDataModule.load_from_checkpoint(CHECKPOINT, seed=1)


@KINDS
@pytest.mark.parametrize("sizes", [{}, {"test_size": 30}, {"train_size": 40}])
def test_a_training_with_a_count_of_validation_rows_is_resumed_after_rows_were_added(kind, sizes):
    model, datamodule = train(rows(), kind, val_size=20, **sizes)
    write([*rows(60, seed=5), *rows()])
    resumed = table(kind, val_size=20, **sizes)
    with pytest.warns(UserWarning, match="new rows? (is|are) not used"):
        trainer(epochs=2).fit(model, datamodule=resumed, ckpt_path=CHECKPOINT, weights_only=True)
    assert resumed.fingerprint() == datamodule.fingerprint()
    assert not set(resumed.row_ids("test")) & set(resumed.row_ids("train"))


def test_an_identifier_that_repeats_stays_one_in_a_resumed_training():
    write(rows())
    options = {"file": "table.csv", "target": "y"}
    datamodule, runs = CSVRegressionDataModule(**options), trainer()
    model = Regressor(datamodule.input_shape, datamodule.target_mean, datamodule.target_std)
    runs.fit(model, datamodule=datamodule)
    runs.save_checkpoint(CHECKPOINT)
    write([*rows(), [rows()[0][0], "3.3", "7", "red", "1"]])
    with restored_from(torch.load(CHECKPOINT, weights_only=True)):
        resumed = CSVRegressionDataModule(**options)
    trainer(epochs=2).fit(model, datamodule=resumed, ckpt_path=CHECKPOINT, weights_only=True)
    assert resumed.reading.id_columns == ["id"]
    assert resumed.fingerprint() == datamodule.fingerprint()
