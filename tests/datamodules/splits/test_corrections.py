"""Corrections of labels: what they change, what they leave alone, and which files are refused."""

import csv
from pathlib import Path

import pytest
import torch

from litzoo.datamodules import UNKNOWN, CSVClassificationDataModule, DigitsDataModule, SymmetricNoise
from litzoo.datamodules.splits.corrections_file import read_corrections


def write(rows, path="corrections.csv"):
    names = list(dict.fromkeys(name for row in rows for name in row))
    with Path(path).open("w", newline="") as stream:
        writer = csv.DictWriter(stream, names, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def digits(**options):
    options = {"val_size": 100, "train_size": 300, "label_noise": SymmetricNoise(0.2), "seed": 3} | options
    datamodule = DigitsDataModule(**options)
    datamodule.setup("fit")
    datamodule.setup("test")
    return datamodule


@pytest.fixture
def plain():
    return digits()


def row(datamodule, index, action, label="", part="train"):
    labels = datamodule.test_labels if part == "test" else datamodule.targets
    return {"index": index, "part": part, "given": str(int(labels[index])), "action": action, "label": label}


def test_samples_get_their_new_label_or_are_dropped_and_all_others_stay(plain, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, second, third = plain.split.train[:3].tolist()
    rows = [
        row(plain, first, "relabel", str((int(plain.targets[first]) + 1) % 10)),
        row(plain, second, "drop"),
        row(plain, third, "keep"),
        row(plain, int(plain.split.val[0]), "drop", part="val"),
        row(plain, 5, "relabel", str((int(plain.test_labels[5]) + 1) % 10), part="test"),
        row(plain, 6, "drop", part="test"),
    ]
    corrected = digits(corrections=write(rows))
    kept = [position for position in plain.split.train.tolist() if position != second]
    assert corrected.split.train.tolist() == kept
    assert corrected.split.val.tolist() == plain.split.val[1:].tolist()
    changed = torch.nonzero(corrected.targets != plain.targets)[:, 0]
    assert changed.tolist() == [first]
    assert corrected.targets[first] == (plain.targets[first] + 1) % 10
    assert corrected.train_set.indices.tolist() == kept
    assert torch.equal(corrected.clean_targets, plain.clean_targets)  # the noise is that of the labels as delivered
    assert len(corrected.test_set) == len(plain.test_set) - 1
    assert 6 not in corrected.test_set.indices
    assert torch.nonzero(corrected.test_set.targets != plain.test_set.targets)[:, 0].tolist() == [5]
    assert corrected.true_class_names(torch.tensor([5])) == [rows[4]["label"]]
    assert corrected.split_report()["corrections"] == {
        "file": "corrections.csv",
        "relabelled": {"train": 1, "val": 0, "test": 1},
        "dropped": {"train": 1, "val": 1, "test": 1},
    }
    assert corrected.fingerprint() != plain.fingerprint()
    assert corrected.split_options()["corrections"] == "corrections.csv"


def test_a_file_that_changes_nothing_leaves_the_fingerprint_as_it_is(plain, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    corrected = digits(corrections=write([row(plain, 1, "keep")]))
    assert corrected.fingerprint() == plain.fingerprint()


def test_corrections_back_to_the_true_labels_undo_the_noise(plain, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wrong = [index for index in plain.split.train.tolist() if plain.targets[index] != plain.clean_targets[index]]
    assert len(wrong) == 60
    rows = [row(plain, index, "relabel", str(int(plain.clean_targets[index]))) for index in wrong]
    corrected = digits(corrections=write(rows))
    assert torch.equal(corrected.targets, corrected.clean_targets)
    assert corrected.split_report()["label_noise"] == {"train": 0}


def test_the_file_is_looked_up_in_the_data_folder_too(plain, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    write([row(plain, int(plain.split.train[0]), "drop")], "data/mine.csv")
    assert len(digits(corrections="mine.csv", root="data").split.train) == 299


def test_relabelled_before_is_no_mistake(plain, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    index = int(plain.split.train[0])
    current = str(int(plain.targets[index]))
    rows = [{"index": index, "given": str((int(current) + 1) % 10), "action": "relabel", "label": current}]
    assert digits(corrections=write(rows)).fingerprint() == plain.fingerprint()


REFUSED = [
    ([{"index": "9999", "action": "drop"}], r"names samples that the data do not have: train index 9999 of 1438"),
    ([{"index": "400", "part": "test", "action": "drop"}], r"test index 400 of 359 \(row 2\)"),
    ([{"index": "1", "action": "relabel", "label": "cat"}], r"no class: 'cat' \(row 2\); the classes are 0, 1, 2"),
    ([{"index": "1", "action": "remove"}], r"row 2 has the action 'remove', which is none of keep, relabel, drop"),
    ([{"index": "1", "action": "relabel", "label": ""}], r"row 2 has the action relabel, but no label"),
    ([{"index": "-1", "action": "drop"}], r"row 2 has neither a file nor an index, but '-1'"),
    ([{"index": "1", "part": "tset", "action": "drop"}], r"row 2 has the part 'tset'"),
    ([{"file": "cat.png", "action": "drop"}], r"names samples that the data do not have: cat.png \(row 2\)"),
    ([{"index": "1", "given": "x", "action": "drop"}], r"other labels: train 1 is '\d', not 'x' \(row 2\)"),
    ([{"rank": "1", "index": "3"}], r"has the columns rank, index; it needs file or index, action"),
    (
        [{"index": "1", "action": "drop"}, {"index": "1", "action": "relabel", "label": "3"}],
        r"contradicts itself: train 1 has 'drop' in row 2 and 'relabel 3' in row 3; keep one of them",
    ),
]


@pytest.mark.parametrize(("rows", "message"), REFUSED)
def test_files_that_do_not_fit_are_refused(rows, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=rf"data\.corrections: corrections\.csv.*{message}"):
        digits(corrections=write(rows))


def test_actions_are_taken_in_any_case(plain, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, second, third = plain.split.train[:3].tolist()
    other = str((int(plain.targets[first]) + 1) % 10)
    actions = [("Relabel ", other), (" DROP", ""), ("Keep", "")]
    rows = [row(plain, index, *each) for index, each in zip((first, second, third), actions, strict=True)]
    report = digits(corrections=write(rows)).split_report()["corrections"]
    assert (report["relabelled"]["train"], report["dropped"]["train"]) == (1, 1)


def test_all_faults_are_told_at_once_with_their_rows_and_the_nearest_class():
    table = [f"{size},{size % 2},{'Zelltyp A' if size % 2 else 'Zelltyp B'}" for size in range(60)]
    Path("table.csv").write_text("\n".join(["size,odd,kind", *table]))
    rows = [
        {"index": 1, "action": "Relabel", "label": "zell typ a"},
        {"index": 2, "action": "relable", "label": "Zelltyp A"},
        {"index": 3, "action": "relabel", "label": "Zelltyp B"},
        {"index": 4, "action": "relabel", "label": "zell typ a", "part": "test"},
        {"index": 5, "action": "relabel", "label": "?", "part": "test"},
        {"index": 6, "action": "relable", "label": "Zelltyp B"},
        {"index": 7, "action": "relabel"},
        {"index": 999, "action": "drop"},
        {"index": 3, "action": "drop"},
    ]
    data = CSVClassificationDataModule(file="table.csv", target="kind", corrections=write(rows), root=".")
    with pytest.raises(ValueError, match="corrections") as error:
        data.setup("fit")
    assert str(error.value).splitlines() == [
        "data.corrections: corrections.csv has 5 faults:",
        "- rows 3, 7 have the action 'relable', which is none of keep, relabel, drop",
        "- row 8 has the action relabel, but no label",
        "- it contradicts itself: train 3 has 'relabel Zelltyp B' in row 4 and 'drop' in row 10; keep one of them",
        f"- it names samples that the data do not have: train index 999 of {len(data.rows_of('train'))} (row 9); use "
        "the file of this data set",
        "- it has labels that are no class: 'zell typ a' (rows 2, 5; nearest: 'Zelltyp A'), '?' (row 6); the classes "
        "are Zelltyp A, Zelltyp B",
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [";", "\t", ","])
@pytest.mark.filterwarnings("ignore:data.corrections. corrections.csv is not UTF-8. it is read as cp1252")
def test_a_file_saved_by_a_spreadsheet_is_read(separator, encoding, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = ["file,action,label", "Bär.png,relabel,Käfer", ",,", '"a, b; c.png",drop,']
    lines = [line if line.startswith('"') else line.replace(",", separator) for line in lines]
    lines[3] = lines[3].replace('",drop,', f'"{separator}drop{separator}')
    Path("corrections.csv").write_bytes("\r\n".join([*lines, ""]).encode(encoding))
    found, problems = read_corrections(Path("corrections.csv"))
    assert problems == []
    assert [(each.row, each.file, each.action, each.label) for each in found] == [
        (2, "Bär.png", "relabel", "Käfer"),
        (4, "a, b; c.png", "drop", ""),
    ]


def test_a_workbook_and_bytes_that_are_no_text_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("corrections.csv").write_bytes(b"PK\x03\x04\0\0")
    with pytest.raises(ValueError, match=r"data\.corrections: corrections\.csv is not a CSV file: .*save it as UTF-8"):
        read_corrections(Path("corrections.csv"))


def test_an_absent_file_is_refused():
    with pytest.raises(FileNotFoundError, match=r"data\.corrections: none\.csv cannot be read .*give the path"):
        digits(corrections="none.csv")


def test_corrections_that_leave_a_class_without_samples_are_refused(plain, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    threes = [index for index in plain.split.train.tolist() if plain.targets[index] == 3]
    with pytest.raises(ValueError, match=r"leaves no training sample with the label '3'"):
        digits(corrections=write([row(plain, index, "drop") for index in threes]))


def test_counts_of_the_test_set_are_without_dropped_samples(plain, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report = digits(corrections=write([row(plain, 6, "drop", part="test")])).split_report()
    assert sum(report["per_class"]["test"]) == report["sizes"]["test"] == len(plain.test_set) - 1


def test_corrections_that_empty_a_part_are_refused(plain, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [row(plain, index, "drop", part="test") for index in range(len(plain.test_labels))]
    with pytest.raises(ValueError, match=r"data\.corrections: .*drops all test samples: drop fewer"):
        digits(corrections=write(rows))
    rows = [row(plain, index, "drop", part="val") for index in plain.split.val.tolist()]
    with pytest.raises(ValueError, match=r"data\.corrections: .*drops all val samples: drop fewer"):
        digits(corrections=write(rows))


def test_samples_corrected_to_an_unknown_class_leave_training_and_others_do_not_join(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = {"known_classes": [3, 5], "train_size": None, "label_noise": None}
    plain, labels = digits(**options), DigitsDataModule().read_labels()
    leaving, staying = plain.split.train[:2].tolist()
    joining = int(torch.nonzero(labels == 7)[0])
    given = [str(int(labels[index])) for index in (leaving, staying, joining)]
    rows = [
        {"index": leaving, "given": given[0], "action": "relabel", "label": "8"},
        {"index": staying, "given": given[1], "action": "relabel", "label": "5" if given[1] == "3" else "3"},
        {"index": joining, "given": given[2], "action": "relabel", "label": "3"},
    ]
    corrected = digits(**options, corrections=write(rows))
    assert corrected.split.train.tolist() == plain.split.train[1:].tolist()
    assert corrected.targets[leaving] == UNKNOWN
    assert corrected.targets[staying] == 1 - plain.targets[staying]
    report = corrected.split_report()
    assert report["corrections"]["of_unknown_class"] == {"train": 1}
    assert report["corrections"]["without_effect"] == {"train": 1}
    assert sum(report["per_class"]["train"]) == report["sizes"]["train"]


def test_unused_samples_are_counted(plain):
    assert plain.split_report()["not_used"] == 1438 - 400
    assert "not_used" not in digits(train_size=None).split_report()
