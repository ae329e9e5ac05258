"""A checkpoint is tested with other corrections than those of its training, which says so; it is not resumed so."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from litzoo.datamodules import CSVClassificationDataModule, DigitsDataModule
from litzoo.datamodules.splits.corrected import AppliedCorrections
from tests.datamodules.image_folder import folder_data, write_class, write_pets
from tests.datamodules.recording import Recorder, quiet_trainer
from tests.datamodules.splits.test_corrections import write

CHECKPOINT = "trained.ckpt"


def table(**options):
    random = np.random.RandomState(0)
    frame = pd.DataFrame({"x": np.arange(200) / 10, "y": random.choice(["p", "q"], 200)})
    frame.to_csv("rows.csv", index=False)
    return CSVClassificationDataModule(file="rows.csv", target="y", **options)


def drawn_folder(**options):
    if not Path("pets").exists():
        for number, name in enumerate(("cat", "dog")):
            write_class(f"pets/{name}", 40, seed=100 * number)
    return folder_data(**options)


def own_folder(**options):
    if not Path("pets").exists():
        write_pets(train=20, test=8)
    return folder_data(**options)


def folder_of_parts(**options):
    if not Path("pets").exists():
        write_pets(train=20, test=8)
        for number, name in enumerate(("cat", "dog")):
            write_class(f"pets/val/{name}", 5, seed=7000 + 100 * number)
    return folder_data(**options)


KINDS = pytest.mark.parametrize("kind", [DigitsDataModule, table, drawn_folder, own_folder, folder_of_parts])


def train(kind, **options):
    datamodule, trainer = kind(**options), quiet_trainer(Path.cwd())
    trainer.fit(Recorder(), datamodule=datamodule)
    trainer.save_checkpoint(CHECKPOINT)
    datamodule.setup("test")
    return datamodule


def use(stage, datamodule):
    recorder, trainer = Recorder(), quiet_trainer(Path.cwd(), 2)
    getattr(trainer, stage)(recorder, datamodule=datamodule, ckpt_path=CHECKPOINT, weights_only=True)
    return recorder


def row(data, part, position, action, label=""):
    """Returns a row of corrections for a sample by its position in the full training set or the test set."""
    names = {"index": position, "part": part}
    if ids := data.content_ids(part):
        names |= {"content_id": ids[position]}
    return ({"file": data.files[part][position]} if data.files else names) | {"action": action, "label": label}


def corrections(data, path="corrections.csv"):
    """Writes one relabelled and one dropped test sample, and the same of the training set."""
    first = int(data.test_labels[0])
    other = data.class_names[(first + 1) % data.num_classes]
    label = data.class_names[(int(data.targets[data.split.train[0]]) + 1) % data.num_classes]
    rows = [
        row(data, "test", 0, "relabel", other),
        row(data, "test", 1, "drop"),
        row(data, "train", int(data.split.train[0]), "relabel", label),
        row(data, "train", int(data.split.train[1]), "drop"),
    ]
    return write(rows, path)


@KINDS
@pytest.mark.parametrize("stage", ["test", "predict"])
def test_a_test_with_corrections_says_how_many_test_labels_differ(kind, stage):
    plain = train(kind)
    total, file = len(plain.test_labels), corrections(plain)
    corrected = kind(corrections=file)
    said = (
        rf"^data\.corrections is {file}, but the checkpoint was trained without corrections: of {total} test samples, "
    )
    with pytest.warns(UserWarning, match=rf"{said}1 is relabelled and 1 is dropped; compare the results with those of"):
        recorder = use(stage, corrected)
    assert len(recorder.column(stage, "index")) == total - 1
    differing = torch.nonzero(corrected.test_labels != plain.test_labels)[:, 0]
    assert differing.tolist() == [0]
    report = corrected.split_report()
    assert report["test_corrections"] == {
        "file": file,
        "relabelled": report["test_corrections"]["relabelled"] | {"test": 1},
        "dropped": report["test_corrections"]["dropped"] | {"test": 1},
    }
    assert "corrections" not in report


@KINDS
def test_a_checkpoint_that_was_trained_with_corrections_is_tested_with_others_and_without(kind):
    file = corrections(train(kind), "one.csv")
    trained = train(kind, corrections=file)
    with pytest.warns(UserWarning, match=rf"is not given, but the checkpoint was trained with {file}: the test labels"):
        recorder = use("test", kind())
    assert len(recorder.column("test", "index")) == len(trained.test_labels)
    more = write([row(trained, "test", 2, "drop")], "two.csv")
    with pytest.warns(UserWarning, match=r"is one\.csv, two\.csv, but .* trained with one\.csv: .*2 are dropped"):
        use("test", kind(corrections=[file, more]))


@KINDS
def test_the_same_corrections_in_another_file_are_no_others_and_another_content_of_the_file_is(kind):
    plain = train(kind)
    file = corrections(plain, "one.csv")
    trained = train(kind, corrections=file)
    Path("here").mkdir()
    Path("here/moved.csv").write_bytes(Path(file).read_bytes())
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=r".*data\.corrections is")
        for stage in ("test", "fit"):
            again = kind(corrections="here/moved.csv")
            use(stage, again)
        assert again.fingerprint() == trained.fingerprint()
    write([row(plain, "test", 2, "drop")], file)
    with pytest.warns(UserWarning, match=r"is one\.csv, but .* trained with one\.csv.*: .*, 1 is dropped"):
        use("test", kind(corrections=file))


def digest(*files):
    return AppliedCorrections(files, Path()).digest


def test_corrections_of_files_are_the_same_in_several_files_and_with_columns_that_do_not_count():
    one = {"file": "a.png", "action": "relabel", "label": "cat"}
    other = {"file": "b.png", "action": "drop", "label": ""}
    both = write([one, other], "both.csv")
    more = write([{**other, "part": "test", "index": 7}, {**one, "part": "train", "index": 3}], "more.csv")
    assert digest(both) == digest(more) == digest(write([one], "one.csv"), write([other], "other.csv"))
    assert digest(both) != digest("one.csv")
    assert digest(write([{**one, "action": "keep"}], "kept.csv")) == ""


def test_one_and_two_of_equal_rows_are_not_the_same():
    dropped = {"content_id": "c0ffee", "part": "train", "index": 3, "action": "drop", "label": ""}
    once, twice = write([dropped], "once.csv"), write([dropped, {**dropped, "index": 4}], "twice.csv")
    assert digest(once) != digest(twice)


def test_a_relabelling_to_the_label_that_a_sample_has_is_not_counted():
    plain = train(DigitsDataModule)
    own = plain.class_names[int(plain.test_labels[0])]
    same = DigitsDataModule(corrections=write([row(plain, "test", 0, "relabel", own)]))
    same.setup("test")
    assert same.applied_corrections.counts["relabelled"]["test"] == 0


@KINDS
@pytest.mark.parametrize("stage", ["fit", "validate"])
def test_a_training_is_not_resumed_with_other_corrections_and_the_message_can_be_read(kind, stage):
    file = corrections(train(kind))
    with pytest.raises(ValueError, match=rf"data\.corrections was None, is {file}\. `litzoo test` and") as error:
        use(stage, kind(corrections=file))
    assert str(error.value).startswith("the checkpoint was trained on another split of the data: ")


@KINDS
def test_everything_else_still_has_to_be_the_same(kind):
    file = corrections(train(kind))
    option = {"val_size": 0.3} if kind is not folder_of_parts else {"val_size": 0}
    name, value = next(iter(option.items()))
    with pytest.raises(
        ValueError, match=rf"another split of the data: data\.{name} was \S+, is {value}\. Use the data opt"
    ):
        use("test", kind(corrections=file, **option))


def test_files_that_have_changed_are_refused_with_other_corrections_too():
    file = corrections(train(folder_of_parts))
    Path("pets/train/cat/003.png").unlink()
    with pytest.raises(ValueError, match="all options are equal, but the files have changed"):
        use("test", folder_of_parts(corrections=file))


def test_a_checkpoint_of_a_version_that_recorded_the_names_of_the_files_only():
    plain = train(DigitsDataModule)
    file = corrections(plain, "one.csv")
    train(DigitsDataModule, corrections=file)
    content = torch.load(CHECKPOINT, weights_only=True)
    del content["DigitsDataModule"]["corrections"]
    torch.save(content, CHECKPOINT)
    use("test", DigitsDataModule(corrections=file))
    with pytest.warns(
        UserWarning, match=r"data\.corrections is not given, but the checkpoint was trained with one\.csv"
    ):
        use("test", DigitsDataModule())
    with pytest.raises(ValueError, match=r"data\.seed was 0, is 1"):
        use("test", DigitsDataModule(seed=1))
