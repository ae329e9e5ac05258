import csv
from pathlib import Path

import pytest
from PIL import Image

from litzoo import Predictor
from litzoo.__main__ import main
from tests.scripts.helpers import lines_of_error
from tests.scripts.trained_digits import images_of_test


@pytest.fixture
def new():
    Path("new/within").mkdir(parents=True)
    for name, image in zip(("b.png", "within/a.png", "within/c.jpg"), images_of_test(), strict=False):
        Image.fromarray(image[0].numpy()).save(Path("new", name))
    return "new"


def run(monkeypatch, *words):
    monkeypatch.setattr("sys.argv", ["litzoo", "predict", *map(str, words)])
    main()


def rows(path="predictions.csv"):
    with Path(path).open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_folder_is_predicted(best_ckpt, new, monkeypatch, capsys):
    run(monkeypatch, "--ckpt_path", best_ckpt, "--input", new, "--device=cpu")
    found = Predictor.load(best_ckpt, device="cpu")(new)
    assert [row["file"] for row in rows()] == ["b.png", "within/a.png", "within/c.jpg"]
    assert list(rows()[0]) == ["file", "prediction", "confidence", "unknown_score", "class_name"]
    assert [row["class_name"] for row in rows()] == found.names
    unknown = int(found.unknown.sum())
    assert f"3 predictions, {unknown} of them unknown in predictions.csv" in capsys.readouterr().out


def test_probabilities_of_all_classes_on_request(best_ckpt, new, monkeypatch):
    run(monkeypatch, "--ckpt_path", best_ckpt, "--input", new, "--output=out/mine.csv", "--probabilities")
    for row in rows("out/mine.csv"):
        each = {name: float(value) for name, value in row.items() if name.startswith("probability/")}
        assert sum(each.values()) == pytest.approx(1, abs=1e-4)
        assert max(each.values()) == pytest.approx(float(row["confidence"]))
    assert len(each) == 7


def test_a_table_of_files_keeps_its_columns(best_ckpt, new, monkeypatch):
    Path("new/list.csv").write_text("patient,file,note\n7,within/a.png,\n8,b.png,two\n")
    run(monkeypatch, "--ckpt_path", best_ckpt, "--input", "new/list.csv")
    kept = [(row["patient"], row["file"], row["note"]) for row in rows()]
    assert kept == [("7", "within/a.png", ""), ("8", "b.png", "two")]
    folder = Predictor.load(best_ckpt)(new)
    assert [row["class_name"] for row in rows()] == [folder.names[1], folder.names[0]]


def test_damaged_files_are_skipped_and_listed_on_request(best_ckpt, new, monkeypatch, capsys):
    Path("new/broken.png").write_bytes(b"no image")
    run(monkeypatch, "--ckpt_path", best_ckpt, "--input", new, "--unreadable", "skip")
    output = capsys.readouterr().out
    assert "1 file was skipped:" in output
    assert "new/broken.png cannot be read as an image" in output
    assert len(rows()) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--input", "none"], "none: there is no such file or folder"),
        (["--input", "empty"], "empty: holds no image"),
        (["--input", "new", "--output", "there.csv"], "--output there.csv: is there already"),
        (["--input", "new", "--output", "new"], "--output new: is a folder"),
        (["--input", "damaged"], "damaged/a.png cannot be read as an image"),
        (["--input", "other.csv"], r"other.csv: none of its columns (a, b) lists image files"),
        (["--input", "missing.csv"], "1 of 1 files do not exist, the first is gone.png"),
        (["--input", "taken.csv"], "--input taken.csv: has a column 'confidence' already"),
        (["--input", "new", "--module", "none.Mine"], "--module none.Mine: cannot be imported"),
        (["--input", "new", "--device", "abacus"], "device: 'abacus' cannot be used here"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_written(best_ckpt, new, words, message, capsys, monkeypatch):
    Path("empty").mkdir()
    Path("damaged").mkdir()
    Path("damaged/a.png").write_bytes(b"no image")
    Path("there.csv").write_text("mine")
    Path("other.csv").write_text("a,b\n1,2\n")
    Path("missing.csv").write_text("file\ngone.png\n")
    Path("taken.csv").write_text("file,confidence\nnew/b.png,1\n")
    before = sorted(Path().rglob("*"))
    lines = lines_of_error(main, ["predict", "--ckpt_path", str(best_ckpt), *words], capsys, monkeypatch)
    assert message in lines[0]
    assert sorted(Path().rglob("*")) == before
    assert Path("there.csv").read_text() == "mine"


def test_an_output_is_replaced_on_request(best_ckpt, new, monkeypatch):
    Path("predictions.csv").write_text("old")
    run(monkeypatch, "--ckpt_path", best_ckpt, "--input", new, "--overwrite")
    assert len(rows()) == 3


@pytest.mark.parametrize("words", [["--help"], ["--ckpt_path=a.ckpt"], ["--input", "new"]])
def test_help_and_what_is_missing_are_told_at_once(words, capsys, monkeypatch):
    with pytest.raises(SystemExit):
        run(monkeypatch, *words)
    captured = capsys.readouterr()
    assert "--input" in captured.out + captured.err
    assert "--ckpt_path" in captured.out + captured.err
