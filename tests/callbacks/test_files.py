import json
import os
import threading
from pathlib import Path

import pytest

from litzoo.callbacks.files import display_path, remove_partial_files, write_csv, write_json


def test_written_json_can_be_read():
    path = Path("new/folder/metrics.json")
    write_json(path, {"val/loss": 0.5, "Größe": None})
    assert json.loads(path.read_text(encoding="utf-8")) == {"val/loss": 0.5, "Größe": None}
    assert [file.name for file in path.parent.iterdir()] == ["metrics.json"]


def test_a_failed_write_leaves_the_old_file():
    path = Path("metrics.json")
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": 2, "b": object()})
    assert json.loads(path.read_text()) == {"a": 1}
    assert [file.name for file in Path().iterdir()] == ["metrics.json"]


def test_a_reader_never_sees_half_a_file():
    path, writing = Path("metrics.json"), threading.Event()
    contents = [{str(number): side for number in range(2000)} for side in ("a", "b")]
    write_json(path, contents[0])
    writing.set()

    def read_on():
        while writing.is_set():
            seen.append(json.loads(path.read_text()) in contents)

    seen = []
    reader = threading.Thread(target=read_on)
    reader.start()
    for turn in range(60):
        write_json(path, contents[turn % 2])
    writing.clear()
    reader.join()
    assert seen
    assert all(seen)


def test_paths_are_displayed_relative_to_the_current_folder(tmp_path):
    assert display_path(tmp_path / "runs" / "a") == str(Path("runs", "a"))
    assert display_path(tmp_path.parent) == str(tmp_path.parent)


def test_a_failed_table_write_leaves_the_old_file():
    path = Path("table.csv")
    write_csv(path, {"a": [1, 2]})
    with pytest.raises(ValueError, match="shorter"):
        write_csv(path, {"a": [1, 2], "b": [1]})
    assert path.read_text().split() == ["a", "1", "2"]
    assert [file.name for file in Path().iterdir()] == ["table.csv"]


def test_only_partial_files_of_killed_processes_are_removed():
    kept = [Path("run/last.ckpt"), Path("run/notes.partial"), Path("run/.hidden")]
    left = [Path("run/.last.ckpt.1.partial"), Path("run/figures/.curves.png.27.partial")]
    for path in (*kept, *left):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    remove_partial_files(Path("run"))
    assert sorted(path for path in Path("run").rglob("*") if path.is_file()) == sorted(kept)


def test_file_names_that_are_not_utf_8_are_escaped(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    write_csv(tmp_path / "a.csv", {"file": [name, "b.png"]})
    assert (tmp_path / "a.csv").read_text(encoding="utf-8").split() == ["file", r"caf\udce9.png", "b.png"]
